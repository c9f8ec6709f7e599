"""What happens around a call, in a thread and on a loop: the same story."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests import tasks
from tests.executors import limit_jobs

from atomiq import Callback, Job, Queue, Retry, get_current_job
from atomiq.exceptions import JobStopped, ShuttingDown
from atomiq.executors.coroutine import TaskGuard
from atomiq.executors.limits import MainThreadGuard
from atomiq.executors.perform import Performer, run_handlers
from atomiq.executors.report import Report
from atomiq.job.current import running
from atomiq.serializers import DefaultSerializer
from atomiq.timeouts import ALARM_CLOCK, UnixSignalDeathPenalty

Wish = type[BaseException]
NOTED, ANOTED = Callback(limit_jobs.note), Callback(limit_jobs.anote)
handled: list[Any] = []


@pytest.fixture(autouse=True)
def seen() -> list[Any]:
    handled.clear()
    limit_jobs.SEEN.clear()
    return limit_jobs.SEEN


@pytest.fixture
def guard() -> Iterator[MainThreadGuard]:
    guard = MainThreadGuard()
    guard.install()
    yield guard
    ALARM_CLOCK.let_go()


@pytest.fixture
def queue(redis_connection: Any) -> Queue:
    return Queue(connection=redis_connection)


def performer(*handlers: Callable[..., Any]) -> Performer:
    log = logging.getLogger("atomiq.worker")

    def handle(job: Job, *exc_info: Any) -> None:
        handled.append(exc_info[0])
        run_handlers(handlers, job, exc_info, log)  # type: ignore[arg-type]

    return Performer(DefaultSerializer, UnixSignalDeathPenalty, 500, handle, "worker", log)


def claimed(job: Job, kind: type[Job] = Job) -> Job:
    """As a worker has it."""
    return kind.from_hash(job.id, job.connection.hgetall(job.key), job.connection)


def here(job: Job, guard: MainThreadGuard, wish: Wish = ShuttingDown, by: Performer | None = None) -> Report:
    """Perform it in this thread; SIGUSR1 interrupts it."""
    before = signal.signal(signal.SIGUSR1, lambda *_: guard.interrupt(wish))
    try:
        return (by or performer()).perform(claimed(job), lambda _seconds: None, guard)
    finally:
        signal.signal(signal.SIGUSR1, before)


def on_loop(job: Job, wish: Wish | None = None, by: Performer | None = None) -> Report:
    """Perform it on a loop; with a wish it is interrupted as soon as it waits."""

    async def main() -> Report:
        guard = TaskGuard()
        if wish is not None:
            asyncio.get_running_loop().call_later(0.05, guard.interrupt, wish)
        return await (by or performer()).aperform(claimed(job), lambda _seconds: None, guard)

    return asyncio.run(main())


class TestInterrupted:
    def test_released_with_a_checkpoint(self, queue: Queue, guard: MainThreadGuard) -> None:
        job = queue.enqueue(limit_jobs.checkpoint, on_failure=NOTED, meta={"done": 0})
        assert here(job, guard).outcome == "released"
        assert job.get_meta() == {"done": 17}
        assert limit_jobs.SEEN == []
        assert handled == []

    def test_released_with_a_checkpoint_on_a_loop(self, queue: Queue) -> None:
        job = queue.enqueue(limit_jobs.acheckpoint, on_failure=NOTED, meta={"done": 0})
        assert on_loop(job, ShuttingDown).outcome == "released"
        assert job.get_meta() == {"done": 17}
        assert handled == []

    def test_a_job_that_returns_all_the_same_has_finished(self, queue: Queue, guard: MainThreadGuard) -> None:
        job = queue.enqueue(limit_jobs.finish_all_the_same, on_success=NOTED)
        report = here(job, guard)
        assert report.outcome == "finished"
        assert DefaultSerializer.loads(report.result or b"") == "finished"
        assert limit_jobs.SEEN == [("finished", "finished")]

    @pytest.mark.parametrize("function", [limit_jobs.shut_down_by_myself, limit_jobs.stop_by_myself])
    def test_unasked_it_is_a_failure(self, queue: Queue, guard: MainThreadGuard, function: Any) -> None:
        report = here(queue.enqueue(function, on_stopped=NOTED, on_failure=NOTED), guard)
        assert report.outcome == "failed"
        assert "in shut_down_by_myself" in report.exc_string or "in stop_by_myself" in report.exc_string
        assert [status for status, _ in limit_jobs.SEEN] == ["failed"]

    def test_asked_for_another_thing_it_is_a_failure_too(self, queue: Queue, guard: MainThreadGuard) -> None:
        queue_as_seen = queue.enqueue(limit_jobs.raise_signal)
        assert here(queue_as_seen, guard, wish=KeyError).outcome == "failed"

    def test_stopped(self, queue: Queue, guard: MainThreadGuard) -> None:
        job = queue.enqueue(limit_jobs.raise_signal, on_stopped=NOTED, on_failure=NOTED, retry=Retry(3))
        report = here(job, guard, JobStopped)
        assert (report.outcome, report.retry) == ("stopped", "never")
        assert "stopped by user" in report.exc_string
        assert limit_jobs.SEEN == [("stopped",)]
        assert handled == []

    def test_stopped_on_a_loop(self, queue: Queue) -> None:
        job = queue.enqueue(limit_jobs.nap, on_stopped=ANOTED, on_failure=NOTED)
        assert on_loop(job, JobStopped).outcome == "stopped"
        assert limit_jobs.SEEN == [("stopped",)]

    def test_a_stopped_callback_that_fails_changes_nothing(
        self, queue: Queue, guard: MainThreadGuard, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = queue.enqueue(limit_jobs.raise_signal, on_stopped=Callback(limit_jobs.busy_callback, timeout=1))
        assert here(job, guard, JobStopped).outcome == "stopped"
        assert "stopped callback failed" in caplog.text
        assert "JobTimeoutException" in caplog.text

    @pytest.mark.parametrize("wish", [ShuttingDown, JobStopped])
    def test_in_a_callback(self, queue: Queue, guard: MainThreadGuard, wish: Wish) -> None:
        """The job runs again as a whole, or is stopped as a whole: half of a callback is never the end of it."""
        outcome = {ShuttingDown: "released", JobStopped: "stopped"}[wish]
        interrupted = Callback(limit_jobs.signal_in_callback)
        assert here(queue.enqueue(tasks.nothing, on_success=interrupted), guard, wish).outcome == outcome
        assert here(queue.enqueue(tasks.boom, on_failure=interrupted), guard, wish).outcome == outcome
        assert handled == []

    def test_in_an_exception_handler(self, queue: Queue, guard: MainThreadGuard) -> None:
        by = performer(limit_jobs.signal_in_callback)
        assert here(queue.enqueue(tasks.boom), guard, by=by).outcome == "released"
        assert handled == [ValueError]

    def test_a_job_whose_parts_all_end_by_it(self, queue: Queue) -> None:
        assert on_loop(queue.enqueue(group_of_naps), ShuttingDown).outcome == "released"


async def group_of_naps() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(limit_jobs.nap())
        await limit_jobs.nap()


class TestOnALoop:
    def test_a_coroutine(self, queue: Queue) -> None:
        job = queue.enqueue(which_job, on_success=ANOTED)
        report = on_loop(job)
        assert DefaultSerializer.loads(report.result or b"") == (job.id, threading.main_thread().name)
        assert [status for status, _ in limit_jobs.SEEN] == ["finished"]
        assert get_current_job() is None

    def test_a_plain_function_runs_in_the_pool(self, queue: Queue) -> None:
        job = queue.enqueue(which_job_plainly, on_success=ANOTED)

        async def main() -> Report:
            with ThreadPoolExecutor(1, thread_name_prefix="pool") as pool:
                return await performer().aperform(claimed(job), lambda _seconds: None, TaskGuard(), pool)

        report = asyncio.run(main())
        assert DefaultSerializer.loads(report.result or b"") == (job.id, "pool_0")
        assert [status for status, _ in limit_jobs.SEEN] == ["finished"]

    def test_a_plain_function_is_interrupted(self, queue: Queue) -> None:
        assert on_loop(queue.enqueue(limit_jobs.busy), ShuttingDown).outcome == "released"

    def test_failure(self, queue: Queue, seen: list[Any]) -> None:
        report = on_loop(queue.enqueue(limit_jobs.aboom, on_failure=ANOTED, retry=Retry(2)))
        assert (report.outcome, report.retry) == ("failed", "auto")
        assert seen == [("failed", ValueError)]
        assert handled == [ValueError]

    def test_a_job_that_cancels_itself(self, queue: Queue) -> None:
        report = on_loop(queue.enqueue(cancel_myself))
        assert report.outcome == "failed"
        assert "CancelledError" in report.exc_string

    def test_a_function_that_is_not_there(self, queue: Queue) -> None:
        report = on_loop(queue.enqueue("tests.tasks.no_such_thing"))
        assert report.outcome == "failed"
        assert "no_such_thing" in report.exc_string


async def which_job() -> tuple[str, str]:
    await asyncio.sleep(0)
    return get_current_job().id, threading.current_thread().name


def which_job_plainly() -> tuple[str, str]:
    return get_current_job().id, threading.current_thread().name


async def cancel_myself() -> None:
    asyncio.current_task().cancel()  # type: ignore[union-attr]
    await limit_jobs.nap(30)


class Hooks:
    """Notes what is called."""

    def __init__(self, fails: bool = False) -> None:
        self.called: list[Any] = []
        self.fails = fails

    def start_job(self, job: Job) -> None:
        self.called.append("start")
        if self.fails:
            raise RuntimeError("hook")

    def end_job(self, job: Job, error: BaseException | None) -> None:
        self.called.append((type(error), len(limit_jobs.SEEN)))

    async def astart_job(self, job: Job) -> None:
        await asyncio.sleep(0)
        self.start_job(job)

    async def aend_job(self, job: Job, error: BaseException | None) -> None:
        await asyncio.sleep(0)
        self.end_job(job, error)


@pytest.mark.parametrize("functions", [(tasks.nothing, tasks.boom), (limit_jobs.nap, limit_jobs.aboom)])
def test_hooks_are_around_everything(queue: Queue, guard: MainThreadGuard, functions: Any) -> None:
    good, bad = functions
    for perform in (lambda job, by: here(job, guard, by=by), lambda job, by: on_loop(job, by=by)):
        by, limit_jobs.SEEN[:] = performer(), []
        by.hooks = hooks = Hooks()
        arguments = (0,) if good is limit_jobs.nap else ()
        assert perform(queue.enqueue(good, *arguments, on_success=NOTED), by).outcome == "finished"
        assert perform(queue.enqueue(bad, on_failure=NOTED), by).outcome == "failed"
        assert hooks.called == ["start", (type(None), 1), "start", (ValueError, 2)]


def test_a_hook_that_fails_the_job(queue: Queue, guard: MainThreadGuard) -> None:
    by = performer()
    by.hooks = hooks = Hooks(fails=True)
    assert "RuntimeError: hook" in here(queue.enqueue(tasks.nothing), guard, by=by).exc_string
    assert hooks.called == ["start", (RuntimeError, 0)]


def test_coroutines_as_callbacks_of_plain_jobs(queue: Queue, guard: MainThreadGuard) -> None:
    assert here(queue.enqueue(tasks.add, 1, on_success=ANOTED), guard).outcome == "finished"
    assert [status for status, _ in limit_jobs.SEEN] == ["finished"]


def test_what_a_callback_may_take_is_announced(queue: Queue) -> None:
    said: list[float | None] = []
    job = queue.enqueue(tasks.nothing, on_success=Callback(limit_jobs.note, timeout=7))
    performer().perform(claimed(job), said.append)
    job = queue.enqueue(tasks.boom, on_failure=Callback(limit_jobs.note, timeout=8))
    performer().perform(claimed(job), said.append)
    assert said == [7, 8, 60]


def test_methods_of_a_job_class_are_called(queue: Queue, guard: MainThreadGuard, seen: list[Any]) -> None:
    class Mine(Job):
        def execute_success_callback(self, death_penalty_class: Any, result: Any) -> None:
            limit_jobs.SEEN.append(death_penalty_class)
            super().execute_success_callback(death_penalty_class, result)

        def perform(self) -> Any:
            return ("mine", super().perform())

    job = claimed(queue.enqueue(tasks.echo, 5, on_success=NOTED), Mine)
    report = performer().perform(job, lambda _seconds: None, guard)
    assert DefaultSerializer.loads(report.result or b"") == ("mine", 5)
    assert seen == [UnixSignalDeathPenalty, ("finished", ("mine", 5))]


@pytest.mark.parametrize("function", [tasks.boom, limit_jobs.aboom])
def test_the_traceback_begins_in_the_users_code(queue: Queue, guard: MainThreadGuard, function: Any) -> None:
    for report in (here(queue.enqueue(function), guard), on_loop(queue.enqueue(function))):
        lines = report.exc_string.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert "asyncio" in lines[1] or f"in {function.__name__}" in lines[1]
        assert lines[-1] == "ValueError: boom"


def test_a_function_that_is_defined_anew_is_called_as_it_is_now(queue: Queue, guard: MainThreadGuard) -> None:
    def results() -> list[Any]:
        return [DefaultSerializer.loads(here(job, guard).result or b"") for job in jobs]

    name = "tests_made_up_module"
    module = sys.modules[name] = types.ModuleType(name)
    try:
        jobs = [queue.enqueue(f"{name}.f")]
        module.f = lambda: "first"  # type: ignore[attr-defined]
        assert results() == ["first"]
        module.f = lambda: "redefined"  # type: ignore[attr-defined]
        assert results() == ["redefined"]
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].f = lambda: "another module"  # type: ignore[attr-defined]
        assert results() == ["another module"]
        del sys.modules[name].f
        assert "no attribute 'f'" in here(jobs[0], guard).exc_string
    finally:
        del sys.modules[name]


def test_the_current_job_is_put_back(queue: Queue) -> None:
    outer, inner = queue.enqueue(tasks.nothing), queue.enqueue(limit_jobs.boom)
    with running(outer):
        with pytest.raises(ValueError, match="boom"):
            inner.perform()
        assert get_current_job() is outer
    assert get_current_job() is None
