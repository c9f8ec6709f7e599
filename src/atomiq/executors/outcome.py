"""From how a call ended to what the server is told. What a job's hash says must not break a worker, so nonsense in it
counts as unsaid."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settlement
from atomiq._core.errors import DeserializationError
from atomiq._core.precondition import Requirement, stamped
from atomiq._core.settings import CALLBACK_TIMEOUT, DEFAULT_RESULT_TTL, DEFAULT_TIMEOUT
from atomiq.executors.report import Report

LARGEST_NUMBER: Final = 10**12
"""No time in seconds or count of a job is larger; 30,000 years."""


def reported(claimed: Claimed, report: Report, worker: str, server_ms: Callable[[float], int]) -> Settlement:
    """The settlement of a call that could say how it ended. `server_ms`: a monotonic time on the server's clock."""
    result = report.result
    if report.outcome == "waiting":
        result = stamped(result, server_ms(report.ended))
    return Settlement(
        claimed.job_id,
        claimed.queue,
        claimed.execution_id,
        worker,
        report.outcome,
        result,
        report.exc_string,
        _bounded(DEFAULT_RESULT_TTL if report.result_ttl is None else report.result_ttl),
        None if report.failure_ttl is None else _bounded(report.failure_ttl),
        server_ms(report.started),
        server_ms(report.ended),
        report.retry,
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


def time_limit(claimed: Claimed) -> float | None:
    """The job's soft limit in seconds; None: it has none."""
    return _limit(claimed.fields.get(b"timeout"))


@lru_cache(256)
def _limit(timeout: bytes | None) -> float | None:
    limit = (_number(timeout) if timeout else None) or DEFAULT_TIMEOUT
    return float(limit) if limit > 0 else None


def look_limit(claimed: Claimed) -> float:
    """Seconds that may be spent on looking for what the job requires, before its own limit begins."""
    stored = claimed.fields.get(b"requires")
    if not stored:
        return 0.0
    try:
        return Requirement.read(stored).timeout
    except DeserializationError:
        return 0.0


def stopped_callback_limit(claimed: Claimed) -> float | None:
    """Seconds for the job's stopped callback; None: it has none."""
    if not claimed.fields.get(b"stopped_callback_name"):
        return None
    return float(number(claimed, b"stopped_callback_timeout") or CALLBACK_TIMEOUT)


def number(claimed: Claimed, field: bytes) -> int | None:
    """A whole number of the job's hash; None when it isn't there or isn't one that makes sense."""
    raw = claimed.fields.get(field)
    return None if raw is None else _number(raw)


def _number(raw: bytes) -> int | None:
    try:
        value = int(raw)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST_NUMBER else None


def _bounded(ttl: int) -> int:
    """A ttl longer than a server can count is for ever; sent as it is, the script would break off half way."""
    return -1 if ttl > LARGEST_NUMBER else ttl
