"""RQScheduler: what code that uses it sees. Nobody needs one: workers move what is due."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
import redis
from tests import tasks
from tests.helpers import wait_until

from atomiq import Queue
from atomiq.exceptions import SchedulerNotFound
from atomiq.job import JobStatus
from atomiq.scheduler import RQScheduler, SchedulerStatus

PAST = datetime.now(UTC) - timedelta(minutes=1)


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue("default", connection=redis_connection)


@pytest.fixture
def scheduler(queue: Queue) -> RQScheduler:
    return RQScheduler([queue, "other"], queue.connection, name="s")


def due(queue: Queue) -> str:
    """A job that is due, and that nobody has moved yet."""
    job = queue.enqueue_at(datetime.now(UTC) + timedelta(hours=1), tasks.nothing)
    queue.connection.zadd(queue.scheduled_job_registry.key, {job.id: PAST.timestamp()})
    return job.id


def test_locks(scheduler: RQScheduler, queue: Queue) -> None:
    assert scheduler.should_reacquire_locks
    assert scheduler.acquire_locks() == {"default", "other"} == scheduler.acquired_locks
    assert not scheduler.should_reacquire_locks
    assert queue.connection.get(RQScheduler.get_locking_key("default")) == b"s"
    assert queue.connection.ttl(RQScheduler.get_locking_key("default")) == 61
    second = RQScheduler(["default", "third"], queue.connection)
    assert second.acquire_locks() == {"third"}
    assert not second.should_reacquire_locks  # not again before two minutes have passed
    second.lock_acquisition_time = datetime.now(UTC) - timedelta(minutes=3)
    assert second.should_reacquire_locks
    second._acquired_locks.add("default")  # it believes so
    second.release_locks()
    assert queue.connection.get(RQScheduler.get_locking_key("default")) == b"s"
    assert queue.connection.get(RQScheduler.get_locking_key("third")) is None


def test_what_is_due_is_moved_once(scheduler: RQScheduler, queue: Queue) -> None:
    moved, later = due(queue), queue.enqueue_at(datetime.now(UTC) + timedelta(hours=1), tasks.nothing)
    scheduler.enqueue_scheduled_jobs()  # without a lock nothing is its business
    assert queue.job_ids == []
    scheduler.acquire_locks()
    rival = RQScheduler(["default"], queue.connection)
    rival.prepare_registries(["default"])  # RQ's second owner enqueues it again (C4)
    scheduler.enqueue_scheduled_jobs()
    rival.enqueue_scheduled_jobs()
    assert queue.job_ids == [moved]
    assert later.get_status() is JobStatus.SCHEDULED


def test_more_than_one_step_can_move(scheduler: RQScheduler, queue: Queue) -> None:
    ids = [due(queue) for _ in range(150)]
    scheduler.acquire_locks()
    scheduler.enqueue_scheduled_jobs()
    assert sorted(queue.job_ids) == sorted(ids)


def test_birth_and_death(scheduler: RQScheduler, queue: Queue) -> None:
    with pytest.raises(SchedulerNotFound):
        RQScheduler.fetch("s", queue.connection)
    scheduler.register_birth()
    found = RQScheduler.fetch("s", queue.connection)
    assert (found.name, found.hostname, found.pid) == ("s", scheduler.hostname, os.getpid())
    assert (found.created_at, found.last_heartbeat) == (scheduler.created_at, scheduler.last_heartbeat)
    assert found._queue_names == {"default", "other"}
    assert queue.connection.ttl(scheduler.key) == 61
    assert scheduler.register_death()
    assert not scheduler.register_death()


def test_save_in_a_pipeline(scheduler: RQScheduler, queue: Queue) -> None:
    with queue.connection.pipeline() as pipeline:
        scheduler.save(pipeline)
        assert not queue.connection.exists(scheduler.key)
        pipeline.execute()
    assert queue.connection.hget(scheduler.key, "name") == b"s"
    assert scheduler.to_dict()["last_heartbeat"] == ""


def test_heartbeat(scheduler: RQScheduler, queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    """A lock that has expired is taken again; one that is another's by now is let go."""
    scheduler.register_birth()
    scheduler.acquire_locks()
    queue.connection.delete(RQScheduler.get_locking_key("default"))
    queue.connection.set(RQScheduler.get_locking_key("other"), "somebody")
    queue.connection.expire(scheduler.key, 5)
    scheduler.heartbeat()
    assert scheduler.acquired_locks == {"default"}
    assert queue.connection.ttl(scheduler.key) == 61
    assert "had expired" in caplog.text


def test_its_process(queue: Queue) -> None:
    scheduler = RQScheduler(["default"], queue.connection, interval=1, logging_level="WARNING")
    assert scheduler.status is SchedulerStatus.STOPPED
    assert scheduler.acquire_locks(auto_start=True) == {"default"}
    process = scheduler._process
    try:
        wait_until(lambda: queue.connection.hget(scheduler.key, "pid") == str(process.pid).encode(), within=30)
        assert queue.scheduler_pid == process.pid
        job_id = due(queue)
        wait_until(lambda: queue.job_ids == [job_id], within=30)
    finally:
        process.terminate()
        process.join()
    assert process.exitcode == 0
    assert queue.connection.keys("rq:scheduler*") == []
    assert scheduler.status is SchedulerStatus.STARTED
