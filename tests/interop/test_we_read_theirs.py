"""RQ's producer and RQ's data; our readers and our worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
import rq
import rq.group
from tests.interop import jobs, ours, theirs

from atomiq import Job, Queue, Result, Retry
from atomiq.exceptions import DuplicateJobError
from atomiq.group import Group


@pytest.fixture
def their_queue(redis_connection: redis.Redis) -> rq.Queue:
    return rq.Queue(connection=redis_connection)


def test_our_worker_runs_rqs_jobs(redis_connection: redis.Redis, their_queue: rq.Queue) -> None:
    """RQ's enqueue, our SimpleWorker, RQ's reading of what it left."""
    good, bad, none = (their_queue.enqueue(*call) for call in ((jobs.add, 1, 2), (jobs.boom,), (jobs.nothing,)))
    method = their_queue.enqueue(jobs.Counter(40).plus, 2)
    ours.run_simple(redis_connection)
    assert [job.return_value(refresh=True) for job in (good, none, method)] == [3, None, 42]
    assert [job.get_status() for job in (good, bad, none, method)] == ["finished", "failed", "finished", "finished"]
    assert "RuntimeError: Boom" in bad.latest_result().exc_string
    assert their_queue.failed_job_registry.get_job_ids() == [bad.id]
    assert their_queue.started_job_registry.count == 0
    good.refresh()
    assert good.started_at <= good.ended_at


def test_our_forking_worker_runs_rqs_jobs(redis_connection: redis.Redis, their_queue: rq.Queue) -> None:
    made = [their_queue.enqueue(jobs.add, number, 1) for number in range(3)]
    ours.run_forking(redis_connection)
    assert [job.return_value(refresh=True) for job in made] == [1, 2, 3]


def test_our_worker_does_rqs_retries_callbacks_and_dependents(
    redis_connection: redis.Redis, their_queue: rq.Queue, tmp_path: Path
) -> None:
    retried = their_queue.enqueue(jobs.fail_until, str(tmp_path / "runs"), 3, retry=rq.Retry(max=5))
    called = their_queue.enqueue(jobs.add, 1, 2, job_id="good", on_success=rq.Callback(jobs.on_success))
    failed = their_queue.enqueue(jobs.boom, job_id="bad", on_failure=rq.Callback(jobs.on_failure))
    both = their_queue.enqueue(jobs.add, 5, 5, depends_on=[retried, called])
    allowed = rq.job.Dependency([failed], allow_failure=True)
    anyway = their_queue.enqueue(jobs.add, 6, 6, depends_on=allowed)
    ours.run_simple(redis_connection)
    assert retried.return_value(refresh=True) == 3
    assert (redis_connection.get("success:good"), redis_connection.get("failure:bad")) == (b"3", b"Boom")
    assert [job.return_value(refresh=True) for job in (both, anyway)] == [10, 12]
    assert their_queue.deferred_job_registry.count == 0


@pytest.mark.parametrize("run", [ours.run_simple, ours.run_forking])
def test_a_job_whose_code_still_imports_rq_asks_our_worker_for_a_retry(
    redis_connection: redis.Redis, their_queue: rq.Queue, tmp_path: Path, run: Callable[[redis.Redis], None]
) -> None:
    """Only the worker was replaced: the job returned RQ's Retry, which was taken for its result, so a job that had
    asked to be run again was finished."""
    patient = their_queue.enqueue(jobs.ask_rq_for_a_retry, str(tmp_path / "patient"), 3)
    hopeless = their_queue.enqueue(jobs.ask_rq_for_a_retry, str(tmp_path / "hopeless"), 99)
    run(redis_connection)
    assert (patient.get_status(), patient.return_value(refresh=True)) == ("finished", 3)
    assert hopeless.get_status() == "failed"
    assert len((tmp_path / "hopeless").read_text().splitlines()) == 6
    types = [result.type for result in hopeless.results()]
    assert types == [rq.results.Result.Type.MAX_RETRIES_EXCEEDED, *[rq.results.Result.Type.RETRIED] * 5]
    assert isinstance(hopeless.latest_result().return_value, rq.Retry)  # a reader may have no atomiq
    here = Queue(is_async=False, connection=redis_connection).enqueue(jobs.ask_rq_for_a_retry, str(tmp_path / "h"), 2)
    assert here.return_value() == 2


def test_our_worker_runs_what_rq_scheduled_and_needs_no_scheduler(
    redis_connection: redis.Redis, their_queue: rq.Queue
) -> None:
    due = their_queue.enqueue_at(datetime.now(UTC) - timedelta(seconds=5), jobs.add, 1, 2)
    late = their_queue.enqueue_in(timedelta(hours=1), jobs.add, 1, 2)
    ours.run_simple(redis_connection)
    assert due.return_value(refresh=True) == 3
    assert late.get_status() == "scheduled"


def test_our_worker_repeats_rqs_job(redis_connection: redis.Redis, their_queue: rq.Queue) -> None:
    job = their_queue.enqueue(jobs.add, 1, 2, repeat=rq.Repeat(times=2))
    ours.run_simple(redis_connection)
    assert len(job.results()) == 3


def test_we_read_every_option_of_rqs_job(redis_connection: redis.Redis, their_queue: rq.Queue) -> None:
    their_queue.enqueue(jobs.add, 1, 2, job_id="parent")
    their_queue.enqueue(
        jobs.add, 1, y=2, job_id="j", job_timeout="1h", result_ttl=60, ttl=100, failure_ttl=70, description="text",
        depends_on=rq.job.Dependency(["parent"], allow_failure=True, enqueue_at_front=True), meta={"a": 1},
        retry=rq.Retry(3, [1, 2], enqueue_at_front=True), repeat=rq.Repeat(2, [5, 6]),
        on_success=rq.Callback(jobs.on_success), on_failure=rq.Callback(jobs.on_failure, timeout=10),
        on_stopped=rq.Callback(jobs.on_failure, timeout="2m"),
    )  # fmt: skip
    mine, other = Job.fetch("j", connection=redis_connection), rq.job.Job.fetch("j", connection=redis_connection)
    for name in (
        "id", "func_name", "args", "kwargs", "timeout", "result_ttl", "ttl", "failure_ttl", "description", "meta",
        "origin",
        "retries_left", "retry_intervals", "enqueue_at_front_on_retry", "repeats_left", "repeat_intervals",
        "success_callback", "failure_callback", "stopped_callback", "success_callback_timeout",
        "failure_callback_timeout", "stopped_callback_timeout", "allow_dependency_failures", "enqueue_at_front",
        "created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat", "worker_name", "group_id",
        "number_of_retries", "dependency_ids",
    ):  # fmt: skip
        assert getattr(mine, name) == getattr(other, name), name
    assert mine.is_deferred
    assert "j" in Queue(connection=redis_connection).deferred_job_registry


def test_we_read_what_rqs_worker_left(redis_connection: redis.Redis, their_queue: rq.Queue) -> None:
    """Results, statuses, registries, times."""
    good, bad = their_queue.enqueue(jobs.add, 1, 2), their_queue.enqueue(jobs.boom)
    scheduled = their_queue.enqueue_in(timedelta(hours=1), jobs.add, 1, 2)
    canceled = their_queue.enqueue(jobs.add, 1, 2)
    canceled.cancel()
    theirs.run_simple(redis_connection)
    queue = Queue(connection=redis_connection)
    assert queue.finished_job_registry.get_job_ids() == [good.id]
    assert queue.failed_job_registry.get_job_ids() == [bad.id]
    assert queue.scheduled_job_registry.get_job_ids() == [scheduled.id]
    assert queue.canceled_job_registry.get_job_ids() == [canceled.id]
    mine = Job.fetch(good.id, connection=redis_connection)
    theirs_, own = good.latest_result(), mine.latest_result()
    for name in ("id", "return_value", "worker_name", "execution_id", "execution_started_at", "created_at"):
        assert getattr(own, name) == getattr(theirs_, name), name
    assert own.type is Result.Type.SUCCESSFUL
    assert Job.fetch(bad.id, connection=redis_connection).latest_result().exc_string == bad.latest_result().exc_string
    good.refresh()
    assert (mine.started_at, mine.ended_at) == (good.started_at, good.ended_at)
    queue.failed_job_registry.requeue(bad.id)
    assert bad.get_status() == "queued"
    assert their_queue.get_job_ids() == [bad.id]


def test_a_returned_retry_of_rq_is_readable(redis_connection: redis.Redis, their_queue: rq.Queue) -> None:
    """Their class, pickled into the result, comes back as their class; ours understands the attributes."""
    job = their_queue.enqueue("rq.Retry", 1)
    theirs.run_simple(redis_connection)
    results = Job.fetch(job.id, connection=redis_connection).results()
    assert [result.type for result in results] == [Result.Type.MAX_RETRIES_EXCEEDED, Result.Type.RETRIED]
    assert results[0].return_value.max == Retry(1).max


def test_our_group_reads_rqs(redis_connection: redis.Redis, their_queue: rq.Queue) -> None:
    """Its members are run by our worker, read by both, and leave the group when they are deleted."""
    group = rq.group.Group.create(redis_connection, name="g")
    group.enqueue_many(their_queue, [rq.Queue.prepare_data(jobs.add, (1, 2), job_id=job_id) for job_id in ("a", "b")])
    mine = Group.fetch("g", redis_connection)
    assert {job.id for job in mine.get_jobs()} == {"a", "b"}
    ours.run_simple(redis_connection)
    assert [job.return_value(refresh=True) for job in group.get_jobs()] == [3, 3]
    Job.fetch("a", connection=redis_connection).delete()
    assert [job.id for job in group.get_jobs()] == ["b"]


def test_unique_holds_across(redis_connection: redis.Redis, their_queue: rq.Queue) -> None:
    their_queue.enqueue(jobs.add, 1, 2, job_id="one", unique=True)
    with pytest.raises(DuplicateJobError):
        Queue(connection=redis_connection).enqueue(jobs.add, 1, 2, job_id="one", unique=True)
