"""A worker's part in tests that need none: claim, finish, fail, by the commands that a worker sends."""

from __future__ import annotations

import pickle
import time
from typing import Any

from atomiq._commands.claim import Claimed, claim
from atomiq._commands.settle import Settled, Settlement, settle
from atomiq._core.ids import new_execution_id
from atomiq._wire.sync import Store

WORKER = "driven"


def claimed(store: Store, queue: str = "default", lease_ms: int = 30_000, now_ms: int = 0) -> Claimed:
    """The next job of a queue, taken."""
    command = claim(
        store.keys, queues=[queue], worker=WORKER, executions=[new_execution_id()], lease_ms=lease_ms, now_ms=now_ms
    )
    (job,) = store.run(command).jobs
    return job


def settled(store: Store, job: Claimed, outcome: str, now_ms: int = 0, **settlement: Any) -> Settled:
    """The end of a taken job."""
    ended = now_ms or int(time.time() * 1000)
    given = {"started_ms": ended - 5, "ended_ms": ended, "retry": "never", **settlement}
    whole = Settlement(job.job_id, job.queue, job.execution_id, WORKER, outcome, **given)
    done = store.run(settle(store.keys, settlement=whole, now_ms=now_ms))
    assert done.word == "ok", done
    return done


def finish(store: Store, value: Any = None, queue: str = "default", now_ms: int = 0, **settlement: Any) -> Settled:
    """Take the next job and end it well."""
    result = None if value is None else pickle.dumps(value)
    job = claimed(store, queue, now_ms=now_ms)
    return settled(store, job, "finished", now_ms, result=result, **settlement)


def fail(store: Store, text: str = "Boom", queue: str = "default", now_ms: int = 0, **settlement: Any) -> Settled:
    """Take the next job and end it badly."""
    job = claimed(store, queue, now_ms=now_ms)
    return settled(store, job, settlement.pop("outcome", "failed"), now_ms, exc_string=text, **settlement)
