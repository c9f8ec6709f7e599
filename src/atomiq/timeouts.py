"""Time limits of a block of code (RQ's rq.timeouts), used as `with penalty(seconds, exception): ...`.

These exceptions stand outside of atomiq's error tree, because a job may want to catch them as plain exceptions.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, ClassVar


class BaseTimeoutException(Exception):
    """A time limit was exceeded (RQ)."""


class JobTimeoutException(BaseTimeoutException):
    """A job ran longer than its timeout (RQ)."""


class HorseMonitorTimeoutException(BaseTimeoutException):
    """RQ's wait for its work horse; kept for code that catches it."""


class BaseDeathPenalty:
    """Base of the time limits; a subclass says how one is set and taken back (RQ).

    Args:
        timeout: seconds, fractions allowed; zero, negative or None: no limit.
        exception: class of what is raised in the block.
        job_id: RQ's, for messages of subclasses.
    """

    def __init__(
        self, timeout: float | None, exception: type[BaseException] = BaseTimeoutException, **kwargs: Any
    ) -> None:
        self._timeout = timeout if timeout and timeout > 0 else None
        self._exception = exception

    def __enter__(self) -> Any:
        self.setup_death_penalty()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # It may strike while it is being taken back: the block had ended in time then.
        with contextlib.suppress(BaseTimeoutException):
            self.cancel_death_penalty()

    def setup_death_penalty(self) -> None:
        raise NotImplementedError

    def cancel_death_penalty(self) -> None:
        raise NotImplementedError

    def _message(self) -> str:
        return f"Task exceeded maximum timeout value ({self._timeout:g} seconds)"


class UnixSignalDeathPenalty(BaseDeathPenalty):
    """Raises in the main thread by SIGALRM. Blocks may be nested: the limit that ends first strikes first.

    A SIGALRM handler and timer that were there before the outermost block are put back behind it.
    """

    _before: ClassVar[tuple[Any, float, float] | None] = None

    def __init__(
        self, timeout: float | None, exception: type[BaseException] = JobTimeoutException, **kwargs: Any
    ) -> None:
        super().__init__(timeout, exception, **kwargs)
        self.deadline = 0.0

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        """Called in the block when its time is over (RQ)."""
        raise self._exception(self._message())

    def setup_death_penalty(self) -> None:
        """Raises ValueError outside of the main thread."""
        if self._timeout is None:
            return
        now = time.monotonic()
        if not _active:
            handler = signal.signal(signal.SIGALRM, _strike)
            UnixSignalDeathPenalty._before = (handler, signal.getitimer(signal.ITIMER_REAL)[0], now)
        self.deadline = now + self._timeout
        _active.append(self)
        _arm()

    def cancel_death_penalty(self) -> None:
        if self in _active:
            _active.remove(self)
        if _active:
            _arm()
        elif self._before is not None:
            handler, left, since = self._before
            UnixSignalDeathPenalty._before = None
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
            if left:
                signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - since), 1e-6))


_LONGEST_TIMER = 1e9
"""Seconds. Timers can't count much further; one that is over before its limit is set anew."""
_active: list[UnixSignalDeathPenalty] = []
"""The limits of the blocks that the main thread is in, outermost first."""


def _arm() -> None:
    earliest = min(penalty.deadline for penalty in _active)
    signal.setitimer(signal.ITIMER_REAL, min(max(earliest - time.monotonic(), 1e-6), _LONGEST_TIMER))


def _strike(signum: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    over = next((penalty for penalty in _active if penalty.deadline <= now), None)
    if over is not None:
        _active.remove(over)
    if _active:
        _arm()
    if over is not None:
        over.handle_death_penalty(signum, frame)


class TimerDeathPenalty(BaseDeathPenalty):
    """Raises in the thread that entered the block, from a timer thread; noticed only between two bytecodes."""

    def __init__(
        self, timeout: float | None, exception: type[BaseException] = JobTimeoutException, **kwargs: Any
    ) -> None:
        super().__init__(timeout, exception, **kwargs)
        self._target_thread_id = threading.get_ident()
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def new_timer(self) -> threading.Timer:
        """A timer that strikes after the timeout (RQ)."""
        timer = threading.Timer(min(self._timeout or 0, _LONGEST_TIMER), self.handle_death_penalty)
        timer.daemon = True
        return timer

    def handle_death_penalty(self) -> None:
        """Called in the timer's thread when the time is over (RQ)."""
        message = self._message()

        def describe(error: Any, *args: Any) -> None:
            self._exception.__init__(error, *(args or (message,)))

        # The interpreter makes the instance itself, without arguments: the message has to come from the class.
        body = {"__init__": describe, "__module__": self._exception.__module__}
        described = type(self._exception.__name__, (self._exception,), body)
        with self._lock:
            if self._timer is not None:
                thread = ctypes.c_ulong(self._target_thread_id)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(described))

    def setup_death_penalty(self) -> None:
        if self._timeout is None:
            return
        self._target_thread_id = threading.get_ident()
        self._timer = self.new_timer()
        self._timer.start()

    def cancel_death_penalty(self) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


def get_default_death_penalty_class() -> type[BaseDeathPenalty]:
    """By signal where the system has SIGALRM, else by timer (RQ)."""
    return UnixSignalDeathPenalty if hasattr(signal, "SIGALRM") else TimerDeathPenalty
