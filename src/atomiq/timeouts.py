"""Time limits of a block of code (RQ's rq.timeouts), used as `with penalty(seconds, exception): ...`.

These exceptions stand outside of atomiq's error tree, because a job may want to catch them as plain exceptions.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, Protocol

from atomiq._core.errors import BaseTimeoutException

NEVER: Final = math.inf
_LONGEST_TIMER: Final = 1e9
"""Seconds. Timers can't count much further; one that is over before its limit is set anew."""
_SOON: Final = 0.001
"""Seconds until a limit strikes again whose exception Python has dropped."""
_RINGS_AGAIN: Final = 0.05
"""Seconds after which the timer rings once more: now and then Python doesn't call the handler of a signal that came."""
_LONGEST_DESTRUCTOR: Final = 1.0
"""Seconds that a limit waits for one to end."""
_TOLERANCE: Final = 0.05
"""Seconds between what is left on a timer that we have set and what we expect to be left."""


def plain_getsignal() -> Callable[[int], Any]:
    """`signal.getsignal` looks for an enum member first: two microseconds, for something that is asked before each
    job."""
    try:
        return importlib.import_module("_signal").getsignal  # type: ignore[no-any-return]
    except ImportError:
        return signal.getsignal


_getsignal: Final = plain_getsignal()

RAISE_IN_THREAD: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.py_object)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)
"""(thread, exception class): it is raised there between two bytecodes, in place of one that waits to be raised."""
TAKE_BACK: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p)(
    ("PyThreadState_SetAsyncExc", ctypes.pythonapi)
)
"""(thread, None): what waits to be raised there isn't."""


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
        return over_text(self._timeout or 0)


def over_text(seconds: float) -> str:
    """RQ's sentence for a limit that is over."""
    return f"Task exceeded maximum timeout value ({seconds:g} seconds)"


def described(exception: type[BaseException], message: str) -> type[BaseException]:
    """The same exception with a message: to raise it in a thread, the interpreter makes it without arguments."""

    def describe(error: Any, *args: Any) -> None:
        exception.__init__(error, *(args or (message,)))

    body = {"__init__": describe, "__module__": exception.__module__, "__qualname__": exception.__qualname__}
    return type(exception.__name__, (exception,), body)


class Limit(Protocol):
    """What the alarm clock ends. `deadline`: monotonic seconds. `open`: its block has not ended. `strike` is called
    when the deadline is over, and raises, or sets another one."""

    deadline: float
    open: bool

    def strike(self) -> None: ...


class _Lent(NamedTuple):
    """A signal handler and timer that were somebody else's when a limit needed them."""

    limit: Limit
    handler: Any
    left: float
    since: float


class AlarmClock:
    """SIGALRM of the main thread, shared by all limits that it is in, outermost first.

    The kernel's timer is set for the earliest deadline seen, and set anew when that turns out to be too early: a limit
    that ends after an earlier one would have costs no system call. Unless it is told to keep the signal, the clock
    gives handler and timer back to whoever had them before the outermost limit.

    What a limit raises while a destructor runs, or a callback of the garbage collector, Python reports and drops, and
    many a destructor drops it by itself. So the clock lets destructors end, within reason; and it hears what is
    reported so, and rings again soon.
    """

    def __init__(self) -> None:
        self.limits: list[Limit] = []
        self.rings_at = NEVER
        self.kept = False
        self._raised: tuple[type[BaseException], int, Limit] | None = None
        """Class and identity of the exception, because holding it would hold the frames of a job, and whose it is."""
        self._put_off: tuple[Limit, float] | None = None
        """The limit that lets a destructor, or the report of one, end, and since when."""
        self._hook: Any = None
        self._hook_before: Any = None
        self._lent: list[_Lent] = []
        self._main_thread = threading.main_thread().ident
        self._handler: Final = self._ring  # a method is a new object each time it is looked up
        if hasattr(os, "register_at_fork"):  # not on Windows, where a producer may live
            os.register_at_fork(after_in_child=self.forget)

    def keep(self) -> None:
        """Have the signal for good. Raises ValueError outside of the main thread."""
        signal.signal(signal.SIGALRM, self._handler)
        self._hear_drops()
        self.forget()
        self.kept = True

    def let_go(self) -> None:
        """The opposite of `keep`: SIGALRM is as in a new process."""
        self.kept = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._stop_hearing()
        self.forget()

    def make_sure(self) -> None:
        """Take a kept signal back, if somebody has changed its handler or its timer."""
        if _getsignal(signal.SIGALRM) is self._handler:
            left = signal.getitimer(signal.ITIMER_REAL)[0]
            if abs(left - self._left()) < _TOLERANCE:
                return
        signal.signal(signal.SIGALRM, self._handler)
        self.set_timer()

    def enter(self, limit: Limit) -> None:
        """Strike this limit at its deadline. Raises ValueError outside of the main thread."""
        if threading.get_ident() != self._main_thread:
            raise ValueError("a time limit by signal only works in the main thread; TimerDeathPenalty works in any")
        if _getsignal(signal.SIGALRM) is not self._handler:
            handler = signal.signal(signal.SIGALRM, self._handler)
            left = signal.getitimer(signal.ITIMER_REAL)[0]
            self._lent.append(_Lent(limit, handler, left, time.monotonic()))
            self.rings_at = NEVER
        if not self.limits and sys.unraisablehook is not self._hook:
            self._hear_drops()
        self.limits.append(limit)
        if limit.deadline < self.rings_at:
            self.set_timer()

    def leave(self, limit: Limit) -> None:
        """The limit's block has ended, and those inside of it."""
        limits = self.limits
        if not self._lent and limits and limits[-1] is limit:
            del limits[-1]
        else:
            self._remove(limit)
        if not limits and not self.kept:
            self._stop_hearing()

    def done_with(self, limit: Limit) -> None:
        """It has raised. If no other is inside of it, its block may be at its very end, where the exception prevents
        `leave`."""
        if self.limits and self.limits[-1] is limit:
            self._remove(limit)

    def _remove(self, limit: Limit) -> None:
        limits = self.limits
        if limit in limits:
            del limits[limits.index(limit) :]
        while self._lent and self._lent[-1].limit not in limits:
            self._give_back(self._lent.pop())

    def _give_back(self, lent: _Lent) -> None:
        self.rings_at = NEVER
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if lent.handler is None else lent.handler)
        if lent.left:
            signal.setitimer(signal.ITIMER_REAL, max(lent.left - (time.monotonic() - lent.since), 1e-6))

    def _left(self) -> float:
        """Seconds until the clock has to ring; 0: it hasn't."""
        return min(max(self.rings_at - time.monotonic(), 1e-6), _LONGEST_TIMER) if self.rings_at < NEVER else 0.0

    def set_timer(self) -> None:
        """A deadline has changed."""
        self.rings_at = min((limit.deadline for limit in self.limits), default=NEVER)
        signal.setitimer(signal.ITIMER_REAL, self._left(), _RINGS_AGAIN)

    def _ring(self, _signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        over = next((limit for limit in self.limits if limit.deadline <= now), None)
        strikes = over is not None and not self._puts_off(over, now, frame)
        if over is not None:
            over.deadline = NEVER if strikes else now + _SOON
        self.set_timer()
        if over is None or not strikes:
            return
        try:
            over.strike()
        except BaseException as error:
            self.raised(error, over)
            raise
        self.set_timer()  # it has not raised: perhaps it will later

    def _puts_off(self, limit: Limit, now: float, frame: FrameType | None) -> bool:
        if not _is_dropped_in(frame, self._hook):
            self._put_off = None
            return False
        if self._put_off is None or self._put_off[0] is not limit:
            self._put_off = limit, now
        return now - self._put_off[1] < _LONGEST_DESTRUCTOR

    def raised(self, error: BaseException, limit: Limit) -> None:
        """If Python drops this exception, the limit strikes again."""
        self._raised = type(error), id(error), limit

    def _hear_drops(self) -> None:
        before = sys.unraisablehook
        if before is self._hook:
            return

        def hook(report: Any) -> None:
            if not self._hears(report):
                before(report)

        # A new one each time: somebody's own, put before an older one of ours, may call that.
        self._hook, self._hook_before, sys.unraisablehook = hook, before, hook

    def _stop_hearing(self) -> None:
        if sys.unraisablehook is self._hook:
            sys.unraisablehook = self._hook_before

    def _hears(self, report: Any) -> bool:
        """Whether an exception that Python has dropped is a limit's, which strikes again then."""
        raised, self._raised = self._raised, None
        if raised is None or (report.exc_type, id(report.exc_value)) != raised[:2] or not raised[2].open:
            return False
        limit = raised[2]
        limit.deadline = time.monotonic() + _SOON
        if limit in self.limits:
            self.set_timer()
        else:
            self.enter(limit)
        return True

    def forget(self) -> None:
        """In a forked child, which inherits no timer and is in none of its parent's limits."""
        self.limits.clear()
        self._lent.clear()
        self.rings_at = NEVER
        self._main_thread = threading.main_thread().ident


def _is_dropped_in(frame: FrameType | None, hook: Any) -> bool:
    """Whether Python drops what is raised there: in a destructor, or while it reports what it has dropped."""
    reporting = None if hook is None else hook.__code__  # the same of all hooks of ours
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code is reporting:
            return True
        frame = frame.f_back
    return False


ALARM_CLOCK: Final = AlarmClock()


class UnixSignalDeathPenalty(BaseDeathPenalty):
    """Raises in the main thread by SIGALRM. Blocks may be nested: the limit that ends first strikes first.

    A SIGALRM handler and timer that were there before the outermost block are put back behind it.
    """

    deadline: float = NEVER
    open = False

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel_death_penalty()

    def strike(self) -> None:
        try:
            self.handle_death_penalty(signal.SIGALRM, None)
        except BaseException:
            ALARM_CLOCK.done_with(self)
            raise

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        """Called in the block when its time is over (RQ)."""
        raise self._exception(self._message())

    def setup_death_penalty(self) -> None:
        """Raises ValueError outside of the main thread."""
        if self._timeout is not None:
            self.deadline, self.open = time.monotonic() + self._timeout, True
            ALARM_CLOCK.enter(self)

    def cancel_death_penalty(self) -> None:
        self.deadline, self.open = NEVER, False
        if self._timeout is not None:
            ALARM_CLOCK.leave(self)


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
        exception = described(self._exception, self._message())
        with self._lock:
            if self._timer is not None:
                RAISE_IN_THREAD(self._target_thread_id, exception)

    def setup_death_penalty(self) -> None:
        if self._timeout is None:
            return
        self._target_thread_id = threading.get_ident()
        with self._lock:  # however short the limit, it can't strike in the middle of starting its own timer
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
