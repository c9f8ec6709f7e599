"""Functions that the contract tests enqueue, and a worker of three lines to run what they enqueued."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import redis

from atomiq import Job, get_current_job
from atomiq._commands.claim import claim
from atomiq._commands.settle import Settled, Settlement, settle
from atomiq._core.ids import new_execution_id
from atomiq._wire.sync import Store

SEEN: list[Any] = []


def add(a: int, b: int = 0) -> int:
    return a + b


def say(text: str, *, loud: bool = False) -> str:
    return text.upper() if loud else text


def fail(message: str = "no") -> None:
    raise ValueError(message)


def interrupt() -> None:
    raise KeyboardInterrupt


async def add_async(a: int, b: int) -> int:
    return a + b


def current_id() -> str:
    job = get_current_job()
    assert job is not None
    return str(job.id)


def note_progress() -> None:
    job = get_current_job()
    assert job is not None
    job.meta["half"] = True
    job.save_meta()


def on_success(job: Job, connection: redis.Redis, result: Any) -> None:
    SEEN.append(("success", job.id, result))


def on_failure(job: Job, connection: redis.Redis, exc_type: Any, exc_value: Any, trace: Any) -> None:
    SEEN.append(("failure", job.id, exc_type))


def raising_callback(*args: Any) -> None:
    raise LookupError("callback")


class Counter:
    def __init__(self, start: int) -> None:
        self.start = start

    def plus(self, more: int) -> int:
        return self.start + more

    @classmethod
    def zero(cls) -> int:
        return 0

    def __call__(self) -> int:
        return self.start


def take(store: Store, *queues: str) -> tuple[Job, Any]:
    """Claim the next job as worker 'tester': the job and what claim said of it."""
    answer = store.run(
        claim(
            store.keys, queues=queues or ("default",), worker="tester", executions=[new_execution_id()], lease_ms=60_000
        )
    )
    assert answer.word == "ok", f"nothing to claim: {answer}"
    (claimed,) = answer.jobs
    return Job.from_hash(claimed.job_id, claimed.fields, store.connection), claimed


def work(store: Store, *queues: str) -> Settled:
    """Claim the next job, run it, settle it."""
    job, claimed = take(store, *queues)
    settlement = Settlement(
        job_id=job.id,
        queue=claimed.queue,
        execution_id=claimed.execution_id,
        worker="tester",
        outcome="finished",
        result_ttl=job.get_result_ttl(500),
        failure_ttl=job.failure_ttl,
    )
    try:
        result = job.perform()
        settlement.result = None if result is None else pickle.dumps(result)
    except Exception:  # noqa: BLE001 - as a worker does
        settlement.outcome = "failed"
        settlement.exc_string = traceback.format_exc()
    return store.run(settle(store.keys, settlement=settlement))


def snapshot(connection: redis.Redis) -> dict[bytes, Any]:
    """The whole key space: key -> its value as DUMP gives it."""
    return {key: connection.dump(key) for key in sorted(connection.keys("*"))}
