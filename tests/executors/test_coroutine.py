"""Limits and interrupts of coroutines on one loop."""

from __future__ import annotations

import asyncio
import contextvars
import random
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from tests.executors import limit_jobs

from atomiq.exceptions import JobStopped, ShuttingDown
from atomiq.executors import limits
from atomiq.executors.coroutine import TaskGuard
from atomiq.executors.limits import MainThreadGuard, ThreadGuard
from atomiq.timeouts import ALARM_CLOCK, JobTimeoutException

SOON = 0.05
Job = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture(autouse=True)
def seen() -> list[Any]:
    limit_jobs.SEEN.clear()
    return limit_jobs.SEEN


async def watch(guard: TaskGuard) -> None:
    while True:
        guard.strike(time.monotonic())
        await limit_jobs.nap(0.001)


def drive(coroutine: Coroutine[Any, Any, Any], seconds: float | None = SOON, guard: TaskGuard | None = None) -> Any:
    """Run a coroutine as a station does; afterwards the task must be as good as new."""

    async def main() -> Any:
        mine = guard or TaskGuard()
        watching = asyncio.create_task(watch(mine))
        try:
            return await mine.drive(seconds, coroutine)
        finally:
            task = asyncio.current_task()
            assert task is not None
            assert task.cancelling() == 0
            watching.cancel()
            await asyncio.wait([watching])
            assert asyncio.all_tasks() == {task}

    return asyncio.run(main())


def over(coroutine: Coroutine[Any, Any, Any]) -> None:
    with pytest.raises(JobTimeoutException, match=r"^Task exceeded maximum timeout value \(0\.05 seconds\)$") as caught:
        drive(coroutine)
    assert type(caught.value) is JobTimeoutException
    assert not isinstance(caught.value, asyncio.CancelledError)


def test_what_the_coroutine_returns_and_raises() -> None:
    assert drive(limit_jobs.nap(0.01)) == "done"
    assert drive(limit_jobs.nap(0.01), None) == "done"
    with pytest.raises(ValueError, match="boom"):
        drive(limit_jobs.aboom())


def test_a_coroutine_that_takes_too_long(seen: list[Any]) -> None:
    over(limit_jobs.nap_noted())
    assert seen == ["JobTimeoutException"]


def test_it_can_be_caught_by_its_name_and_as_an_exception() -> None:
    async def job(kind: type[Exception]) -> str:
        try:
            await limit_jobs.nap(30)
        except kind as error:
            await asyncio.sleep(0)
            return str(error)
        return "nothing happened"

    for kind in (JobTimeoutException, Exception):
        assert "0.05 seconds" in drive(job(kind))


def test_inside_a_timeout_of_the_job() -> None:
    async def job() -> None:
        async with asyncio.timeout(10):
            await limit_jobs.nap(30)

    over(job())


def test_a_timeout_of_the_job_that_ends_first() -> None:
    async def job() -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await limit_jobs.nap(30)
        return await limit_jobs.nap(0.01)

    assert drive(job(), 5) == "done"


def test_both_at_once() -> None:
    """The job's timeout has cancelled the task, and before it can look, the limit is over, too. From Python 3.13 on
    the job's own timeout goes first, and names the limit as its cause."""

    async def job() -> None:
        async with asyncio.timeout(0):
            await limit_jobs.nap(30)

    guard = TaskGuard()

    async def main() -> None:
        driving = asyncio.create_task(guard.drive(0, job()))
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(guard.strike, time.monotonic() + 1))
        with pytest.raises((JobTimeoutException, TimeoutError)) as caught:
            await driving
        assert isinstance(caught.value.__cause__ or caught.value, JobTimeoutException)

    asyncio.run(main())


def test_the_children_of_a_task_group_end_with_it(seen: list[Any]) -> None:
    async def job(body: Job) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(limit_jobs.nap_noted())
            group.create_task(limit_jobs.nap_noted())
            await body()

    over(job(limit_jobs.nap))
    assert seen == ["CancelledError"] * 2
    over(job(lambda: asyncio.sleep(0)))  # waits at the end of the group
    assert seen == ["CancelledError"] * 4


@pytest.mark.parametrize(
    "wait", [asyncio.wait_for, lambda task, _timeout: task, lambda task, _timeout: asyncio.gather(task)]
)
def test_what_the_job_waits_for_is_cancelled(seen: list[Any], wait: Any) -> None:
    async def job() -> None:
        try:
            await wait(asyncio.ensure_future(limit_jobs.nap_noted()), 30)
        except JobTimeoutException:
            seen.append("the job itself")
            raise

    over(job())
    assert seen == ["CancelledError", "the job itself"]


def test_a_child_that_swallows_its_cancellation_does_not_hide_the_limit() -> None:
    async def stubborn() -> str:
        try:
            await limit_jobs.nap(30)
        except asyncio.CancelledError:
            return "stubborn"
        return "nothing happened"

    async def job() -> str:
        return await asyncio.create_task(stubborn())

    over(job())


def test_a_lock_is_free_afterwards() -> None:
    async def job(lock: asyncio.Lock) -> None:
        async with lock:
            await limit_jobs.nap(30)

    async def both() -> None:
        lock = asyncio.Lock()
        async with lock:
            with pytest.raises(JobTimeoutException):
                await job(lock)
        async with asyncio.timeout(1):
            await lock.acquire()

    drive(both())


def test_a_job_that_cancels_itself() -> None:
    async def at_once() -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await limit_jobs.nap(30)

    async def later() -> str:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        return "returned first"

    with pytest.raises(asyncio.CancelledError):
        drive(at_once(), 5)
    assert drive(later(), 5) == "returned first"


@pytest.mark.parametrize("exception", [ShuttingDown, JobStopped])
def test_an_interrupt(exception: type[BaseException], seen: list[Any]) -> None:
    async def main() -> None:
        guard = TaskGuard()
        guard.begin("job")
        asyncio.get_running_loop().call_later(0.01, guard.interrupt, exception)
        with pytest.raises(exception) as caught:
            await guard.drive(5, limit_jobs.nap_noted())
        assert type(caught.value) is exception
        assert guard.interrupted is exception
        guard.begin("next")
        assert guard.interrupted is None
        assert guard.interrupt(exception) is False
        assert await guard.drive(5, limit_jobs.nap(0.01)) == "done"

    asyncio.run(main())
    assert seen == [exception.__name__]


def test_an_interrupt_goes_before_a_limit_that_is_over() -> None:
    async def main() -> None:
        guard = TaskGuard()
        guard.begin("job")

        def both() -> None:
            assert guard.interrupt(ShuttingDown)
            guard.strike(time.monotonic() + 10)

        asyncio.get_running_loop().call_later(0.01, both)
        with pytest.raises(ShuttingDown):
            await guard.drive(5, limit_jobs.nap())

    asyncio.run(main())


def test_a_swallowed_limit_strikes_once_and_the_job_can_be_interrupted() -> None:
    async def job() -> str:
        try:
            await limit_jobs.nap(30)
        except JobTimeoutException:
            await limit_jobs.nap(0.02)
        return "went on"

    assert drive(job()) == "went on"


def test_context_variables_are_the_tasks() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")

    async def job() -> str:
        before = variable.get()
        await asyncio.sleep(0)
        variable.set("of the job")
        return before

    async def main() -> None:
        variable.set("of the task")
        assert await TaskGuard().drive(5, job()) == "of the task"
        assert variable.get() == "of the job"

    asyncio.run(main())


class TestOnALoopOfItsOwn:
    """In a thread, or in the main thread, that runs nothing else meanwhile."""

    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "HELD_UP", 0.1)

    @pytest.fixture
    def main_thread(self) -> Iterator[MainThreadGuard]:
        guard = MainThreadGuard()
        guard.install()
        before = signal.signal(signal.SIGUSR1, lambda *_: guard.interrupt(ShuttingDown))
        yield guard
        signal.signal(signal.SIGUSR1, before)
        ALARM_CLOCK.let_go()

    def test_in_the_main_thread(self, main_thread: MainThreadGuard, seen: list[Any]) -> None:
        assert main_thread.call(5, lambda: main_thread.run(limit_jobs.nap(0.01))) == "done"
        with pytest.raises(JobTimeoutException, match=r"^Task exceeded maximum timeout value \(0\.05 seconds\)$"):
            main_thread.call(SOON, lambda: main_thread.run(limit_jobs.nap_and_clean_up()))
        assert seen == ["JobTimeoutException", "cleaned up"]

    def test_an_interrupt_in_the_main_thread(self, main_thread: MainThreadGuard, seen: list[Any]) -> None:
        with pytest.raises(ShuttingDown):
            main_thread.call(None, lambda: main_thread.run(limit_jobs.signal_then_nap()))
        assert seen == ["ShuttingDown", "cleaned up"]
        assert main_thread.interrupted is ShuttingDown

    def test_that_is_held_up_in_the_main_thread(self, main_thread: MainThreadGuard) -> None:
        with pytest.raises(JobTimeoutException):
            main_thread.call(SOON, lambda: main_thread.run(limit_jobs.abusy()))
        assert main_thread.call(5, lambda: main_thread.run(limit_jobs.nap(0.01))) == "done"

    @pytest.fixture
    def thread(self) -> Iterator[ThreadGuard]:
        """Watched all the time."""
        guard, end = ThreadGuard(), threading.Event()

        def look() -> None:
            while not end.wait(0.001):
                guard.strike(time.monotonic())

        watcher = threading.Thread(target=look)
        watcher.start()
        yield guard
        end.set()
        watcher.join()

    def test_in_a_thread(self, thread: ThreadGuard, seen: list[Any]) -> None:
        assert thread.call(5, lambda: thread.run(limit_jobs.nap(0.01))) == "done"
        with pytest.raises(JobTimeoutException, match=r"^Task exceeded maximum timeout value \(0\.05 seconds\)$"):
            thread.call(SOON, lambda: thread.run(limit_jobs.nap_and_clean_up()))
        assert seen == ["JobTimeoutException", "cleaned up"]

    def test_an_interrupt_in_a_thread(self, thread: ThreadGuard, seen: list[Any]) -> None:
        timer = threading.Timer(0.05, thread.interrupt, (ShuttingDown,))
        timer.start()
        with pytest.raises(ShuttingDown):
            thread.call(None, lambda: thread.run(limit_jobs.nap_and_clean_up()))
        timer.join()
        assert seen == ["ShuttingDown", "cleaned up"]

    def test_that_is_held_up_in_a_thread(self, thread: ThreadGuard) -> None:
        with pytest.raises(JobTimeoutException):
            thread.call(SOON, lambda: thread.run(limit_jobs.abusy()))
        assert thread.call(5, lambda: thread.run(limit_jobs.nap(0.01))) == "done"


def test_limits_and_interrupts_never_come_late() -> None:
    draw = random.Random(11)
    ended: dict[str, int] = {}

    async def quick() -> None:
        for _ in range(draw.randrange(3)):
            await asyncio.sleep(0)

    async def slot(guard: TaskGuard) -> None:
        for _ in range(250):
            guard.begin("job")
            try:
                await guard.drive(draw.choice([1e-5, 1e-4, 5]), quick())
                kind = "returned"
            except (JobTimeoutException, ShuttingDown) as error:
                kind = type(error).__name__
            ended[kind] = ended.get(kind, 0) + 1
            await asyncio.sleep(0)

    async def main() -> None:
        guards = [TaskGuard() for _ in range(4)]
        slots = [asyncio.create_task(slot(guard)) for guard in guards]
        while not all(task.done() for task in slots):
            for guard in guards:
                guard.strike(time.monotonic())
                if draw.random() < 0.2:
                    guard.interrupt(ShuttingDown)
            await asyncio.sleep(0)
        await asyncio.gather(*slots)

    asyncio.run(main())
    assert sum(ended.values()) == 1000
    assert set(ended) == {"returned", "JobTimeoutException", "ShuttingDown"}
