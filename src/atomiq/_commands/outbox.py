"""Rows of an outbox into their queues, and what is remembered of those that were sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from atomiq._commands.base import Command, call, plain, text, texts, word
from atomiq._commands.enqueue import forbidden, known_second, pack_jobs
from atomiq._core.errors import DuplicateJobError
from atomiq._core.keys import Keys
from atomiq._core.record import NewJob

REFUSED = ("exists", "busy", "circle")
"""A job of a unique id exists; a job of this id runs now; it would wait for itself."""


class Delivered(NamedTuple):
    """What became of each row: queued, deferred, scheduled, already (it was sent before), or a word of REFUSED.
    None when the command came too late and nothing was done. `at_ms` is the server's time."""

    words: list[str] | None
    at_ms: int


def deliver(
    keys: Keys,
    *,
    source: str,
    rows: Sequence[str],
    jobs: Sequence[NewJob],
    unique: bool,
    group: str | None,
    not_after_ms: int,
    now_ms: int = 0,
) -> Command[Delivered]:
    """`enqueue` for rows of the outbox `source`: each is enqueued once, however often it is sent.

    `rows` are the names of the rows, `jobs` theirs, at most 1,000 and no id twice. The names are remembered until
    `forget_rows`. Nothing is done after `not_after_ms`. Raises PermissionDenied.
    """
    args = [*known_second(), 4 + len(rows), int(unique), group or "", source, not_after_ms, *rows]
    pack_jobs(args, jobs, group)

    def decode(reply: Any) -> Delivered:
        said = word(reply[0], "enqueue", "ok", "late", "forbidden", *REFUSED)
        if said in REFUSED:  # of rows it is said in their places
            raise DuplicateJobError(f"enqueue refused a whole batch of an outbox: {said} {text(reply[1])}")
        if said == "forbidden":
            raise forbidden(reply[1])
        if said == "late":
            return Delivered(None, int(reply[1]))
        words = texts(reply[2:])
        return Delivered(words if len(words) == len(rows) else words * len(rows), int(reply[1]))

    return call("enqueue", keys, (keys.queues(),), args, decode, now_ms=now_ms)


def remembered_rows(keys: Keys, *, source: str, until_ms: int, limit: int = 1000) -> Command[list[str]]:
    """Names of rows that were last sent before a time, at most `limit`."""
    args = (keys.outbox(source), "-inf", f"({until_ms}", "LIMIT", 0, limit)
    return plain("ZRANGEBYSCORE", args, texts)


def forget_rows(keys: Keys, *, source: str, rows: Sequence[str]) -> Command[int]:
    """Forget rows that nobody can send any more."""
    return plain("ZREM", (keys.outbox(source), *rows), int)
