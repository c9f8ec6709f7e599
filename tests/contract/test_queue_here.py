"""Queue with is_async=False, and the decorator."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from tests.contract import jobs
from tests.contract.jobs import add, fail, work

from atomiq import Callback, Job, JobStatus, Queue
from atomiq._wire.sync import Store
from atomiq.decorators import job as job_decorator
from atomiq.exceptions import DuplicateJobError


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


# -- is_async=False ----------------------------------------------------------------------------------------------------


@pytest.fixture
def eager(redis_connection: redis.Redis) -> Queue:
    jobs.SEEN.clear()
    return Queue(connection=redis_connection, is_async=False)


def test_it_runs_here_and_now(eager: Queue, redis_connection: redis.Redis) -> None:
    job = eager.enqueue(add, 1, 2, on_success=Callback(jobs.on_success))
    assert job.get_status(refresh=False) is job.get_status() is JobStatus.FINISHED
    assert (job.return_value(), job.worker_name) == (3, "sync")
    assert job.started_at is not None
    assert job.ended_at is not None
    assert [("success", job.id, 3)] == jobs.SEEN
    assert eager.counts().finished == 1
    assert eager.counts().queued == eager.counts().scheduled == eager.counts().started == 0
    assert redis_connection.keys("rq:execution*") == []


def test_a_failure_is_recorded_not_raised(eager: Queue) -> None:
    job = eager.enqueue(fail, "why", on_failure=Callback(jobs.on_failure))
    assert job.get_status() is JobStatus.FAILED
    assert job.ended_at is not None
    result = job.latest_result()
    assert result is not None
    assert "ValueError: why" in (result.exc_string or "")
    assert [("failure", job.id, ValueError)] == jobs.SEEN


def test_an_interrupt_is_recorded_and_raised(eager: Queue) -> None:
    with pytest.raises(KeyboardInterrupt):
        eager.enqueue(jobs.interrupt, job_id="i")
    assert Job.fetch("i", eager.connection).get_status() is JobStatus.FAILED


def test_it_is_the_current_job_and_can_save_its_meta(eager: Queue) -> None:
    job = eager.enqueue(jobs.current_id)
    assert job.return_value() == job.id
    assert eager.enqueue(jobs.note_progress, job_id="m").get_meta() == {"half": True}
    assert eager.enqueue(jobs.add_async, 1, 2).return_value() == 3


def test_an_exception_of_a_callback_is_raised(eager: Queue) -> None:
    with pytest.raises(LookupError):
        eager.enqueue(add, 1, job_id="c", on_success=Callback(jobs.raising_callback))
    assert Job.fetch("c", eager.connection).get_status() is JobStatus.FINISHED


def test_no_result_is_kept_with_result_ttl_zero(eager: Queue, redis_connection: redis.Redis) -> None:
    job = eager.enqueue(add, 1, result_ttl=0)
    assert not Job.exists(job.id, redis_connection)


def test_what_waits_is_not_run_here(eager: Queue, redis_connection: redis.Redis, store: Store) -> None:
    parent = Queue(connection=redis_connection).enqueue(add, 1)
    child = eager.enqueue(add, 2, depends_on=parent)
    assert child.get_status() is JobStatus.DEFERRED
    work(store)
    assert child.get_status() is JobStatus.QUEUED
    assert eager.enqueue_in(timedelta(1), add, 1).get_status() is JobStatus.SCHEDULED


def test_dependents_in_one_batch(eager: Queue) -> None:
    made = eager.enqueue_many([
        Queue.prepare_data(add, (2,), job_id="b", depends_on="a"), Queue.prepare_data(add, (1,), job_id="a"),
    ])  # fmt: skip
    assert {job.id: job.get_status() for job in made} == {"a": JobStatus.FINISHED, "b": JobStatus.FINISHED}


def test_unique_here(eager: Queue) -> None:
    eager.enqueue(add, 1, job_id="u", unique=True)
    with pytest.raises(DuplicateJobError):
        eager.enqueue(add, 1, job_id="u", unique=True)


# -- the decorator -----------------------------------------------------------------------------------------------------


def test_the_decorator(redis_connection: redis.Redis, queue: Queue) -> None:
    decorated = job_decorator("default", redis_connection, timeout="1m", result_ttl=7, meta={"a": 1})(jobs.say)
    assert decorated("hi", loud=True) == "HI"
    job = decorated.delay("hi", loud=True)
    assert (job.args, job.kwargs, job.timeout, job.result_ttl, job.meta) == (("hi",), {"loud": True}, 60, 7, {"a": 1})
    other = decorated.enqueue("x", job_id="other", at_front=True)
    assert queue.job_ids == ["other", job.id]
    assert decorated.delay("y", depends_on=other).get_status() is JobStatus.DEFERRED
    assert job_decorator(queue, None)(jobs.add).delay(1).origin == "default"
