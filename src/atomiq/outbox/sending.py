"""Rows into commands, and replies into what becomes of each row. Nothing is sent here: the commands are yielded, so the
relays of threads and of event loops share this."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from atomiq._commands.base import Command
from atomiq._commands.outbox import REFUSED, Delivered, deliver
from atomiq._core.errors import ScriptError
from atomiq._core.keys import Keys
from atomiq._core.log import get_logger
from atomiq.outbox.rows import Outgoing

WINDOW_MS: Final = 60_000
"""A batch that arrives this much later than its rows were read is refused, and for at least as long the server
remembers which rows were sent."""
TRIES: Final = 8
"""A row at which the server fails, without a word, is parked after this many tries."""
logger = get_logger("outbox")
_SHORTEST_WAIT_MS: Final = 500
_LONGEST_WAIT_MS: Final = 60_000
_REASONS: Final = {
    "exists": "a job of this id exists, and unique=True doesn't replace it",
    "circle": "the job would wait for itself: what it depends on waits for a job of this id",
}

Sending: TypeAlias = Generator[Command[Any], Any, "Outcome"]


class TooLate(Exception):
    """The batch came after its time and nothing of it was done; its rows are read again."""


@dataclass(slots=True)
class Outcome:
    """What becomes of the rows: `sent` are deleted, `parked` get a reason, `postponed` come again at a time (ms); so
    do those that are `busy`: a job of their id runs. That is no failure, and is not counted."""

    sent: list[int] = field(default_factory=list)
    enqueued: int = 0
    parked: dict[int, str] = field(default_factory=dict)
    postponed: dict[int, int] = field(default_factory=dict)
    busy: dict[int, int] = field(default_factory=dict)


class ServerClock:
    """The server's time as far as it is known here: never later than it is."""

    def __init__(self) -> None:
        self._server_ms = 0
        self._heard = -1e9

    def heard(self, server_ms: int) -> None:
        self._server_ms, self._heard = server_ms, time.monotonic()

    @property
    def is_stale(self) -> bool:
        return time.monotonic() - self._heard > WINDOW_MS / 2000

    @property
    def now_ms(self) -> int:
        return self._server_ms + int((time.monotonic() - self._heard) * 1000)


def sending(keys: Keys, source: str, rows: Sequence[Outgoing], not_after_ms: int, clock: ServerClock) -> Sending:
    """The commands that send rows; raise their ScriptErrors into it. Returns what becomes of the rows.

    Raises:
        TooLate: the server's time is over `not_after_ms`.
    """
    outcome = Outcome()
    for part in parts(rows):
        open_parts = [part]
        while open_parts:
            current = open_parts.pop()
            jobs, names = [row.job for row in current], [row.name for row in current]
            first = current[0]
            command = deliver(
                keys, source=source, rows=names, jobs=jobs, unique=first.unique, group=first.group or None,
                not_after_ms=not_after_ms,
            )  # fmt: skip
            try:
                reply = yield command
            except ScriptError as error:
                if len(current) > 1:  # one of them is to blame; the first half goes first
                    middle = len(current) // 2
                    open_parts += [current[middle:], current[:middle]]
                else:
                    _failed(first, error, outcome)
                continue
            _enter(current, reply, outcome, clock)
    return outcome


def parts(rows: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    """Rows that one command can carry: of one group, all unique or none, and no id twice."""
    part: list[Outgoing] = []
    ids: set[str] = set()
    for row in rows:
        alike = not part or (row.unique == part[0].unique and row.group == part[0].group)
        if not alike or row.job.id in ids:
            yield part
            part, ids = [], set()
        part.append(row)
        ids.add(row.job.id)
    if part:
        yield part


def _enter(rows: Sequence[Outgoing], reply: Delivered, outcome: Outcome, clock: ServerClock) -> None:
    clock.heard(reply.at_ms)
    if reply.words is None:
        raise TooLate
    for row, word in zip(rows, reply.words, strict=True):
        if word == "busy":
            outcome.busy[row.id] = _after_half_its_age(row)
        elif word in REFUSED:
            outcome.parked[row.id] = _REASONS[word]
        else:
            outcome.sent.append(row.id)
            outcome.enqueued += word != "already"


def _failed(row: Outgoing, error: ScriptError, outcome: Outcome) -> None:
    logger.warning("outbox: row %d, job %s, the server fails: %s", row.id, row.job.id, error)
    if row.tries + 1 >= TRIES:
        outcome.parked[row.id] = f"the server failed {row.tries + 1} times: {error}"
    else:
        wait_ms = min(_SHORTEST_WAIT_MS << min(row.tries, 10), _LONGEST_WAIT_MS)
        outcome.postponed[row.id] = time.time_ns() // 1_000_000 + wait_ms


def _after_half_its_age(row: Outgoing) -> int:
    """How long a run takes is not known: the longer it has been waited for, the more rarely it is looked at."""
    now_ms = time.time_ns() // 1_000_000
    return now_ms + min(max((now_ms - row.created_ms) // 2, _SHORTEST_WAIT_MS), _LONGEST_WAIT_MS)
