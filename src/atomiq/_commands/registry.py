"""RQ's primitives of registries and executions, each as one step that keeps a job in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from atomiq._commands.base import Argument, Command, call, word
from atomiq._core.keys import Keys

KEEP_AS_IT_IS = -2


class Entered(NamedTuple):
    """`word` is ok, or busy: the job runs. `added` is 1 for an id that was not there before."""

    word: str
    added: int


def _decode_entered(reply: Any) -> Entered:
    return Entered(word(reply[0], "enter_registry", "ok", "busy"), int(reply[1]))


def enter_registry(
    keys: Keys,
    *,
    registry: str,
    queue: str,
    status: str,
    job_id: str,
    ttl: int = 0,
    score: float | str | None = None,
    only_move: bool = False,
    keep: int = KEEP_AS_IT_IS,
    fields: Mapping[str, Argument] | None = None,
    now_ms: int = 0,
) -> Command[Entered]:
    """Put a job that doesn't run into the registry with this key, out of wherever it was.

    `status`: what the jobs of the registry are. `ttl`: seconds from now as its score, unless `score` is given.
    `only_move`: only if it is there already. `keep`: seconds that the job is kept; needed for failed. `fields` are
    stored with it; without them an id that has no job is only written down."""
    pairs = [part for pair in (fields or {}).items() for part in pair]
    args = (job_id, registry, queue, status, "" if score is None else score, ttl, int(only_move), keep, *pairs)
    return call("enter_registry", keys, (keys.job(job_id),), args, _decode_entered, now_ms=now_ms)


class Left(NamedTuple):
    """`removed`: 1 if the id was in the registry. `existed`: whether it had a job."""

    removed: int
    existed: bool


def _decode_left(reply: Any) -> Left:
    word(reply[0], "leave_registry", "ok")
    return Left(int(reply[1]), bool(reply[2]))


def leave_registry(
    keys: Keys, *, registry: str, queue: str, status: str, job_id: str, delete: bool = False, now_ms: int = 0
) -> Command[Left]:
    """Take an id out of a registry; its job is then in no container (status created), unless it is elsewhere by now;
    or the job is deleted."""
    args = (job_id, registry, queue, status, int(delete))
    return call("leave_registry", keys, (keys.job(job_id),), args, _decode_left, now_ms=now_ms)


def _decode_dropped(reply: Any) -> int:
    word(reply[0], "drop_executions", "ok")
    return int(reply[1])


def drop_executions(keys: Keys, *, queue: str, job_id: str, execution_id: str = "", now_ms: int = 0) -> Command[int]:
    """Close an execution of a job, or all, without a settlement. A job that then runs nowhere goes to the front of its
    queue. Says how many were open."""
    args = (job_id, queue, execution_id)
    return call("drop_executions", keys, (keys.job(job_id),), args, _decode_dropped, now_ms=now_ms)


def _decode_beaten(reply: Any) -> str:
    return word(reply[0], "beat_execution", "ok", "gone")


def beat_execution(
    keys: Keys, *, queue: str, job_id: str, execution_id: str, worker: str, lease_ms: int, now_ms: int = 0
) -> Command[str]:
    """Move the end of an open execution's lease; one that is over is not brought back."""
    declared = (keys.wip(queue), keys.execution(job_id, execution_id), keys.executions(job_id))
    args = (job_id, execution_id, worker, lease_ms)
    return call("beat_execution", keys, declared, args, _decode_beaten, now_ms=now_ms)
