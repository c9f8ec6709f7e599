"""is_async=False: what the calling thread does with a job, and what is kept of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis
from tests.contract.here_jobs import (
    CALLS,
    asks_again,
    enqueues_here,
    in_which_thread,
    interrupted,
    note,
    out_of_time,
    raising,
    succeeds_at,
    taken_away_and_asks_again,
    taken_away_and_fails,
)
from tests.contract.jobs import add, fail
from tests.invariants import check_invariants

from atomiq import Callback, Job, JobStatus, Queue, Repeat, Retry
from atomiq._commands.base import Command
from atomiq._commands.settle import Settled
from atomiq._wire.sync import Store
from atomiq.exceptions import JobIsRunning, NoSuchJobError, ServerUnavailable
from atomiq.results import Result
from atomiq.webhook import Webhook


@pytest.fixture
def eager(redis_connection: redis.Redis) -> Any:
    CALLS.clear()
    yield Queue(connection=redis_connection, is_async=False)
    assert check_invariants(redis_connection) == []


# -- retries -----------------------------------------------------------------------------------------------------------


def test_retries_are_made_at_once(eager: Queue) -> None:
    """RQ forgets them: the job has failed, although it may be retried. Its caller wants to know how it ends."""
    job = eager.enqueue(succeeds_at, 3, retry=Retry(5, interval=3600), on_failure=Callback(note))
    assert job.get_status() is JobStatus.FINISHED
    assert job.return_value() == "done"
    assert ["call", (job.id, "failed"), "call", (job.id, "failed"), "call"] == CALLS
    assert Job.fetch(job.id, eager.connection).retries_left == job.retries_left == 3
    assert [result.type for result in job.results()] == [Result.Type.SUCCESSFUL], "as with a worker"


def test_retries_are_used_up(eager: Queue) -> None:
    job = eager.enqueue(succeeds_at, 9, retry=Retry(2))
    assert (job.get_status(), len(CALLS)) == (JobStatus.FAILED, 3)
    result = job.latest_result()
    assert result is not None
    assert "attempt 3" in (result.exc_string or "")


def test_a_returned_retry_is_carried_out_at_once(eager: Queue) -> None:
    job = eager.enqueue(asks_again, 3, 5)
    assert (job.get_status(), job.return_value(), len(CALLS)) == (JobStatus.FINISHED, "done", 3)
    assert Job.fetch(job.id, eager.connection).number_of_retries == 2


def test_returned_retries_are_used_up(eager: Queue) -> None:
    job = eager.enqueue(asks_again, 9, 2)
    assert (job.get_status(), len(CALLS)) == (JobStatus.FAILED, 3)
    result = job.latest_result()
    assert result is not None
    assert result.type is Result.Type.MAX_RETRIES_EXCEEDED


def test_an_interrupt_is_not_retried(eager: Queue) -> None:
    with pytest.raises(SystemExit):
        eager.enqueue(interrupted, job_id="i", retry=Retry(5))
    assert (Job.fetch("i", eager.connection).get_status(), CALLS) == (JobStatus.FAILED, ["call"])


@pytest.mark.parametrize("function", [taken_away_and_fails, taken_away_and_asks_again])
@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_a_job_that_is_taken_away_is_not_made_again(
    how: str, function: Any, eager: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker's run that has lost its job settles nothing, and isn't retried. Here each retry was made all the same,
    of a job that was deleted, too; and the one that had been canceled was told to its webhooks as failed."""
    monkeypatch.setattr(Webhook, "send", lambda webhook, job, **_: CALLS.append("webhook"))
    webhooks = [Webhook("http://receiver/", status) for status in ("finished", "failed")]
    job = eager.enqueue(function, how, retry=Retry(3), webhooks=webhooks)
    assert CALLS == ["call"]
    assert Job.exists(job.id, eager.connection) == (how == "cancel")
    if how == "cancel":
        assert job.get_status() is JobStatus.CANCELED


def test_the_time_of_the_job_around_it_is_over(eager: Queue) -> None:
    """It was taken for a failure of the job that runs in the thread of another one: that was made again, its caller
    went on, and nothing limited it any more (10 s of a job_timeout of 2, and finished)."""
    outer = eager.enqueue(enqueues_here, "default")
    assert outer.get_status() is JobStatus.FAILED
    result = outer.latest_result()
    assert result is not None
    assert "JobTimeoutException: over" in (result.exc_string or "")
    assert CALLS == ["call", ("inner", "failed")]
    assert Job.fetch("inner", eager.connection).get_status() is JobStatus.FAILED


def test_a_time_limit_of_its_own_is_a_failure(eager: Queue) -> None:
    assert eager.enqueue(out_of_time, retry=Retry(1)).get_status() is JobStatus.FAILED
    assert CALLS == ["call"] * 2


@pytest.mark.parametrize("enqueue", ["enqueue", "run_job"])
def test_a_lost_reply_is_no_failure(enqueue: str, eager: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server had settled it and could not say so. The error was taken for the function's: a finished job was made
    again, or was told to its failure callback."""
    run, lost = Store.run, []

    def losing(store: Store, command: Command[Any]) -> Any:
        said = run(store, command)
        if isinstance(said, Settled) and not lost:
            lost.append(said)
            raise ServerUnavailable("lost")
        return said

    job = eager.create_job(succeeds_at, (1,), retry=Retry(3), on_failure=Callback(note))
    stored = Queue(connection=eager.connection).enqueue_job(job) if enqueue == "run_job" else job
    monkeypatch.setattr(Store, "run", losing)
    with pytest.raises(ServerUnavailable):
        eager.run_job(stored) if enqueue == "run_job" else eager.enqueue_job(job)
    assert CALLS == ["call"]
    assert job.get_status() is JobStatus.FINISHED


def test_it_is_not_repeated(eager: Queue) -> None:
    job = eager.enqueue(succeeds_at, 1, repeat=Repeat(5))
    assert (job.get_status(), CALLS) == (JobStatus.FINISHED, ["call"])


def test_a_raising_failure_callback_ends_it(eager: Queue) -> None:
    with pytest.raises(LookupError):
        eager.enqueue(succeeds_at, 9, job_id="r", retry=Retry(5), on_failure=Callback(raising))
    assert (Job.fetch("r", eager.connection).get_status(), CALLS) == (JobStatus.FAILED, ["call"])


# -- callbacks and dependants ------------------------------------------------------------------------------------------


def test_callbacks_work_in_any_thread(eager: Queue) -> None:
    """A web server's thread can't be interrupted by a signal; RQ sets no time limit for them either."""
    made: list[Job] = []
    callbacks = {"on_success": Callback(note), "on_failure": Callback(note)}

    def request() -> None:
        made.append(eager.enqueue(in_which_thread, **callbacks))
        made.append(eager.enqueue(fail, "no", **callbacks))

    thread = threading.Thread(target=request, name="request")
    thread.start()
    thread.join()
    assert made[0].return_value() == "request"
    assert [(made[0].id, "finished"), (made[1].id, "failed")] == CALLS


def test_dependants_go_on(eager: Queue, redis_connection: redis.Redis) -> None:
    """RQ leaves them deferred for ever."""
    waiting = Queue(connection=redis_connection)
    parent = waiting.create_job(add, (1,))
    parent.save()
    child = waiting.enqueue(add, 2, depends_on=parent)
    assert child.get_status() is JobStatus.DEFERRED
    eager.enqueue_job(parent)
    assert (parent.get_status(), child.get_status()) == (JobStatus.FINISHED, JobStatus.QUEUED)


def test_in_a_batch(eager: Queue) -> None:
    jobs = eager.enqueue_many([
        Queue.prepare_data(add, (2,), depends_on="first"), Queue.prepare_data(add, (1,), job_id="first"),
    ])  # fmt: skip
    assert [job.get_status() for job in jobs] == [JobStatus.FINISHED] * 2
    assert {job.return_value() for job in jobs} == {1, 2}


@pytest.mark.parametrize("function", [add, fail])
def test_when_it_was_enqueued(function: Any, eager: Queue) -> None:
    """RQ says it, to callbacks and webhooks too."""
    job = eager.enqueue(function, 1)
    stored = Job.fetch(job.id, eager.connection)
    assert stored.enqueued_at == job.enqueued_at is not None
    assert stored.started_at == job.started_at == job.last_heartbeat is not None


def test_a_pipeline_of_the_caller_is_left_alone(eager: Queue, redis_connection: redis.Redis) -> None:
    """RQ runs the job before the pipeline is carried out, which then says that it is queued."""
    with redis_connection.pipeline() as pipeline:
        job = eager.enqueue(add, 1, pipeline=pipeline)
        assert (job.get_status(), len(pipeline)) == (JobStatus.FINISHED, 0)
        pipeline.execute()
    assert job.get_status() is JobStatus.FINISHED


# -- run_job, run_sync -------------------------------------------------------------------------------------------------


def test_run_job_records_and_raises(redis_connection: redis.Redis) -> None:
    """RQ's raises as well, but leaves the job in its queue."""
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(fail, "why")
    with pytest.raises(ValueError, match="why"):
        queue.run_job(job)
    assert job.get_status() is JobStatus.FAILED
    good = queue.enqueue(add, 1, 2)
    assert queue.run_job(good) is good
    assert (good.get_status(), good.return_value(), queue.count) == (JobStatus.FINISHED, 3, 0)
    assert check_invariants(redis_connection) == []


def test_run_sync_records_what_is_raised(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(fail, "why")
    assert queue.run_sync(job) is job
    assert job.get_status() is JobStatus.FAILED
    with pytest.raises(NoSuchJobError):
        queue.run_sync(queue.create_job(add, (1,)))


class Checking(Queue):
    """Overrides the step that runs the job."""

    def run_job(self, job: Job) -> Job:
        if job.kwargs.get("b") == 13:
            raise LookupError("unlucky")
        if job.kwargs.get("b") == 7:
            return job  # done, in its own way
        return super().run_job(job)


@pytest.mark.parametrize(("b", "ends", "value"), [(1, "finished", 2), (7, "finished", None), (13, "failed", None)])
def test_an_own_run_job(b: int, ends: str, value: int | None, redis_connection: redis.Redis) -> None:
    queue = Checking(connection=redis_connection, is_async=False)
    job = queue.enqueue(add, 1, b=b)
    assert (job.get_status().value, job.return_value()) == (ends, value)
    assert check_invariants(redis_connection) == []


def test_a_job_that_runs_elsewhere_is_not_run_here(eager: Queue, redis_connection: redis.Redis) -> None:
    job = Queue(connection=redis_connection).enqueue(add, 1)
    with redis_connection.pipeline() as pipeline:
        job.prepare_for_execution("elsewhere", pipeline=pipeline)
        pipeline.execute()
    with pytest.raises(JobIsRunning):
        eager.run_sync(job)
    job.set_status(JobStatus.FAILED)
