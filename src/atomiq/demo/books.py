"""The books: what was enqueued against what is there, and what came out against what should have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KILLED: Final = "its worker was killed"
RETRIED: Final = "it failed first and was retried"
LATENESS: Final = 6.0
"""Seconds after its lease within which an abandoned job has to run again: up to one until the next whole second, when
workers look for it, and what a busy machine takes to get to it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One job at the end. `due` and `started` are unix seconds; `due` 0 for at once."""

    job_id: str
    status: str
    attempts: int
    retries: int
    value: Any
    started: float
    due: float = 0.0


@dataclass(slots=True)
class Books:
    """The outcome. The books balance when `problems` is empty; `again` is job id -> why it ran more than once."""

    enqueued: int
    finished: int = 0
    right: int = 0
    lost: int = 0
    executions: int = 0
    again: dict[str, str] = field(default_factory=dict)
    killed_ids: tuple[str, ...] = ()
    soonest: float | None = None
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def jobs_per_second(self) -> float:
        return self.executions / self.seconds if self.seconds > 0 else 0.0


def balance(
    expected: Mapping[str, Any],
    entries: Iterable[Entry],
    killed_ids: Iterable[str],
    killed_at: float,
    lease: float,
) -> Books:
    """Close the books.

    Args:
        expected: job id -> value, computed directly; one for every job that was enqueued.
        entries: the jobs that the server still knows.
        killed_ids: what the killed worker was running.
        killed_at: when, unix seconds of the server.
        lease: seconds within which abandoned jobs have to run again.
    """
    killed = frozenset(killed_ids)
    books = Books(enqueued=len(expected), killed_ids=tuple(sorted(killed)))
    there = {entry.job_id: entry for entry in entries}
    for job_id, value in expected.items():
        entry = there.get(job_id)
        if entry is None:
            books.lost += 1
            books.problems.append(f"{job_id} is lost")
        else:
            enter(books, entry, value, job_id in killed)
    strangers = sorted(set(there) - set(expected))
    books.problems.extend(f"{job_id} was never enqueued" for job_id in strangers)
    if not killed:
        books.problems.append("no job was running when the worker was killed")
    delays = [there[job_id].started - killed_at for job_id in killed if job_id in there]
    books.soonest = max(delays, default=None)
    if books.soonest is not None and books.soonest > lease + LATENESS:
        books.problems.append(f"the killed worker's job ran again only after {books.soonest:.1f} s")
    return books


def enter(books: Books, entry: Entry, value: Any, was_killed: bool) -> None:
    """One job into the books."""
    books.executions += entry.attempts
    if entry.status != "finished":
        books.problems.append(f"{entry.job_id} is {entry.status}, not finished")
        return
    books.finished += 1
    if entry.value == value:
        books.right += 1
    else:
        books.problems.append(f"{entry.job_id} has the result {entry.value!r}, and should have {value!r}")
    if entry.due and entry.started < entry.due:
        books.problems.append(f"{entry.job_id} ran {entry.due - entry.started:.3f} s before it was due")
    allowed = 1 + entry.retries + was_killed
    if entry.attempts != allowed:
        books.problems.append(f"{entry.job_id} ran {entry.attempts} times, and should have run {allowed} times")
    reasons = [RETRIED] * bool(entry.retries) + [KILLED] * was_killed
    if reasons:
        books.again[entry.job_id] = " and ".join(reasons)
