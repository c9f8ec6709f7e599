"""begin_job: a stored job is started past its queue."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from tests.contract.jobs import add, fail, snapshot, take, work

from atomiq import JobStatus, Queue
from atomiq._commands.alone import begin_job
from atomiq._commands.settle import Settlement, settle
from atomiq._wire.sync import Store


def begin(store: Store, job_id: str, execution: str = "e1") -> str:
    command = begin_job(store.keys, job_id=job_id, worker="here", execution=execution, lease_ms=60_000)
    return store.run(command)[0]


@pytest.mark.parametrize("origin", ["created", "queued", "scheduled", "deferred", "finished", "failed", "canceled"])
def test_from_every_resting_status(origin: str, store: Store, redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    parent = queue.enqueue(add, 1, job_id="parent") if origin == "deferred" else None
    func = fail if origin == "failed" else add
    arguments = () if origin == "failed" else (1,)
    if origin == "scheduled":
        job = queue.enqueue_in(timedelta(1), func, *arguments)
    else:
        job = queue.enqueue(func, *arguments, depends_on=parent)
    if origin in ("finished", "failed"):
        work(store)
    elif origin == "canceled":
        job.cancel()
    elif origin == "created":
        queue.remove(job)
    assert job.get_status() == origin
    assert begin(store, job.id) == "ok"
    assert job.get_status() is JobStatus.STARTED
    counts = queue.counts()
    waiting = 1 if origin == "deferred" else 0
    assert (counts.queued, counts.started, counts.scheduled, counts.deferred) == (waiting, 1, 0, 0)
    assert (counts.finished, counts.failed, counts.canceled) == (0, 0, 0)
    assert redis_connection.zrange("rq:wip:default", 0, -1) == [f"{job.id}:e1".encode()]
    settlement = Settlement(job.id, "default", "e1", "here", "finished")
    assert store.run(settle(store.keys, settlement=settlement)).word == "ok"
    assert job.get_status() is JobStatus.FINISHED


def test_the_same_call_twice_changes_nothing_more(store: Store, redis_connection: redis.Redis) -> None:
    job = Queue(connection=redis_connection).enqueue(add, 1)
    begin(store, job.id)
    before = snapshot(redis_connection)
    assert begin(store, job.id) == "already"
    assert snapshot(redis_connection) == before


def test_refusals_write_nothing(store: Store, redis_connection: redis.Redis) -> None:
    assert begin(store, "nobody") == "gone"
    assert snapshot(redis_connection) == {}
    job = Queue(connection=redis_connection).enqueue(add, 1)
    take(store)
    before = snapshot(redis_connection)
    assert begin(store, job.id) == "busy"
    assert snapshot(redis_connection) == before
