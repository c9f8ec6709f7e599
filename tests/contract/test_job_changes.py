"""Job: results, cancel, requeue, delete, dependencies."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis
from tests.contract import jobs
from tests.contract.jobs import add, fail, snapshot, take, work

from atomiq import Dependency, Job, JobStatus, Queue, Retry, cancel_job, get_current_job, requeue_job
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidJobOperation, NoSuchJobError
from atomiq.results import Result


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


# -- results -----------------------------------------------------------------------------------------------------------


def test_results(queue: Queue, store: Store) -> None:
    job = queue.enqueue(add, 1, 2)
    assert job.latest_result() is None
    assert job.return_value() is None
    assert job.results() == []
    work(store)
    result = job.latest_result()
    assert result is not None
    assert (result.type, result.return_value) == (Result.Type.SUCCESSFUL, 3)
    assert job.return_value() == 3
    assert job.results() == [result]
    with pytest.deprecated_call(match="return_value"):
        assert job.result == 3
    with pytest.deprecated_call(match="latest_result"):
        assert job.exc_info is None


def test_a_failure(queue: Queue, store: Store) -> None:
    job = queue.enqueue(fail, "why")
    work(store)
    assert job.is_failed
    assert job.return_value() is None
    with pytest.deprecated_call():
        assert "ValueError: why" in (job.exc_info or "")


def test_waiting_for_a_result_is_woken(queue: Queue, store: Store, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1, 2)
    got: list[Any] = []

    def wait() -> None:
        began = time.monotonic()
        result = job.latest_result(timeout=30)
        got.extend([result, time.monotonic() - began])

    waiter = threading.Thread(target=wait)
    waiter.start()
    work(store)
    waiter.join(20)
    assert got[0].return_value == 3
    assert got[1] < 10


def test_waiting_in_vain(queue: Queue) -> None:
    job = queue.enqueue(add, 1)
    assert job.latest_result(timeout=0.1) is None


# -- cancel, requeue, delete -------------------------------------------------------------------------------------------


def test_cancel(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    job.cancel()
    assert job.get_status(refresh=False) is job.get_status() is JobStatus.CANCELED
    assert queue.count == 0
    assert redis_connection.zscore("rq:canceled:default", job.id) is not None
    with pytest.raises(InvalidJobOperation, match="already canceled"):
        job.cancel()


def test_cancel_lets_dependents_go_if_asked(queue: Queue) -> None:
    parent = queue.enqueue(add, 1)
    child = queue.enqueue(add, 1, depends_on=parent)
    cancel_job(parent.id, queue.connection, enqueue_dependents=True)
    assert child.is_queued


def test_cancel_a_running_job_takes_its_lease(queue: Queue, store: Store) -> None:
    job = queue.enqueue(add, 1)
    take(store)
    job.cancel()
    assert queue.counts().started == 0
    assert job.is_canceled


def test_cancel_in_a_pipeline(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    with redis_connection.pipeline() as pipeline:
        job.cancel(pipeline=pipeline)
        assert job.is_queued
        pipeline.execute()
    assert job.is_canceled


def test_cancel_by_id(queue: Queue) -> None:
    job = queue.enqueue(add, 1)
    cancel_job(job.id, queue.connection)
    assert job.is_canceled
    with pytest.raises(NoSuchJobError):
        cancel_job("nobody", queue.connection)


def test_requeue(queue: Queue, store: Store) -> None:
    job = queue.enqueue(fail)
    other = queue.enqueue(add, 1)
    work(store)
    assert job.is_failed
    assert job.requeue(at_front=True) is job
    assert job.is_queued
    assert (job.started_at, job.ended_at) == (None, None)
    assert queue.job_ids == [job.id, other.id]
    assert queue.connection.ttl(job.key) == -1, "the failure's time to live is over"
    work(store)
    assert requeue_job(job.id, queue.connection) == job


def test_requeue_what_has_not_failed(queue: Queue) -> None:
    job = queue.enqueue(add, 1)
    with pytest.raises(InvalidJobOperation):
        job.requeue()
    job.delete()
    with pytest.raises(InvalidJobOperation):
        job.requeue()
    with pytest.raises(NoSuchJobError):
        requeue_job("nobody", queue.connection)


def test_delete_leaves_nothing(queue: Queue, store: Store, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1, job_id="d")
    work(store)
    job.delete()
    left = [key for key in redis_connection.keys("*") if b"d" in key.split(b":")]
    assert left == []
    job.delete()


def test_delete_dependents(queue: Queue, redis_connection: redis.Redis) -> None:
    parent = queue.enqueue(add, 1)
    child, other = queue.enqueue(add, 1, depends_on=parent), queue.enqueue(add, 1, depends_on=parent)
    child.delete()
    assert parent.dependent_ids == [other.id]
    parent.delete(delete_dependents=True)
    assert redis_connection.keys("rq:job:*") == []


# -- dependencies, retry, current job ----------------------------------------------------------------------------------


def test_dependencies_are_met(queue: Queue, store: Store) -> None:
    parent = queue.enqueue(fail)
    child = queue.enqueue(add, 1, depends_on=parent)
    tolerant = queue.enqueue(add, 1, depends_on=Dependency(parent, allow_failure=True))
    assert not tolerant.dependencies_are_met()
    assert child.dependencies_are_met(exclude_job_id=parent.id)
    work(store)
    assert tolerant.dependencies_are_met()
    assert not child.dependencies_are_met()


def test_a_dependency_that_is_gone(queue: Queue) -> None:
    child = queue.enqueue(add, 1, depends_on="nobody")
    assert child.fetch_dependencies() == []
    with pytest.raises(NoSuchJobError):
        child.dependency  # noqa: B018
    assert queue.enqueue(add, 1).dependency is None


def test_retry_intervals_go_forward(redis_connection: redis.Redis) -> None:
    job = Job.create(add, (1,), connection=redis_connection, retry=Retry(5, [10, 60]))
    assert job.should_retry
    waits = []
    for done in range(3):
        job.retries_done = done
        waits.append(job.get_retry_interval())
    assert waits == [10, 60, 60]


def test_the_current_job(redis_connection: redis.Redis) -> None:
    assert get_current_job() is None
    job = Job.create(jobs.current_id, connection=redis_connection)
    assert job.perform() == job.id
    assert get_current_job() is None
    with pytest.warns(DeprecationWarning, match="no effect"):
        get_current_job(redis_connection)


def test_lookups_upward(queue: Queue, store: Store) -> None:
    job = queue.enqueue(add, 1)
    take(store)
    assert job.started_job_registry.count == 1
    assert job.failed_job_registry.count == 0
    assert job.finished_job_registry.name == "default"
    (execution,) = job.get_executions()
    assert execution.job_id == job.id
    assert execution.job == job


def test_reading_changes_nothing(queue: Queue, store: Store, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    child = queue.enqueue(add, 1, depends_on=job)
    before = snapshot(redis_connection)
    for each in (job, child):
        each.refresh()
        each.get_status()
        each.get_meta()
        each.get_position()
        each.latest_result()
        each.return_value()
        assert each.dependency_ids is not None
        assert each.dependent_ids is not None
    assert queue.counts().queued == len(queue.jobs) == 1
    assert snapshot(redis_connection) == before
