"""Time limits by signal and by timer."""

from __future__ import annotations

import contextlib
import gc
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from atomiq.timeouts import (
    ALARM_CLOCK,
    BaseTimeoutException,
    HorseMonitorTimeoutException,
    JobTimeoutException,
    TimerDeathPenalty,
    UnixSignalDeathPenalty,
    get_default_death_penalty_class,
)


def busy(seconds: float) -> None:
    """Python code that runs for some time, so that a timer can strike between two bytecodes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class Hindrance:
    """A callback of the collector that takes its time, the first time only: Python drops what is raised in one."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.met = False

    def __call__(self, *_: Any) -> None:
        if not self.met:
            self.met = True
            busy(self.seconds)

    def before(self, seconds: float) -> None:
        """A block that collects garbage, and goes on for so long after that."""
        gc.callbacks.append(self)
        gc.collect()
        gc.callbacks.remove(self)
        assert self.met
        busy(seconds)


@pytest.mark.parametrize("penalty", [UnixSignalDeathPenalty, TimerDeathPenalty])
def test_a_block_that_takes_too_long(penalty: type[UnixSignalDeathPenalty]) -> None:
    began = time.monotonic()
    message = r"exceeded maximum timeout value \(0\.05 seconds\)"
    with pytest.raises(JobTimeoutException, match=message), penalty(0.05, JobTimeoutException, job_id="j"):
        busy(5)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("penalty", [UnixSignalDeathPenalty, TimerDeathPenalty])
@pytest.mark.parametrize("timeout", [None, 0, -1])
def test_no_limit(penalty: type[UnixSignalDeathPenalty], timeout: float | None) -> None:
    with penalty(timeout, JobTimeoutException):
        busy(0.01)


def test_a_block_in_time_leaves_the_signal_as_it_was() -> None:
    def mine(signum: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGALRM, mine)
    signal.setitimer(signal.ITIMER_REAL, 60)
    try:
        with UnixSignalDeathPenalty(5, JobTimeoutException):
            assert signal.getitimer(signal.ITIMER_REAL)[0] <= 5
        assert signal.getsignal(signal.SIGALRM) is mine
        assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class SlowToBegin(UnixSignalDeathPenalty):
    """The limit strikes before its block is entered, so that its end is never called."""

    def setup_death_penalty(self) -> None:
        super().setup_death_penalty()
        busy(0.2)


class SlowToEnd(UnixSignalDeathPenalty):
    """The limit strikes before the block has said that it is over."""

    def cancel_death_penalty(self) -> None:
        busy(0.2)
        super().cancel_death_penalty()


@pytest.mark.parametrize("penalty", [SlowToBegin, SlowToEnd])
def test_a_limit_that_strikes_beside_its_block(penalty: type[UnixSignalDeathPenalty]) -> None:
    """Its handler stayed for as long as the process."""
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(JobTimeoutException), penalty(0.05, JobTimeoutException):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    with UnixSignalDeathPenalty(5, JobTimeoutException):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 4
    assert signal.getsignal(signal.SIGALRM) is before


def test_an_inner_limit_goes_on_when_the_outer_one_was_swallowed() -> None:
    before = signal.getsignal(signal.SIGALRM)

    def nested() -> None:
        with UnixSignalDeathPenalty(0.05, JobTimeoutException), UnixSignalDeathPenalty(0.15, JobTimeoutException):
            with contextlib.suppress(JobTimeoutException):
                busy(5)
            assert signal.getsignal(signal.SIGALRM) is not before
            busy(5)

    with pytest.raises(JobTimeoutException):
        nested()
    assert signal.getsignal(signal.SIGALRM) is before


def test_an_inner_limit_leaves_the_outer_one_armed() -> None:
    def nested() -> None:
        with UnixSignalDeathPenalty(5, HorseMonitorTimeoutException):
            pass
        busy(5)

    with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(0.1, JobTimeoutException):
        nested()


def test_the_outer_limit_strikes_inside_the_inner_block() -> None:
    outer, inner = (
        UnixSignalDeathPenalty(0.05, JobTimeoutException),
        UnixSignalDeathPenalty(5, HorseMonitorTimeoutException),
    )
    with pytest.raises(JobTimeoutException), outer, inner:
        busy(5)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_inner_limit_strikes_and_the_outer_goes_on() -> None:
    with UnixSignalDeathPenalty(5, JobTimeoutException):
        inner = UnixSignalDeathPenalty(0.05, HorseMonitorTimeoutException)
        with pytest.raises(HorseMonitorTimeoutException), inner:
            busy(5)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_exceptions_of_the_block_pass() -> None:
    with pytest.raises(KeyError), UnixSignalDeathPenalty(5, JobTimeoutException):
        raise KeyError


def test_the_timer_works_in_any_thread() -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            with TimerDeathPenalty(0.05, JobTimeoutException):
                busy(5)
        except JobTimeoutException as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert [str(error) for error in caught] == ["Task exceeded maximum timeout value (0.05 seconds)"]
    assert str(JobTimeoutException("untouched")) == "untouched"


def test_the_default() -> None:
    assert get_default_death_penalty_class() is UnixSignalDeathPenalty
    assert issubclass(JobTimeoutException, BaseTimeoutException)


def test_a_limit_by_signal_is_refused_in_another_thread() -> None:
    """Raised there it would be the main thread's."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            with UnixSignalDeathPenalty(60):
                pass
        except ValueError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_outer_limit_that_strikes_as_the_inner_block_ends_is_not_lost() -> None:
    def short_blocks() -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with UnixSignalDeathPenalty(5, HorseMonitorTimeoutException):
                pass

    for _ in range(300):
        with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(0.002, JobTimeoutException):
            short_blocks()


@pytest.mark.parametrize("inside", [None, 60])
@pytest.mark.parametrize("by", ["the collector's callback", "__del__"])
def test_a_limit_that_strikes_where_python_drops_what_is_raised(
    by: str, inside: float | None, reports: list[Any]
) -> None:
    """Python reports such an exception on stderr, and goes on: the block ran without its limit from there on.
    (Hypothesis has a callback of the collector; a test of limits behind one of its own hung for good.)"""
    hook = sys.unraisablehook

    class Slow:
        def __del__(self) -> None:
            busy(0.03)

    def block() -> None:
        if by == "__del__":
            Slow()
            busy(5)
        else:
            Hindrance(0.03).before(5)

    with UnixSignalDeathPenalty(inside, HorseMonitorTimeoutException):
        with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(0.01, JobTimeoutException):
            block()
        assert len(ALARM_CLOCK.limits) == (0 if inside is None else 1)
    assert reports == []
    assert sys.unraisablehook is hook


def test_a_destructor_that_drops_what_is_raised_in_it() -> None:
    """redis-py's connections do, and a limit that struck as one was collected never struck again. But a destructor that
    hangs is interrupted."""

    class Careful:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def __del__(self) -> None:
            with contextlib.suppress(Exception):
                busy(self.seconds)

    def block() -> None:
        Careful(0.05)
        busy(5)

    began = time.monotonic()
    with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(0.01, JobTimeoutException):
        block()
    assert time.monotonic() - began < 4
    with UnixSignalDeathPenalty(0.01, JobTimeoutException):
        Careful(30)
    assert 1 < time.monotonic() - began < 15


@pytest.mark.parametrize("calls_ours", [False, True])
def test_a_limit_hears_what_is_dropped_after_somebody_has_changed_the_hook(
    calls_ours: bool, reports: list[Any]
) -> None:
    """A hook that was put in place while a limit was open, and stayed: the limits after that never heard again."""
    with UnixSignalDeathPenalty(60, HorseMonitorTimeoutException):
        ours = sys.unraisablehook
        theirs = ours if calls_ours else reports.append
        sys.unraisablehook = partial(theirs)
    with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(0.01, JobTimeoutException):
        Hindrance(0.03).before(5)
    assert reports == []
    with UnixSignalDeathPenalty(60, HorseMonitorTimeoutException):
        Loud()
    assert [str(report.exc_value) for report in reports] == ["somebody else's"]


def test_a_limit_is_not_lost_while_python_reports_that_it_was_dropped(
    monkeypatch: pytest.MonkeyPatch, reports: list[Any]
) -> None:
    """On a busy machine the clock rang again before the hook that had heard of it was at its end, where Python drops
    whatever is raised: the limit had struck, and was over."""
    real = ALARM_CLOCK._hears

    def hears(report: Any) -> bool:
        heard = real(report)
        busy(0.05)
        return heard

    monkeypatch.setattr(ALARM_CLOCK, "_hears", hears)
    with pytest.raises(JobTimeoutException), UnixSignalDeathPenalty(0.05, JobTimeoutException):
        Hindrance(0.1).before(5)
    assert reports == []


def test_what_python_drops_of_others_is_reported(reports: list[Any]) -> None:
    with UnixSignalDeathPenalty(5, JobTimeoutException):
        Loud()
    assert [str(report.exc_value) for report in reports] == ["somebody else's"]


class Loud:
    def __del__(self) -> None:
        raise RuntimeError("somebody else's")


@pytest.fixture
def reports() -> Iterator[list[Any]]:
    """What Python reports to have dropped."""
    before, found = sys.unraisablehook, []
    sys.unraisablehook = found.append
    yield found
    sys.unraisablehook = before


def test_a_timer_that_strikes_as_the_block_ends_never_comes_late(quick_switches: None) -> None:
    struck = 0
    for number in range(300):
        try:
            with TimerDeathPenalty(0.001, JobTimeoutException):
                busy(0.0005 + number * 2e-5)
        except JobTimeoutException:
            struck += 1
        busy(0.0003)
    assert struck > 0


@pytest.fixture
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)
