"""What the worker holds, and what it tells the server about how it ended."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from atomiq._commands.claim import Claimed, Held
from atomiq._commands.settle import Settlement
from atomiq._core.errors import ScriptError, ServerUnavailable
from atomiq._core.settings import DEFAULT_TIMEOUT
from atomiq.executors.death import Death, death_text, memory_text, overrun_text
from atomiq.executors.fork import Child
from atomiq.executors.outcome import bulk, number, reported, stopped_callback_limit, time_limit, unstorable
from atomiq.executors.report import STOPPED_TEXT, Report
from atomiq.stations.ledger import Running
from atomiq.stations.task import BULKY, MOST_CUT_OFFS
from atomiq.worker.events import Taken
from atomiq.worker.moves import Verdict

NOT_TAKEN: Final = (ScriptError, ServerUnavailable)
"""After these a settlement may have to be replaced, see `in_its_place`."""


@dataclass(frozen=True, slots=True)
class Abandonment:
    """What becomes of a job whose process was killed by a signal that isn't ours (out of memory, a crash in C code).

    `policy`: retry (run again, at most `limit` times in a row, then failed as poison) or fail (RQ's way: the job's own
    Retry, else failed). The job's own `on_abandoned` wins over `policy`.
    """

    policy: str
    limit: int

    def runs_again(self, claimed: Claimed) -> bool:
        """Whether this abandonment of the job is to be followed by another run."""
        return self.retries(claimed) and self.times(claimed) <= self.limit

    def retries(self, claimed: Claimed) -> bool:
        own = claimed.fields.get(b"on_abandoned", b"").decode("utf-8", "replace")
        return (own or self.policy) == "retry"

    def times(self, claimed: Claimed) -> int:
        """How often in a row the job will have been abandoned, this time included."""
        return (number(claimed, b"abandoned") or 0) + 1


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes that a child may use, and that it was seen to use."""

    limit: int
    used: int


@dataclass(slots=True)
class Holding:
    """An execution, from its claim to its settlement. `claimed_at` is the monotonic time that belongs to `claimed_ms`
    of the server's clock; `retry` is what a failure that the child could not report allows; `cut_offs`: how often the
    connection broke while its settlement was sent; `in_company`: other jobs ran in the same child when it died;
    `limit`: seconds for what it does at the moment (its function, a callback, a look at what it requires)."""

    claimed: Claimed
    claimed_at: float
    claimed_ms: int
    child: Child | None = None
    report: Report | None = None
    ended: float | None = None
    death: Death | None = None
    retry: str | int = "auto"
    cut_offs: int = 0
    started_at: float | None = None
    memory: MemoryUse | None = None
    in_company: bool = False
    limit: float | None = None

    @classmethod
    def seen(cls, entry: Running) -> Holding:
        """Of a job that a station runs; its hash is read when somebody needs it."""
        claimed = Claimed(entry.queue, entry.job_id, entry.execution_id, 0, {})
        return cls(claimed, entry.claimed_at, entry.claimed_ms, started_at=entry.since)

    @property
    def held(self) -> Held:
        return Held(self.claimed.queue, self.claimed.job_id, self.claimed.execution_id)

    @property
    def waits(self) -> bool:
        """What the job requires is not there: its function was not called."""
        return self.report is not None and self.report.outcome == "waiting"

    @property
    def took(self) -> float:
        """Seconds that the call took; 0 for one that could not say."""
        return 0.0 if self.report is None else self.report.ended - self.report.started

    @property
    def was_killed(self) -> bool:
        """Whether something else may have ended the child: a signal, or another job in it. One that left by itself
        (os._exit) has failed."""
        return self.death is not None and (self.in_company or self.death.signal_number is not None)

    def cut_off_for_good(self, end: Settlement) -> bool:
        """The connection has broken once more while its settlement was sent: a server that answers everybody but breaks
        off this one large thing won't ever take it."""
        self.cut_offs += 1
        return self.cut_offs >= MOST_CUT_OFFS and bulk(end) >= BULKY

    def server_ms(self, moment: float) -> int:
        """A monotonic time on the server's clock."""
        return self.claimed_ms + round((moment - self.claimed_at) * 1000)


def taken(claimed: Claimed) -> Taken:
    """A claimed job as the brain sees it."""
    return Taken(
        claimed.execution_id,
        claimed.job_id,
        claimed.queue,
        time_limit(claimed),
        stopped_callback_limit(claimed),
    )


def settlement(
    holding: Holding, verdict: Verdict, worker: str, kill_after: float, abandonment: Abandonment
) -> Settlement:
    """The settlement of an execution that ended as `verdict` says."""
    claimed, report = holding.claimed, holding.report
    if verdict == "reported" and report is not None:
        return reported(claimed, report, worker, holding.server_ms)
    base = Settlement(claimed.job_id, claimed.queue, claimed.execution_id, worker, "failed")
    base.started_ms = holding.server_ms(holding.claimed_at if holding.started_at is None else holding.started_at)
    base.failure_ttl = number(claimed, b"failure_ttl")
    base.ended_ms = holding.server_ms(holding.claimed_at if holding.ended is None else holding.ended)
    base.retry = holding.retry
    if verdict == "stopped":
        base.outcome, base.exc_string, base.retry = "stopped", STOPPED_TEXT, "never"
    elif verdict == "overran":
        limit = holding.limit or number(claimed, b"timeout") or DEFAULT_TIMEOUT
        base.exc_string = overrun_text(limit, kill_after)
        base.exc_string += "\n" + _cause(holding)
    elif verdict == "memory" and holding.memory is not None:
        base.exc_string = memory_text(holding.memory.limit, holding.memory.used, claimed.job_id, holding.death)
    else:
        base.exc_string = _cause(holding)
        if verdict == "died" and holding.retry == "auto" and holding.was_killed:
            _abandon(base, claimed, abandonment)
    return base


def _abandon(end: Settlement, claimed: Claimed, abandonment: Abandonment) -> None:
    if abandonment.runs_again(claimed):
        end.outcome = "abandoned"
    elif abandonment.retries(claimed):
        end.retry = "never"
        end.exc_string = (
            f"atomiq.exceptions.PoisonJobError: the process running this job was killed {abandonment.times(claimed)} "
            f"times in a row (max_abandoned is {abandonment.limit}); it is not run again. The last time:\n"
            f"{end.exc_string}"
        )


def _cause(holding: Holding) -> str:
    return death_text(holding.death or Death(0, None))


def in_its_place(holding: Holding, end: Settlement, error: Exception, worker: str, log: logging.Logger) -> Settlement:
    """What to tell the server at once, as it doesn't take the outcome as it is. `error`: of NOT_TAKEN.

    Raises:
        ServerUnavailable: `error`; the server may well take the outcome later.
    """
    if isinstance(error, ScriptError):
        log.error("Worker %s: job %s: its outcome can't be stored", worker, end.job_id, exc_info=error)
    elif holding.cut_off_for_good(end):
        # The proof: it takes the small settlement at once. If it doesn't, the whole is sent again later.
        text = "Worker %s: job %s: its outcome (%s bytes) can't be sent: %s"
        log.error(text, worker, end.job_id, bulk(end), error)
    else:
        raise error
    return unstorable(end, error)
