"""Groups: read, counted and healed in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from atomiq._commands.base import Command, call, text, texts, word
from atomiq._core.keys import Keys
from atomiq._core.states import GONE, TERMINAL

MAX_LOOKED_UP = 1000
"""Open members whose status `group_progress` looks up, at most; the bound of what the server does in one step."""


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


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """How far a group is.

    Attributes:
        total: jobs that were put into the group and not taken out of it.
        done: those of them that have ended: finished, failed, stopped, canceled, or gone.
        by_status: how many are in which status; `gone` are those that were deleted or expired before they had ended.
        unseen: open jobs of a group with more than 1,000 of them, whose status was not looked up. With these, the
            numbers of `by_status` add up to `total`.
    """

    total: int
    done: int
    by_status: Mapping[str, int]
    unseen: int = 0
    is_whole: bool = field(default=True, repr=False, compare=False)
    """False while members that RQ's producers put there are still to be counted, by the next call."""

    @property
    def open(self) -> int:
        """Jobs that have not ended."""
        return self.total - self.done

    @property
    def fraction(self) -> float:
        """Done of total, 0.0 to 1.0; of an empty group 1.0."""
        return self.done / self.total if self.total else 1.0

    @property
    def has_ended(self) -> bool:
        """Whether no job is open."""
        return self.done == self.total


def _decode_progress(reply: Any) -> GroupProgress:
    word(reply[0], "group_progress", "ok")
    pairs = iter(reply[3])
    found = {text(name): int(count) for name, count in zip(pairs, pairs, strict=True)}
    done = sum(found.get(name, 0) for name in (*TERMINAL, GONE))
    still_open = int(reply[1])
    by_status = {name: count for name, count in found.items() if count}
    unseen = still_open - (sum(found.values()) - done)
    return GroupProgress(still_open + done, done, by_status, unseen, not reply[2])


def group_progress(keys: Keys, *, name: str, limit: int = MAX_LOOKED_UP, now_ms: int = 0) -> Command[GroupProgress]:
    """Numbers of a group at one instant. What nobody has told of its members so far is noticed in the same step."""
    return call("group_progress", keys, (keys.group(name),), (name, limit), _decode_progress, now_ms=now_ms)


def _decode_left(reply: Any) -> int:
    word(reply[0], "group_leave", "ok")
    return int(reply[1])


def group_leave(keys: Keys, *, name: str, job_id: str, now_ms: int = 0) -> Command[int]:
    """Take a job out of a group; it stays. Says whether it was a member, 0 or 1."""
    return call("group_leave", keys, (keys.group(name),), (name, job_id), _decode_left, now_ms=now_ms)
