"""Groups: read and healed in one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from atomiq._commands.base import Command, call, text, texts, word
from atomiq._core.keys import Keys


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One page of members. Read on with `cursor` until it is '0'; a member may come twice while the group changes."""

    ids: list[str]
    cursor: str
    exists: bool


@dataclass(frozen=True, slots=True)
class GroupNames:
    names: list[str]
    cursor: str


def _decode_page(reply: Any) -> GroupPage:
    word(reply[0], "group_read", "ok")
    return GroupPage(texts(reply[3]), text(reply[2]), bool(reply[1]))


def group_read(keys: Keys, *, name: str, cursor: str = "0", limit: int = 500, now_ms: int = 0) -> Command[GroupPage]:
    """Members of a group whose job exists; the others are removed in the same step."""
    declared = (keys.group(name), keys.groups())
    return call("group_read", keys, declared, (name, cursor, limit), _decode_page, now_ms=now_ms)


def _decode_names(reply: Any) -> GroupNames:
    word(reply[0], "groups_read", "ok")
    return GroupNames(texts(reply[2]), text(reply[1]))


def groups_read(keys: Keys, *, cursor: str = "0", limit: int = 500, now_ms: int = 0) -> Command[GroupNames]:
    """Names of groups that have members; the others are removed in the same step."""
    return call("groups_read", keys, (keys.groups(),), (cursor, limit), _decode_names, now_ms=now_ms)
