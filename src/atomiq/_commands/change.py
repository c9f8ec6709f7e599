"""What users do to a job: cancel, stop, requeue, delete, touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atomiq._commands.base import Argument, Command, call, text, word
from atomiq._core.keys import Keys
from atomiq._core.timestamp import format_ms


@dataclass(frozen=True, slots=True)
class Changed:
    """`word` as the script's header lists them; `was` is the status before; `count` what the transition counts
    (freed, heard)."""

    word: str
    was: str
    count: int = 0


def _changed(name: str, *known: str) -> Any:
    def decode(reply: Any) -> Changed:
        return Changed(word(reply[0], name, *known), text(reply[1]), int(reply[2]))

    return decode


_decode_cancel = _changed("cancel", "ok", "already", "gone")
_decode_stop = _changed("stop", "ok", "already", "not_running", "gone")
_decode_requeue = _changed("requeue", "ok", "already", "busy", "not_there", "gone")
_decode_delete = _changed("delete", "ok", "gone")


def cancel(
    keys: Keys,
    *,
    job_id: str,
    enqueue_dependents: bool = False,
    remove_from_dependencies: bool = False,
    token: str = "",
    now_ms: int = 0,
) -> Command[Changed]:
    """Take a job out of wherever it is into the canceled registry; one that runs loses its lease. `token` tells this
    call from others: sent again, it is `ok` again."""
    args = (job_id, int(enqueue_dependents), int(remove_from_dependencies), token)
    return call("cancel", keys, (keys.job(job_id),), args, _decode_cancel, now_ms=now_ms)


def stop(keys: Keys, *, job_id: str, now_ms: int = 0) -> Command[Changed]:
    """Ask the worker that runs a job to stop it; `count` is how many were listening. Kept until a worker has seen
    it."""
    return call("stop", keys, (keys.job(job_id),), (job_id,), _decode_stop, now_ms=now_ms)


def requeue(
    keys: Keys,
    *,
    job_id: str,
    registry: str | None = None,
    at_front: bool = False,
    since_ms: int | None = None,
    token: str = "",
    now_ms: int = 0,
) -> Command[Changed]:
    """Put a job that has ended, or waits elsewhere, into its queue; only if it is in the registry with this key, when
    given, and not if it was enqueued at `since_ms` or later: it has ended anew then. `token` as for
    `cancel`."""
    since = "" if since_ms is None else format_ms(since_ms)
    args = (job_id, registry or "", int(at_front), since, token)
    return call("requeue", keys, (keys.job(job_id),), args, _decode_requeue, now_ms=now_ms)


def delete(keys: Keys, *, job_id: str, delete_dependents: bool = False, now_ms: int = 0) -> Command[Changed]:
    """Remove a job and all that is kept about it: results, executions, group membership, dependency sets."""
    args = (job_id, int(delete_dependents))
    return call("delete", keys, (keys.job(job_id),), args, _decode_delete, now_ms=now_ms)


def _decode_touch(reply: Any) -> str:
    return word(reply, "touch", "ok", "gone", "not_yours")


def touch(
    keys: Keys, *, job_id: str, fields: Mapping[str, Argument], execution: str = "", now_ms: int = 0
) -> Command[str]:
    """Write fields of an existing job that say nothing about its state. `execution`: only while the job is of it, else
    the word is not_yours."""
    if "status" in fields or not fields:
        raise ValueError("touch writes at least one field, and never the status")
    args = (execution, *(part for pair in fields.items() for part in pair))
    return call("touch", keys, (keys.job(job_id),), args, _decode_touch, now_ms=now_ms)


def _decode_status(reply: Any) -> str:
    return word(reply, "set_status", "ok", "already", "gone")


def set_status(
    keys: Keys,
    *,
    job_id: str,
    status: str,
    execution: str,
    worker: str = "",
    lease_ms: int = 0,
    fields: Mapping[str, Argument] | None = None,
    now_ms: int = 0,
) -> Command[str]:
    """Write `fields`, and move a job into the container of a status. `execution`: a new id, which tells this call from
    others; one that is called `started` gets an execution of it, as if `worker` had claimed it."""
    given = [part for pair in (fields or {}).items() for part in pair]
    args = (job_id, status, worker, execution, lease_ms, *given)
    return call("set_status", keys, (keys.job(job_id),), args, _decode_status, now_ms=now_ms)


def _decode_again(reply: Any) -> tuple[str, str]:
    return word(reply[0], "run_again", "ok", "already", "gone"), text(reply[1])


def run_again(
    keys: Keys,
    *,
    job_id: str,
    queue: str,
    by: str,
    left: int,
    token: str,
    at_front: bool = False,
    fields: Mapping[str, Argument] | None = None,
    now_ms: int = 0,
) -> Command[tuple[str, str]]:
    """Write `fields`, and put a job into a queue or the schedule once more, counted by its Retry or Repeat (`by`:
    retry, repeat). `left`: how many were left before this one; `token` tells this call from others. Says a word and the
    job's status."""
    if by not in ("retry", "repeat") or left < 1:
        raise ValueError("run_again counts a retry or a repeat that is left")
    given = [part for pair in (fields or {}).items() for part in pair]
    args = (job_id, queue, by, left, int(at_front), token, *given)
    return call("run_again", keys, (keys.job(job_id),), args, _decode_again, now_ms=now_ms)
