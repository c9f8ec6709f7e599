"""rq.scripts, by its names: unique jobs, and locks with an owner. And the decorator's own hooks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from tests.contract.jobs import add, snapshot
from tests.helpers import wait_until
from tests.invariants import check_invariants

from atomiq import Job, JobStatus, Queue, scripts
from atomiq.decorators import job as job_decorator
from atomiq.exceptions import DuplicateJobError, InvalidTime
from atomiq.scripts import (
    acquire_or_refresh_lock,
    get_unique_enqueue_script,
    get_unique_schedule_script,
    release_lock,
    save_unique_job,
    schedule_unique_job,
)
from atomiq.timeouts import TimerDeathPenalty, UnixSignalDeathPenalty

LOCK = "rq:scheduler-lock:default"
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Any:
    yield Queue(connection=redis_connection)
    assert check_invariants(redis_connection) == []


# -- unique jobs -------------------------------------------------------------------------------------------------------


def test_save_unique_job(queue: Queue, redis_connection: redis.Redis) -> None:
    queue.enqueue(add, 0)
    job = queue.create_job(add, (1,), job_id="once")
    assert save_unique_job(redis_connection, queue.key, job, at_front=True) is True
    assert (queue.job_ids[0], job.get_status(refresh=False)) == ("once", JobStatus.QUEUED)
    before = snapshot(redis_connection)
    with pytest.raises(DuplicateJobError):
        save_unique_job(redis_connection, queue.key, queue.create_job(add, (2,), job_id="once"))
    with pytest.raises(ValueError, match="queue key"):
        save_unique_job(redis_connection, "default", queue.create_job(add, (2,), job_id="other"))
    assert snapshot(redis_connection) == before


def test_save_a_unique_job_without_enqueueing_it(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.create_job(add, (1, 2), job_id="once")
    assert save_unique_job(redis_connection, queue.key, job, enqueue=False) is True
    assert queue.count == 0
    with pytest.raises(DuplicateJobError):
        save_unique_job(redis_connection, queue.key, job, enqueue=False)
    assert queue.run_sync(job).return_value() == 3


def test_schedule_unique_job(queue: Queue, redis_connection: redis.Redis) -> None:
    registry = queue.scheduled_job_registry
    job = queue.create_job(add, (1,), job_id="once")
    assert schedule_unique_job(redis_connection, queue.key, registry.key, job, LATER) is True
    assert registry.get_job_ids() == ["once"]
    with pytest.raises(DuplicateJobError):
        schedule_unique_job(redis_connection, queue.key, registry.key, job, LATER)
    wrong: Any = "2030"
    with pytest.raises(InvalidTime):
        schedule_unique_job(redis_connection, queue.key, registry.key, job, wrong)


def test_the_scripts_themselves(redis_connection: redis.Redis) -> None:
    for script in (get_unique_enqueue_script(redis_connection), get_unique_schedule_script(redis_connection)):
        assert redis_connection.script_load(script.script) == script.sha
    for name in ("UNIQUE_ENQUEUE", "UNIQUE_SCHEDULE", "ACQUIRE_OR_REFRESH_LOCK", "RELEASE_LOCK"):
        assert redis_connection.script_load(getattr(scripts, f"{name}_SCRIPT"))
    with pytest.raises(AttributeError, match="NO_SCRIPT"):
        scripts.NO_SCRIPT  # noqa: B018


# -- locks -------------------------------------------------------------------------------------------------------------


def test_a_lock_belongs_to_its_owner(redis_connection: redis.Redis) -> None:
    assert acquire_or_refresh_lock(redis_connection, LOCK, "me", 60) == "acquired"
    assert acquire_or_refresh_lock(redis_connection, LOCK, "other", 5) == "taken"
    assert acquire_or_refresh_lock(redis_connection, LOCK, "me", 100) == "refreshed"
    assert 60 < redis_connection.ttl(LOCK) <= 100
    assert release_lock(redis_connection, LOCK, "other") is False
    assert release_lock(redis_connection, LOCK, "me") is True
    assert release_lock(redis_connection, LOCK, "me") is False


def test_a_lock_ends_by_itself(redis_connection: redis.Redis) -> None:
    acquire_or_refresh_lock(redis_connection, LOCK, "gone", 1)
    wait_until(lambda: not redis_connection.exists(LOCK), within=20, what="the lock has ended")
    assert acquire_or_refresh_lock(redis_connection, LOCK, "me", 60) == "acquired"


# -- classes by object and by name -------------------------------------------------------------------------------------


def test_classes_by_name(redis_connection: redis.Redis) -> None:
    queue = Queue(
        "a", redis_connection, job_class="atomiq.Job", serializer="atomiq.serializers.JSONSerializer",
        death_penalty_class="atomiq.timeouts.TimerDeathPenalty",
    )  # fmt: skip
    assert (queue.job_class, queue.death_penalty_class) == (Job, TimerDeathPenalty)
    queue.enqueue(add, 1)
    (same,) = Queue.all(redis_connection, job_class="atomiq.Job", death_penalty_class=TimerDeathPenalty)
    assert (same.job_class, same.death_penalty_class) == (Job, TimerDeathPenalty)
    default = Queue("a", redis_connection, death_penalty_class=None)
    assert Queue.death_penalty_class is default.death_penalty_class is UnixSignalDeathPenalty


def test_compact(queue: Queue, redis_connection: redis.Redis) -> None:
    """RQ's renames the queue meanwhile, and raises when there is none."""
    queue.compact()
    jobs = [queue.enqueue(add, number) for number in range(4)]
    for job in jobs[1:3]:
        redis_connection.delete(job.key)
    assert queue.count == 4
    queue.compact()
    assert queue.job_ids == [jobs[0].id, jobs[3].id]


# -- the decorator -----------------------------------------------------------------------------------------------------


class OwnQueue(Queue):
    """Sees the calls of the decorator, as a subclass of RQ's does."""

    calls: list[Any]

    def enqueue_call(self, *args: Any, **kwargs: Any) -> Job:
        OwnQueue.calls.append(sorted(kwargs))
        return super().enqueue_call(*args, **kwargs)


class own_job(job_decorator):  # noqa: N801 - as its base
    queue_class = OwnQueue


@pytest.mark.parametrize("how", ["object", "name", "class attribute"])
def test_queue_class_of_the_decorator(how: str, redis_connection: redis.Redis) -> None:
    OwnQueue.calls = []
    if how == "class attribute":
        decorator = own_job("default", redis_connection)
    else:
        named = f"{OwnQueue.__module__}.OwnQueue"
        decorator = job_decorator("default", redis_connection, queue_class=OwnQueue if how == "object" else named)
    assert decorator(add).delay(1).get_status() is JobStatus.QUEUED
    if how == "name":
        assert decorator.queue_class.__name__ == "OwnQueue"
    else:
        assert len(OwnQueue.calls) == 1
        assert {"timeout", "at_front", "depends_on", "job_id"} <= set(OwnQueue.calls[0])
    assert job_decorator.queue_class is Queue


def test_keywords_of_a_decorated_call(queue: Queue) -> None:
    """Only depends_on, job_id and at_front are kept from the function; the others are its own (RQ)."""
    decorated = job_decorator(queue, queue.connection, timeout=5, at_front=True)(take_all)
    job = decorated.delay(1, job_id="x", job_timeout=7, unique=True)
    assert (job.id, job.timeout, job.args) == ("x", 5, (1,))
    assert job.kwargs == {"job_timeout": 7, "unique": True}
    assert (decorated.delay.__name__, decorated.delay.__doc__) == ("take_all", "Takes everything.")  # type: ignore[attr-defined]


def take_all(*args: Any, **kwargs: Any) -> None:
    """Takes everything."""
