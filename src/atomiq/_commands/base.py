"""A command is data: what to send, and how to read the answer. Who sends it (sync, asyncio, a pipeline) is decided in
`_wire`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from atomiq._core.errors import ScriptError
from atomiq._core.keys import Keys
from atomiq._lua import Script, script

R = TypeVar("R")
Argument = bytes | str | int | float


@dataclass(slots=True)
class Command(Generic[R]):
    """One round trip.

    `name` is a transition's name or a plain Redis command. `script` is None for the latter; then `keys` is empty and
    `args` is all that follows the name. `safe_to_repeat` says that sending it again after a lost reply changes
    nothing more. `ready`: the bytes of a script call, for one that is sent over a `Line`, or by a store that
    `takes_ready`; then `keys` and `args` are empty.
    """

    name: str
    script: Script | None
    keys: Sequence[str]
    args: Sequence[Argument]
    decode: Callable[[Any], R]
    safe_to_repeat: bool = True
    ready: bytes | None = None


def call(
    name: str,
    keys: Keys,
    declared: Sequence[str],
    args: Sequence[Argument],
    decode: Callable[[Any], R],
    *,
    now_ms: int = 0,
    safe_to_repeat: bool = True,
) -> Command[R]:
    """A command that runs the script `name`; prefix and clock go before its own arguments."""
    return Command(name, script(name), declared, (keys.prefix, now_ms, *args), decode, safe_to_repeat)


def plain(
    name: str, args: Sequence[Argument], decode: Callable[[Any], R], *, safe_to_repeat: bool = True
) -> Command[R]:
    """A command that is one of Redis' own."""
    return Command(name, None, (), args, decode, safe_to_repeat)


def text(value: Any) -> str:
    """A reply's bytes as text (RQ's names may be any UTF-8). What somebody has put there that is no UTF-8 becomes text
    too, of which `as_bytes` makes the same bytes again: one such id must not end whoever meets it."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def as_bytes(name: str) -> bytes:
    """The bytes that `text` has made a name of."""
    return name.encode("utf-8", "surrogateescape")


def verbatim(args: Sequence[Argument]) -> list[Argument]:
    """Arguments as they are sent; names that were no UTF-8 (see `text`) as the bytes that they were."""
    return [one if not isinstance(one, str) or one.isascii() else as_bytes(one) for one in args]


def word(value: Any, name: str, *known: str) -> str:
    """The word a script says, checked against what its header lists."""
    said = text(value)
    if said not in known:
        raise ScriptError(f"the script {name} said {said!r}, which is none of {', '.join(known)}")
    return said


def texts(values: Sequence[Any]) -> list[str]:
    return [text(value) for value in values]


def fields(flat: Sequence[bytes] | dict[bytes, bytes]) -> dict[bytes, bytes]:
    """A HGETALL reply as a mapping; RESP3 connections answer with one already."""
    if isinstance(flat, dict):
        return flat
    pairs = iter(flat)
    return dict(zip(pairs, pairs, strict=True))


def as_is(reply: Any) -> Any:
    """A reply that needs no decoding."""
    return reply
