"""What a job may rely on, whichever executor runs it: the same tests for the worker that forks and the one that
doesn't."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import pytest
from tests import tasks

from atomiq import Callback, Job, JobStatus, Queue, Retry
from atomiq.results import Result
from atomiq.worker import BaseWorker, SimpleWorker, Worker

BOTH = pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
FORK_ONLY = pytest.mark.parametrize("worker_class", [Worker])


@pytest.fixture
def queue(redis_connection: Any) -> Queue:
    return Queue("default", connection=redis_connection)


def run(queue: Queue, worker_class: type[BaseWorker], **options: Any) -> BaseWorker:
    worker = worker_class([queue], connection=queue.connection, **options)
    worker.work(burst=True)
    return worker


def calls(job: Job) -> list[str]:
    return [line.decode() for line in job.connection.lrange(f"calls:{job.id}", 0, -1)]


def failure(job: Job) -> str:
    result = job.latest_result()
    assert result is not None
    assert result.type is Result.Type.FAILED
    assert result.exc_string is not None
    return str(result.exc_string)


@BOTH
class TestResult:
    @pytest.mark.parametrize("value", [0, "", "text", [1, {"a": (2,)}], b"\x00\xff", 1.5])
    def test_value(self, queue: Queue, worker_class: type[BaseWorker], value: Any) -> None:
        job = queue.enqueue(tasks.echo, value)
        run(queue, worker_class)
        assert job.is_finished
        assert job.return_value() == value

    def test_none(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.nothing)
        run(queue, worker_class)
        result = job.latest_result()
        assert result is not None
        assert result.type is Result.Type.SUCCESSFUL
        assert result.return_value is None

    def test_huge(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.big, 5_000_000)
        run(queue, worker_class)
        assert len(job.return_value()) == 5_000_000

    def test_unpicklable(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.unpicklable)
        run(queue, worker_class)
        assert job.is_finished
        assert job.return_value() == "Unserializable return value"

    def test_coroutine(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.later, 7)
        run(queue, worker_class)
        assert job.return_value() == 7

    def test_json(self, redis_connection: Any, worker_class: type[BaseWorker]) -> None:
        queue = Queue("default", connection=redis_connection, serializer="json")
        job = queue.enqueue(tasks.echo, {"a": [1]})
        run(queue, worker_class, serializer="json")
        assert job.return_value() == {"a": [1]}

    def test_times_are_recorded(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.nothing)
        run(queue, worker_class)
        result = job.latest_result()
        assert result is not None
        assert result.execution_started_at <= result.execution_ended_at
        job.refresh()
        assert job.started_at is not None
        assert job.ended_at is not None

    def test_no_result_is_kept_when_none_is_wanted(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.add, 1, result_ttl=0)
        run(queue, worker_class)
        assert not Job.exists(job.id, queue.connection)

    def test_the_workers_default_ttl_counts(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.add, 1)
        run(queue, worker_class, default_result_ttl=77)
        assert 0 < queue.connection.ttl(job.key) <= 77


@BOTH
class TestCurrentJob:
    def test_job_and_its_connection(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.meta_of_current, meta={"mine": 1})
        worker = run(queue, worker_class)
        expected = {"id": job.id, "meta": {"mine": 1, "seen": True}, "worker": worker.name, "ping": True}
        assert job.return_value() == expected
        assert job.get_meta() == {"mine": 1, "seen": True}


@BOTH
class TestError:
    def test_exception(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.boom, "what happened")
        run(queue, worker_class)
        assert job.is_failed
        assert failure(job).splitlines()[-1] == "ValueError: what happened"
        assert "in boom" in failure(job)

    @pytest.mark.parametrize(
        ("function", "name"), [(tasks.leave, "SystemExit"), (tasks.interrupt, "KeyboardInterrupt")]
    )
    def test_what_is_no_exception(self, queue: Queue, worker_class: type[BaseWorker], function: Any, name: str) -> None:
        job = queue.enqueue(function)
        after = queue.enqueue(tasks.add, 1)
        run(queue, worker_class)
        assert name in failure(job)
        assert after.is_finished

    def test_coroutine(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.later_boom)
        run(queue, worker_class)
        assert failure(job).endswith("ValueError: later\n")

    def test_text_that_is_no_text(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.odd_error)
        run(queue, worker_class)
        assert "half a character" in failure(job)

    def test_missing_function(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        missing, gone = queue.enqueue("tests.tasks.no_such_thing"), queue.enqueue("no_such_module.f")
        run(queue, worker_class)
        assert "no_such_thing" in failure(missing)
        assert "no_such_module" in failure(gone)

    def test_wrong_arguments(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue("tests.tasks.add", 1, 2, 3, 4)
        run(queue, worker_class)
        assert "TypeError" in failure(job)

    def test_broken_payload_is_parked_and_can_be_requeued(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.add, 1)
        good = queue.connection.hget(job.key, "data")
        queue.connection.hset(job.key, "data", b"no pickle")
        run(queue, worker_class)
        assert job.is_failed
        assert "DeserializationError" in failure(job)
        queue.connection.hset(job.key, "data", good)
        job.requeue()
        run(queue, worker_class)
        assert job.is_finished

    def test_broken_fields(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.add, 1)
        queue.connection.hset(job.key, mapping={"timeout": "soon", "stopped_callback_timeout": "x"})
        after = queue.enqueue(tasks.add, 1)
        run(queue, worker_class)
        assert "timeout" in failure(job)
        assert after.is_finished

    def test_it_is_logged_with_what_error_trackers_look_for(
        self, queue: Queue, caplog: pytest.LogCaptureFixture, worker_class: type[BaseWorker]
    ) -> None:
        if worker_class is Worker:
            pytest.skip("logged in the child")
        job = queue.enqueue(tasks.boom, "seen")
        with caplog.at_level(logging.ERROR):
            run(queue, worker_class)
        (record,) = [record for record in caplog.records if "exception raised" in record.getMessage()]
        assert record.__dict__["job_id"] == job.id
        assert record.__dict__["func"] == "tests.tasks.boom"
        assert tuple(record.__dict__["arguments"]) == ("seen",)


@BOTH
class TestRetry:
    def test_after_an_exception(self, queue: Queue, worker_class: type[BaseWorker], tmp_path: Any) -> None:
        job = queue.enqueue(tasks.fail_until, str(tmp_path / "runs"), 3, retry=Retry(max=5))
        run(queue, worker_class)
        assert job.return_value() == 3

    def test_used_up(self, queue: Queue, worker_class: type[BaseWorker], tmp_path: Any) -> None:
        job = queue.enqueue(tasks.fail_until, str(tmp_path / "runs"), 9, retry=Retry(max=2))
        run(queue, worker_class)
        assert job.is_failed
        assert len((tmp_path / "runs").read_text().splitlines()) == 3

    def test_returned(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.ask_again, 2)
        run(queue, worker_class)
        assert job.is_failed
        kinds = [result.type for result in job.results()]
        assert kinds == [Result.Type.MAX_RETRIES_EXCEEDED, Result.Type.RETRIED, Result.Type.RETRIED]

    def test_returned_with_interval(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.ask_again, 2, 100)
        run(queue, worker_class)
        assert job.is_scheduled

    def test_a_failure_callback_can_take_the_retries_away(
        self, queue: Queue, worker_class: type[BaseWorker], tmp_path: Any
    ) -> None:
        retry, callback = Retry(max=5), Callback(tasks.on_failure_no_retry)
        job = queue.enqueue(tasks.fail_until, str(tmp_path / "runs"), 3, retry=retry, on_failure=callback)
        run(queue, worker_class)
        assert job.is_failed
        assert len((tmp_path / "runs").read_text().splitlines()) == 1


@BOTH
class TestTimeLimit:
    def test_soft(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.wait, 60, job_timeout=1)
        run(queue, worker_class)
        assert "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)" in failure(job)

    def test_none(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.wait, 0.05, job_timeout=-1)
        run(queue, worker_class)
        assert job.is_finished

    def test_of_a_callback(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.add, 1, on_success=Callback(tasks.on_success_slow, timeout=1))
        run(queue, worker_class)
        assert "JobTimeoutException" in failure(job)


@BOTH
class TestCallbacks:
    def test_success(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(
            tasks.add, 1, 2, on_success=Callback(tasks.on_success), on_failure=Callback(tasks.on_failure)
        )
        run(queue, worker_class)
        assert calls(job) == ["success 3 finished"]

    def test_failure_then_handlers(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.boom, on_success=Callback(tasks.on_success), on_failure=Callback(tasks.on_failure))
        run(queue, worker_class, exception_handlers=[tasks.handler_notes, tasks.handler_ends, tasks.handler_notes])
        assert calls(job) == ["failure ValueError failed", "handler ValueError", "last handler"]

    def test_a_raising_success_callback_is_a_failure(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(
            tasks.add, 1, on_success=Callback(tasks.on_success_boom), on_failure=Callback(tasks.on_failure)
        )
        run(queue, worker_class)
        assert "RuntimeError: success callback" in failure(job)
        assert calls(job) == ["failure RuntimeError failed"]

    def test_the_exception_of_a_failure_callback_is_recorded(
        self, queue: Queue, worker_class: type[BaseWorker]
    ) -> None:
        job = queue.enqueue(tasks.boom, on_failure=Callback(tasks.on_failure_boom))
        run(queue, worker_class)
        assert "RuntimeError: failure callback" in failure(job)

    def test_a_raising_handler_is_passed_over(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job, after = queue.enqueue(tasks.boom), queue.enqueue(tasks.add, 1)
        run(queue, worker_class, exception_handlers=[tasks.handler_raises, tasks.handler_notes])
        assert calls(job) == ["handler ValueError"]
        assert "ValueError: boom" in failure(job)
        assert after.is_finished

    def test_one_handler_alone(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.boom)
        run(queue, worker_class, exception_handlers=tasks.handler_notes)
        assert calls(job) == ["handler ValueError"]


@BOTH
def test_methods_of_a_subclass_are_called(queue: Queue, worker_class: type[BaseWorker]) -> None:
    class Mine(worker_class):  # type: ignore[misc, valid-type]
        def perform_job(self, job: Job, queue: Queue) -> bool:
            self.connection.rpush(f"calls:{job.id}", f"before on {queue.name}")
            done = super().perform_job(job, queue)
            self.connection.rpush(f"calls:{job.id}", f"after {done}")
            return bool(done)

    job = queue.enqueue(tasks.add, 1)
    run(queue, Mine)
    assert calls(job) == ["before on default", "after True"]
    assert job.is_finished


@BOTH
def test_a_raising_subclass_fails_the_job_and_not_the_worker(queue: Queue, worker_class: type[BaseWorker]) -> None:
    class Mine(worker_class):  # type: ignore[misc, valid-type]
        def perform_job(self, job: Job, queue: Queue) -> bool:
            raise RuntimeError("no application context")

    job = queue.enqueue(tasks.add, 1)
    run(queue, Mine)
    assert "no application context" in failure(job)


@FORK_ONLY
class TestIsolation:
    def test_the_call_runs_elsewhere(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        first, second = queue.enqueue(tasks.pid), queue.enqueue(tasks.pid)
        run(queue, worker_class)
        assert len({os.getpid(), first.return_value(), second.return_value()}) == 3

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
    def test_killed(self, queue: Queue, worker_class: type[BaseWorker], number: int) -> None:
        job, after = queue.enqueue(tasks.kill_self, number), queue.enqueue(tasks.add, 1)
        run(queue, worker_class, max_abandoned=1)
        assert "PoisonJobError: the process running this job was killed 2 times in a row" in failure(job)
        assert (
            f"Work-horse terminated unexpectedly; waitpid returned {int(number)} (signal {int(number)}); "
            in failure(job)
        )
        assert signal.Signals(number).name in failure(job)
        assert after.is_finished

    @pytest.mark.parametrize(("code", "status"), [(0, 0), (7, 1792)])
    def test_hard_exit(self, queue: Queue, worker_class: type[BaseWorker], code: int, status: int) -> None:
        job = queue.enqueue(tasks.hard_exit, code)
        run(queue, worker_class)
        assert f"Work-horse terminated unexpectedly; waitpid returned {status}; " in failure(job)
        assert f"exit code {code}" in failure(job)

    @pytest.mark.parametrize(("own", "runs"), [(None, 3), ("retry", 4)])
    def test_by_rqs_policy_a_killed_job_is_retried_as_its_retry_says(
        self, queue: Queue, worker_class: type[BaseWorker], tmp_path: Any, own: str | None, runs: int
    ) -> None:
        """The worker says 'fail'; a job whose queue says 'retry' is run again all the same."""
        there = Queue(queue.name, connection=queue.connection, abandoned=own)
        job = there.enqueue(tasks.note_and_kill_self, str(tmp_path / "runs"), retry=Retry(max=2))
        run(queue, worker_class, abandoned="fail")
        assert job.is_failed
        assert len((tmp_path / "runs").read_text().splitlines()) == runs

    def test_a_killed_job_runs_again_at_once_and_not_for_ever(
        self, queue: Queue, worker_class: type[BaseWorker], tmp_path: Any
    ) -> None:
        """Jobs failed because a neighbour had used up the memory, for no fault of theirs and without a retry."""
        job = queue.enqueue(tasks.note_and_kill_self, str(tmp_path / "runs"))
        after = queue.enqueue(tasks.add, 1)
        run(queue, worker_class)
        assert len((tmp_path / "runs").read_text().splitlines()) == 1 + 3
        assert "PoisonJobError" in failure(job)
        assert "killed by SIGKILL" in failure(job)
        assert after.is_finished

    def test_the_handler_of_killed_work_horses(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.kill_self, retry=Retry(max=2))
        run(queue, worker_class, work_horse_killed_handler=tasks.killed_handler)
        assert calls(job) == ["killed 9"]
        assert job.is_failed

    def test_hard_time_limit(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        job = queue.enqueue(tasks.ignore_limit, 60, job_timeout=1)
        run(queue, worker_class, kill_after=0.2)
        assert "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)" in failure(job)
        assert "killed" in failure(job)

    def test_hard_time_limit_of_a_callback_comes_on_top(self, queue: Queue, worker_class: type[BaseWorker]) -> None:
        callback = Callback(tasks.on_success_slow, timeout=2)
        job = queue.enqueue(tasks.add, 1, job_timeout=1, on_success=callback)
        run(queue, worker_class, kill_after=0.5)
        assert "JobTimeoutException: Task exceeded maximum timeout value (2 seconds)" in failure(job)


@BOTH
def test_a_fork_in_a_job_that_comes_back(queue: Queue, worker_class: type[BaseWorker]) -> None:
    job, after = queue.enqueue(tasks.fork_and_return), queue.enqueue(tasks.add, 1)
    run(queue, worker_class)
    assert job.return_value() > 0
    assert len(job.results()) == 1
    assert after.is_finished


def test_status_is_started_while_it_runs(queue: Queue) -> None:
    job = queue.enqueue(tasks.status_of_current)
    run(queue, Worker)
    assert job.return_value() == (JobStatus.STARTED, JobStatus.STARTED)
