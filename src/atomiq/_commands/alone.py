"""A job apart from any queue: stored without being enqueued, or run by the process that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atomiq._commands.base import Argument, Command, call, word
from atomiq._core.keys import Keys


def _decode_saved(reply: Any) -> str:
    return word(reply, "save_job", "ok", "created")


def save_job(keys: Keys, *, job_id: str, fields: Mapping[str, Argument], now_ms: int = 0) -> Command[str]:
    """Write fields of a job, never its state. A job that was not stored before is then `created`, in no container."""
    if "status" in fields or not fields:
        raise ValueError("save_job writes at least one field, and never the status")
    args = [part for pair in fields.items() for part in pair]
    return call("save_job", keys, (keys.job(job_id),), args, _decode_saved, now_ms=now_ms)


def _decode_begun(reply: Any) -> tuple[str, int]:
    return word(reply[0], "begin_job", "ok", "already", "busy", "gone"), int(reply[1])


def begin_job(
    keys: Keys, *, job_id: str, worker: str, execution: str, lease_ms: int, now_ms: int = 0
) -> Command[tuple[str, int]]:
    """Start a stored job past its queue; answers a word and the server's time in ms. Settle it like any execution."""
    args = (job_id, worker, execution, lease_ms)
    return call("begin_job", keys, (keys.job(job_id),), args, _decode_begun, now_ms=now_ms)
