"""Limits and interrupts of calls in the main thread and in other threads."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.executors import limit_jobs
from tests.helpers import wait_until

from atomiq.exceptions import JobStopped, ShuttingDown
from atomiq.executors.limits import MainThreadGuard, ThreadGuard
from atomiq.timeouts import ALARM_CLOCK, JobTimeoutException, UnixSignalDeathPenalty

SOON = 0.05
ROUNDS = 1000


@pytest.fixture
def guard() -> Iterator[MainThreadGuard]:
    """As in a warm child: it has SIGALRM for good, and SIGUSR1 interrupts the call."""
    guard = MainThreadGuard()
    guard.install()
    guard.begin("job")
    before = signal.signal(signal.SIGUSR1, lambda *_: guard.interrupt(ShuttingDown))
    yield guard
    signal.signal(signal.SIGUSR1, before)
    ALARM_CLOCK.let_go()


def over(guard: MainThreadGuard, seconds: float, function: Callable[..., Any] = limit_jobs.busy) -> float:
    """How long a call lasts that a limit ends."""
    begun = time.monotonic()
    with pytest.raises(JobTimeoutException, match="exceeded maximum timeout value"):
        guard.call(seconds, function)
    return time.monotonic() - begun


@pytest.mark.parametrize("function", [limit_jobs.busy, limit_jobs.rest])
def test_a_call_that_takes_too_long(guard: MainThreadGuard, function: Any) -> None:
    with pytest.raises(JobTimeoutException, match=r"^Task exceeded maximum timeout value \(0\.05 seconds\)$"):
        guard.call(SOON, function)


def test_what_the_call_returns_and_raises(guard: MainThreadGuard) -> None:
    assert guard.call(5, divmod, 7, 2) == (3, 1)
    assert guard.call(None, divmod, 7, 2) == (3, 1)
    with pytest.raises(ValueError, match="boom"):
        guard.call(5, limit_jobs.boom)


def test_the_inner_limit_strikes_and_the_outer_goes_on(guard: MainThreadGuard) -> None:
    def nested() -> str:
        over(guard, SOON)
        return limit_jobs.busy()

    assert 0.15 < over(guard, 0.2, nested) < 2


def test_the_outer_limit_strikes_in_the_inner_call(guard: MainThreadGuard) -> None:
    assert over(guard, SOON, lambda: guard.call(5, limit_jobs.busy)) < 2
    assert guard.call(5, limit_jobs.busy, 0.01) == "done"


def test_a_job_that_swallows_its_end_goes_on_and_can_be_interrupted(guard: MainThreadGuard) -> None:
    assert guard.call(SOON, limit_jobs.swallow) == "went on"
    with pytest.raises(ShuttingDown):
        guard.call(SOON, lambda: (limit_jobs.swallow(0), limit_jobs.raise_signal()))
    assert over(guard, SOON) < 2


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_what_strikes_in_a_destructor_strikes_again_behind_it(guard: MainThreadGuard) -> None:
    """Python drops what is raised there. A job that was closing something then had no limit any more, and did not hear
    that it was stopped, until it was killed."""
    assert over(guard, SOON, lambda: limit_jobs.clear_away(lambda: limit_jobs.busy(2 * SOON))) < 2
    for seconds in (None, 60):
        with pytest.raises(ShuttingDown):
            guard.call(seconds, limit_jobs.clear_away, limit_jobs.raise_signal)
    assert guard.call(5, limit_jobs.busy, 2 * SOON) == "done"


def test_a_chain_of_short_calls_sets_the_timer_once(guard: MainThreadGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: list[float] = []
    really = signal.setitimer
    monkeypatch.setattr(signal, "setitimer", lambda *given: (settings.append(given[1]), really(*given)))
    for _ in range(ROUNDS):
        guard.call(180, int)
        guard.end()
    assert [round(seconds) for seconds in settings] == [180]


def test_a_timer_left_by_an_earlier_call_is_set_anew(guard: MainThreadGuard) -> None:
    guard.call(SOON, int)
    assert 0.25 < over(guard, 0.3) < 2
    guard.call(180, int)
    assert over(guard, SOON) < 2


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (limit_jobs.own_alarm, "my own alarm"),
        (limit_jobs.ignore_alarms, None),
        (limit_jobs.stop_the_timer, None),
        (lambda: limit_jobs.own_limit(SOON), "my own limit"),
        (lambda: limit_jobs.own_limit(5, limit_jobs.own_alarm), "nothing happened"),
        (lambda: (limit_jobs.ignore_alarms(), limit_jobs.own_limit(SOON))[1], "my own limit"),
    ],
)
def test_a_job_that_uses_the_alarm_itself(guard: MainThreadGuard, function: Any, says: str | None) -> None:
    assert guard.call(0.3, function) == says
    guard.end()
    # Later than what the clock has set before: it must not believe that this is still set.
    assert 0.4 < over(guard, 0.5) < 2


def test_the_limit_strikes_inside_a_limit_of_the_job(guard: MainThreadGuard) -> None:
    assert over(guard, SOON, lambda: limit_jobs.own_limit(5)) < 2
    guard.end()
    assert ALARM_CLOCK.limits == []


def test_an_interrupt(guard: MainThreadGuard) -> None:
    with pytest.raises(ShuttingDown, match="goes back to its queue"):
        guard.call(5, limit_jobs.raise_signal)
    assert guard.interrupted is ShuttingDown
    guard.begin("next")
    assert guard.interrupted is None


def test_an_interrupt_between_two_jobs_hits_neither(guard: MainThreadGuard) -> None:
    guard.call(5, int)
    signal.raise_signal(signal.SIGUSR1)
    assert guard.interrupted is None
    assert guard.call(5, limit_jobs.busy, 0.01) == "done"


def test_without_install_the_signal_is_put_back() -> None:
    def mine(signum: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGALRM, mine)
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        assert over(MainThreadGuard(), SOON) < 2
        assert signal.getsignal(signal.SIGALRM) is mine
        assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_death_penalty_class_of_the_users() -> None:
    made: list[dict[str, Any]] = []

    class Mine(UnixSignalDeathPenalty):
        def __init__(self, timeout: float | None, exception: Any = JobTimeoutException, **kwargs: Any) -> None:
            made.append(kwargs)
            super().__init__(timeout, exception, **kwargs)

    guard = MainThreadGuard(Mine)
    guard.begin("j")
    assert over(guard, SOON) < 2
    assert guard.call(None, divmod, 7, 2) == (3, 1)
    assert made == [{"job_id": "j"}]


def test_only_in_the_main_thread(guard: MainThreadGuard) -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            guard.call(5, int)
        except ValueError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_a_fork_of_the_job_is_in_none_of_its_limits(guard: MainThreadGuard) -> None:
    def fork() -> int:
        pid = os.fork()
        if pid == 0:
            clean = not ALARM_CLOCK.limits and signal.getitimer(signal.ITIMER_REAL)[0] == 0
            os._exit(0 if clean else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert guard.call(60, fork) == 0


def test_nothing_is_raised_while_a_call_is_left(guard: MainThreadGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    really = ALARM_CLOCK.leave

    def leave(limit: Any) -> None:
        limit_jobs.busy(0.03)
        limit_jobs.raise_signal()
        really(limit)

    monkeypatch.setattr(ALARM_CLOCK, "leave", leave)
    assert guard.call(0.01, divmod, 7, 2) == (3, 1)
    assert guard.interrupted is None


def test_strikes_that_race_with_the_end_never_come_late(guard: MainThreadGuard) -> None:
    draw = random.Random(5)
    struck = 0
    for _ in range(ROUNDS):
        try:
            guard.call(draw.uniform(1e-6, 3e-4), limit_jobs.busy, draw.uniform(0, 2e-4))
        except JobTimeoutException:
            struck += 1
        limit_jobs.busy(5e-5)
    assert 0 < struck < ROUNDS


# --- other threads


@contextlib.contextmanager
def watched(guard: ThreadGuard, watch: Callable[[], Any] | None = None) -> Iterator[None]:
    """Somebody looks at the limits all the time."""
    end = threading.Event()

    def look() -> None:
        while not end.wait(0.0005):
            guard.strike(time.monotonic())
            if watch is not None:
                watch()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_a_call_in_a_thread() -> None:
    guard = ThreadGuard()
    with watched(guard):
        assert guard.call(5, divmod, 7, 2) == (3, 1)
        assert guard.call(None, limit_jobs.busy, 0.01) == "done"
        with pytest.raises(JobTimeoutException, match=r"^Task exceeded maximum timeout value \(0\.05 seconds\)$"):
            guard.call(SOON, limit_jobs.busy)
        assert guard.call(SOON, limit_jobs.swallow) == "went on"
        with pytest.raises(JobTimeoutException):
            guard.call(SOON, lambda: guard.call(5, limit_jobs.busy))
    assert str(JobTimeoutException("untouched")) == "untouched"


def test_the_inner_limit_of_a_thread_strikes_and_the_outer_goes_on() -> None:
    guard = ThreadGuard()

    def nested() -> str:
        with pytest.raises(JobTimeoutException, match=r"0\.05 seconds"):
            guard.call(SOON, limit_jobs.busy)
        return limit_jobs.busy()

    with watched(guard), pytest.raises(JobTimeoutException, match=r"0\.2 seconds"):
        guard.call(0.2, nested)


def test_the_next_deadline() -> None:
    guard = ThreadGuard()
    now = time.monotonic()
    assert guard.strike(now) is None
    deadline = guard.call(60, lambda: guard.strike(now))
    assert now + 59 < deadline < now + 61


def test_a_thread_that_waits_in_c_notices_later() -> None:
    guard, lock, caught = ThreadGuard(), threading.Lock(), []

    def run() -> None:
        try:
            guard.call(SOON, limit_jobs.wait_for, lock)
        except JobTimeoutException as error:
            caught.append(error)

    lock.acquire()
    thread = threading.Thread(target=run)
    thread.start()
    with watched(guard):
        wait_until(lambda: guard._last_struck is not None)
        assert thread.is_alive()
        assert caught == []
        lock.release()
        thread.join()
    assert len(caught) == 1
    if sys.version_info[:2] != (3, 14):  # there `with lock` can be left between taking the lock and being entered
        assert not lock.locked()


@pytest.mark.parametrize("exception", [ShuttingDown, JobStopped])
def test_an_interrupt_from_another_thread(exception: type[BaseException]) -> None:
    guard = ThreadGuard()
    guard.begin("job")
    answers: list[bool] = []
    with watched(guard, lambda: answers.append(guard.interrupt(exception))), pytest.raises(exception):
        guard.call(None, limit_jobs.busy)
    assert guard.interrupted is exception
    assert guard.interrupt(exception) is False
    guard.begin("next")
    assert guard.interrupted is None
    assert limit_jobs.busy(0.01) == "done"


def test_an_interrupt_is_not_lost_to_a_limit_that_is_over() -> None:
    """Both are set before the thread can look."""
    guard, lock, caught = ThreadGuard(), threading.Lock(), []

    def run() -> None:
        try:
            guard.call(0, limit_jobs.wait_for, lock)
        except BaseException as error:  # noqa: BLE001
            caught.append(type(error))

    lock.acquire()
    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: bool(guard._calls))
    assert guard.interrupt(ShuttingDown)
    guard.strike(time.monotonic() + 1)
    lock.release()
    thread.join()
    assert caught == [ShuttingDown]


def test_nothing_is_raised_while_a_thread_leaves_its_call() -> None:
    guard = ThreadGuard()
    answers: list[Any] = []

    class Calls(list[Any]):
        def remove(self, call: Any) -> None:
            answers.append(guard.strike(time.monotonic() + 60))
            answers.append(guard.interrupt(ShuttingDown))
            super().remove(call)

    guard._calls = Calls()
    assert guard.call(SOON, divmod, 7, 2) == (3, 1)
    assert limit_jobs.busy(0.01) == "done"
    assert answers == [None, False]


def test_what_other_threads_raise_never_comes_late() -> None:
    guard, draw = ThreadGuard(), random.Random(7)
    ended = {JobTimeoutException: 0, ShuttingDown: 0, None: 0}
    late: list[BaseException] = []

    def interrupt_now_and_then() -> None:
        if draw.random() < 0.3:
            guard.interrupt(ShuttingDown)

    def run() -> None:
        kind: type[BaseException] | None
        for _ in range(ROUNDS):
            guard.begin("job")
            try:
                try:
                    guard.call(draw.uniform(1e-4, 4e-3), limit_jobs.busy, draw.uniform(0, 2e-3))
                    kind = None
                except JobTimeoutException:
                    kind = JobTimeoutException
                except ShuttingDown:
                    kind = ShuttingDown
                limit_jobs.busy(2e-4)
            except BaseException as error:
                late.append(error)
                raise
            ended[kind] += 1
            guard.end()

    thread = threading.Thread(target=run)
    with watched(guard, interrupt_now_and_then):
        thread.start()
        thread.join()
    assert late == []
    assert sum(ended.values()) == ROUNDS
    assert all(ended.values()), ended
