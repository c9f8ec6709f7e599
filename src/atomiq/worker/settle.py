"""What the worker holds, and what it tells the server about how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atomiq._commands.claim import Claimed, Held
from atomiq._commands.settle import Settlement
from atomiq._core.settings import CALLBACK_TIMEOUT, DEFAULT_RESULT_TTL, DEFAULT_TIMEOUT
from atomiq.executors.death import Death, death_text, overrun_text
from atomiq.executors.fork import Child
from atomiq.executors.report import Report
from atomiq.worker.moves import Taken, Verdict


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
        own = claimed.fields.get(b"on_abandoned", b"").decode()
        return (own or self.policy) == "retry"

    def times(self, claimed: Claimed) -> int:
        """How often in a row the job will have been abandoned, this time included."""
        return (number(claimed, b"abandoned") or 0) + 1


LARGEST_NUMBER: Final = 10**12
"""No time in seconds or count of a job is larger; 30,000 years."""
STOPPED_TEXT: Final = "Job stopped by user, work-horse terminated."


@dataclass(slots=True)
class Holding:
    """An execution, from its claim to its settlement. `claimed_at` is the monotonic time that belongs to `claimed_ms`
    of the server's clock; `retry` is what a failure that the child could not report allows; `cut_offs`: how often the
    connection broke while its settlement was sent."""

    claimed: Claimed
    claimed_at: float
    claimed_ms: int
    child: Child | None = None
    report: Report | None = None
    ended: float | None = None
    death: Death | None = None
    retry: str | int = "auto"
    cut_offs: int = 0

    @property
    def held(self) -> Held:
        return Held(self.claimed.queue, self.claimed.job_id, self.claimed.execution_id)

    @property
    def took(self) -> float:
        """Seconds that the call took; 0 for one that could not say."""
        return 0.0 if self.report is None else self.report.ended - self.report.started

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended the child. One that left by itself (os._exit) has failed."""
        return self.death is not None and self.death.signal_number is not None

    def server_ms(self, moment: float) -> int:
        """A monotonic time on the server's clock."""
        return self.claimed_ms + round((moment - self.claimed_at) * 1000)


def taken(claimed: Claimed) -> Taken:
    """A claimed job as the brain sees it. What it says must not break the worker, so nonsense counts as unsaid."""
    limit = number(claimed, b"timeout") or DEFAULT_TIMEOUT
    callback = None
    if claimed.fields.get(b"stopped_callback_name"):
        callback = float(number(claimed, b"stopped_callback_timeout") or CALLBACK_TIMEOUT)
    return Taken(claimed.execution_id, claimed.job_id, claimed.queue, float(limit) if limit > 0 else None, callback)


def settlement(
    holding: Holding, verdict: Verdict, worker: str, kill_after: float, abandonment: Abandonment
) -> Settlement:
    """The settlement of an execution that ended as `verdict` says."""
    claimed, report = holding.claimed, holding.report
    base = Settlement(claimed.job_id, claimed.queue, claimed.execution_id, worker, "failed")
    base.started_ms = holding.claimed_ms
    base.failure_ttl = number(claimed, b"failure_ttl")
    if verdict == "reported" and report is not None:
        base.outcome, base.result, base.exc_string = report.outcome, report.result, report.exc_string
        base.retry = report.retry
        base.failure_ttl = None if report.failure_ttl is None else _bounded(report.failure_ttl)
        base.result_ttl = _bounded(DEFAULT_RESULT_TTL if report.result_ttl is None else report.result_ttl)
        base.started_ms, base.ended_ms = holding.server_ms(report.started), holding.server_ms(report.ended)
        return base
    base.ended_ms = holding.server_ms(holding.claimed_at if holding.ended is None else holding.ended)
    base.retry = holding.retry
    if verdict == "stopped":
        base.outcome, base.exc_string, base.retry = "stopped", STOPPED_TEXT, "never"
    elif verdict == "overran":
        base.exc_string = overrun_text(number(claimed, b"timeout") or DEFAULT_TIMEOUT, kill_after)
        base.exc_string += "\n" + _cause(holding)
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


def unstorable(refused: Settlement, reason: Exception) -> Settlement:
    """The failure that takes the place of a settlement which the server can't take as it is."""
    return Settlement(
        refused.job_id,
        refused.queue,
        refused.execution_id,
        refused.worker,
        "failed",
        exc_string=f"The job ended ({refused.outcome}), but its outcome could not be stored: {reason}",
        failure_ttl=refused.failure_ttl,
        started_ms=refused.started_ms,
        ended_ms=refused.ended_ms,
        retry="never",
    )


def bulk(end: Settlement) -> int:
    """About how many bytes a settlement sends."""
    return len(end.result or b"") + len(end.exc_string)


def _bounded(ttl: int) -> int:
    """A ttl longer than a server can count is for ever; sent as it is, the script would break off half way."""
    return -1 if ttl > LARGEST_NUMBER else ttl


def number(claimed: Claimed, field: bytes) -> int | None:
    """A whole number of the job's hash; None when it isn't there or isn't one that makes sense."""
    try:
        value = int(claimed.fields[field])
    except (KeyError, ValueError):
        return None
    return value if abs(value) <= LARGEST_NUMBER else None


def _cause(holding: Holding) -> str:
    return death_text(holding.death or Death(0, None))
