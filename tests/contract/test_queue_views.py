"""Queue: looking at what waits, and taking it away."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from tests.contract.jobs import add, fail, take, work

from atomiq import Job, JobStatus, Queue
from atomiq._commands.change import cancel
from atomiq._wire.sync import Store


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


# -- looking and taking away -------------------------------------------------------------------------------------------


def test_ids_and_jobs_by_position(queue: Queue) -> None:
    ids = [queue.enqueue(add, n).id for n in range(5)]
    assert queue.count == len(queue) == 5
    assert not queue.is_empty()
    assert queue.get_job_ids(1, 2) == ids[1:3]
    assert queue.get_job_ids(3) == ids[3:]
    assert queue.get_job_ids(2, 0) == []
    assert queue.get_job_ids(0, 0) == [job.id for job in queue.get_jobs(0, 0)] == ids  # as in RQ
    assert queue.get_job_ids(0, -2) == ids[:4]
    assert [job.id for job in queue.jobs] == ids
    assert [job.id for job in queue.get_jobs(1, 2)] == ids[1:3]


def test_counts(queue: Queue, store: Store) -> None:
    queue.enqueue(add, 1)
    queue.enqueue(fail)
    queue.enqueue(add, 1)
    parent = queue.enqueue(add, 1)
    queue.enqueue(add, 1, depends_on=parent)
    queue.enqueue_in(timedelta(1), add, 1)
    store.run(cancel(store.keys, job_id=queue.enqueue(add, 1).id))
    work(store)
    work(store)
    take(store)
    counts = queue.counts()
    assert (counts.queued, counts.started, counts.finished, counts.failed) == (1, 1, 1, 1)
    assert (counts.deferred, counts.scheduled, counts.canceled, counts.paused) == (1, 1, 1, False)


def test_ids_without_a_job_leave_the_queue_when_they_are_met(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    redis_connection.rpush(queue.key, "ghost", "other-ghost")
    assert queue.jobs == [job]
    assert queue.job_ids == [job.id]


def test_fetch_job(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    assert queue.fetch_job(job.id) == job
    assert queue.fetch_job(f"{job.id}:execution") == job
    assert queue.fetch_job("nobody") is None
    assert Queue("other", redis_connection).fetch_job(job.id) is None


def test_empty_deletes_what_waits(queue: Queue, redis_connection: redis.Redis) -> None:
    for n in range(1200):
        queue.enqueue(add, n)
    kept = queue.enqueue_in(timedelta(1), add, 1)
    assert queue.empty() == 1200
    assert queue.empty() == 0
    assert kept.get_status() is JobStatus.SCHEDULED
    assert redis_connection.keys("rq:job:*") == [kept.key.encode()]


def test_delete(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    queue.delete()
    assert Queue.all(redis_connection) == []
    assert not Job.exists(job.id, redis_connection)


def test_delete_without_its_jobs(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    queue.delete(delete_jobs=False)
    assert Queue.all(redis_connection) == []
    assert job.get_status() is JobStatus.CREATED


def test_remove(queue: Queue) -> None:
    job, other = queue.enqueue(add, 1), queue.enqueue(add, 2)
    assert queue.remove(job) == 1
    assert queue.remove(job.id) == 0
    assert queue.job_ids == [other.id]
    assert job.get_status() is JobStatus.CREATED


def test_compact_does_nothing(queue: Queue) -> None:
    job = queue.enqueue(add, 1)
    queue.compact()
    assert queue.job_ids == [job.id]


def test_pause(queue: Queue, store: Store) -> None:
    job = queue.enqueue(add, 1)
    queue.pause()
    assert queue.is_paused
    with pytest.raises(AssertionError, match="nothing to claim"):
        take(store)
    queue.resume()
    assert not queue.is_paused
    assert take(store)[0] == job
