"""Time limits by signal and by timer."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from atomiq.timeouts import (
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
