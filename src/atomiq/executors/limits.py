"""Around a call: its time limit, and a way to interrupt it. A guard for the main thread and one for other threads; that
for coroutines on a loop that they share is in coroutine.py.

Every guard keeps the same promise: an exception is raised inside the call, or not at all. None comes late, into what
the worker does after the call, or into the next job.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from atomiq.executors.drive import Drive
from atomiq.timeouts import (
    ALARM_CLOCK,
    NEVER,
    RAISE_IN_THREAD,
    TAKE_BACK,
    BaseDeathPenalty,
    JobTimeoutException,
    UnixSignalDeathPenalty,
    described,
    over_text,
)

HELD_UP: Final = 1.0
"""Seconds. A coroutine that isn't interrupted at an `await` by then holds up its loop, and is interrupted like any
other function."""


class Guard(Protocol):
    """Limits and interrupts the calls of one job after the other.

    `interrupted`: what `interrupt` has raised in the present job, None as long as nothing.
    """

    interrupted: type[BaseException] | None

    def begin(self, job_id: str) -> None:
        """The calls from now on are another job's."""

    def end(self) -> None:
        """The job has ended."""

    def call(self, seconds: float | None, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, in which JobTimeoutException is raised when it takes longer; None: no limit. May be
        nested."""

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Inside of a call: run a coroutine on a loop of its own. What is raised is raised where it awaits."""

    def interrupt(self, exception: type[BaseException]) -> bool:
        """Raise an exception in the call that runs. False: nothing runs, and nothing will be raised."""


Wanted = tuple[type[BaseException], tuple[str, ...]]


class Call:
    """A call that runs. `open` until it has ended; `wanted`: what is to be raised in it; `struck`: another thread has
    raised it between two bytecodes."""

    __slots__ = ("deadline", "guard", "open", "seconds", "struck", "wanted")

    def __init__(self, guard: _Guarding, seconds: float | None) -> None:
        self.guard = guard
        self.seconds = seconds
        self.deadline = NEVER if seconds is None else time.monotonic() + seconds
        self.open = True
        self.struck = False
        self.wanted: Wanted | None = None

    def strike(self) -> None:
        """The alarm clock rings."""
        wanted = self.guard.over(self, time.monotonic())
        if wanted is not None:
            exception, message = wanted
            raise exception(*message)


class _Guarding:
    """What the guards of threads have in common."""

    def __init__(self) -> None:
        self.interrupted: type[BaseException] | None = None
        self._calls: list[Call] = []
        self._driven: Drive | None = None

    def begin(self, job_id: str) -> None:
        self.interrupted = None

    def end(self) -> None:
        self._calls.clear()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(self._drive(coroutine))

    async def _drive(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        drive = self._driven = Drive()
        try:
            return await drive.run(coroutine)
        finally:
            self._driven = None

    def over(self, call: Call, now: float) -> Wanted | None:
        """The deadline of a call is over: what is to be raised in it at once, None if that happens at an `await`."""
        call.deadline = NEVER
        if call.wanted is None:
            message = over_text(call.seconds or 0)
            return None if self._at_await(call, now, JobTimeoutException, message) else call.wanted
        driven = self._driven
        return None if driven is not None and driven.thrown else call.wanted

    def _at_await(self, call: Call, now: float, exception: type[BaseException], *message: str) -> bool:
        """Have it raised in the coroutine that runs; see to it that it happens. False: none runs."""
        call.wanted = exception, message
        driven = self._driven
        if driven is None or not driven.throw_soon(exception, *message):
            return False
        call.deadline = now + HELD_UP
        return True

    def _outermost(self) -> Call | None:
        return next((call for call in tuple(self._calls) if call.open), None)


class MainThreadGuard(_Guarding):
    """For calls in the main thread, one job at a time. Limits by SIGALRM.

    Args:
        death_penalty_class: RQ's way to have other limits, used instead of SIGALRM if it isn't UnixSignalDeathPenalty.
    """

    def __init__(self, death_penalty_class: type[BaseDeathPenalty] = UnixSignalDeathPenalty) -> None:
        super().__init__()
        self._penalty = None if death_penalty_class is UnixSignalDeathPenalty else death_penalty_class
        self._job_id = ""

    def install(self) -> None:
        """Have SIGALRM for good: limits cost less then. Without it, the signal is put back after each call. Raises
        ValueError outside of the main thread."""
        ALARM_CLOCK.keep()

    def reinstall(self) -> None:
        """Mend what a job has done to SIGALRM and its timer."""
        if ALARM_CLOCK.kept:
            ALARM_CLOCK.make_sure()

    def begin(self, job_id: str) -> None:
        self.interrupted = None
        self._job_id = job_id

    def end(self) -> None:
        self._calls.clear()
        self.reinstall()

    def call(self, seconds: float | None, function: Callable[..., Any], *args: Any) -> Any:
        if self._penalty is not None and seconds is not None:
            return self._penalized(seconds, function, *args)
        call = Call(self, seconds)
        watched = seconds is not None or ALARM_CLOCK.kept
        try:
            self._calls.append(call)
            if watched:
                ALARM_CLOCK.enter(call)
            return function(*args)
        finally:
            # Signals are handled at calls, jumps and beginnings of functions: never before these two lines are done.
            call.deadline = NEVER
            call.open = False
            if watched:
                ALARM_CLOCK.leave(call)
            self._calls.remove(call)

    def _penalized(self, seconds: float, function: Callable[..., Any], *args: Any) -> Any:
        assert self._penalty is not None
        with self._penalty(seconds, JobTimeoutException, job_id=self._job_id):
            return self.call(None, function, *args)

    def interrupt(self, exception: type[BaseException]) -> bool:
        """To be called in the same thread, by a signal handler: what it raises comes out of here, where something runs
        that isn't a coroutine."""
        call = self._outermost()
        if call is None:
            return False
        self.interrupted = exception
        if self._at_await(call, time.monotonic(), exception):
            ALARM_CLOCK.set_timer()
            return True
        error = exception()
        if call in ALARM_CLOCK.limits:
            ALARM_CLOCK.raised(error, call)
        raise error


class ThreadGuard(_Guarding):
    """For calls in a thread that isn't the main thread. Another thread watches: it calls `strike` now and then.

    What is raised is noticed between two bytecodes: not as long as the call waits in C, for a lock or a socket.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_struck: Call | None = None
        self._lock = threading.Lock()
        self._thread = 0

    def call(self, seconds: float | None, function: Callable[..., Any], *args: Any) -> Any:
        call = Call(self, seconds)
        thread = self._thread = threading.get_ident()
        try:
            self._calls.append(call)
            return function(*args)
        finally:
            # What another thread raises here comes after a call, a jump or the beginning of a function: not before the
            # call is closed and the exception, if there is one, is taken back.
            call.open = False
            if call.struck and self._last_struck is call:
                TAKE_BACK(thread, None)
                try:
                    with self._lock:
                        TAKE_BACK(thread, None)
                except BaseException:  # noqa: BLE001  it was raised in this very moment: there can't be another
                    TAKE_BACK(thread, None)
            self._calls.remove(call)

    def strike(self, now: float) -> float | None:
        """End the call whose time is over. `now`: monotonic seconds. Says the next deadline, None if there is none."""
        for call in tuple(self._calls):
            if call.struck and call.open:
                return None
            if call.deadline <= now:
                wanted = self.over(call, now)
                if wanted is not None:
                    exception, message = wanted
                    self._raise_in(call, described(exception, *message) if message else exception)
                    return None
        deadline = min((call.deadline for call in tuple(self._calls) if call.open), default=NEVER)
        return None if deadline == NEVER else deadline

    def interrupt(self, exception: type[BaseException]) -> bool:
        """To be called in another thread."""
        call = self._outermost()
        if call is None:
            return False
        before, self.interrupted = self.interrupted, exception
        if self._at_await(call, time.monotonic(), exception) or self._raise_in(call, exception):
            return True
        self.interrupted = before
        return False

    def _raise_in(self, call: Call, exception: type[BaseException]) -> bool:
        with self._lock:
            call.struck, self._last_struck = True, call  # before the look at `open`, which the other side sets first
            if not call.open:
                return False
            RAISE_IN_THREAD(self._thread, exception)
            return True
