"""Signals as events: a pipe that wakes the loop, and what arrived when."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

from atomiq.executors.job_forks import JobForks
from atomiq.executors.story import ColdStop
from atomiq.worker.runs import DOUBLE_SIGNAL

SHUTDOWN_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
RELOADING: Final = (*SHUTDOWN_SIGNALS, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))
"""What a worker hears that reloads."""

_JOBS_HERE: Final = JobForks()  # one for all workers of this process, because a hook of forks can't be taken away


class Signals:
    """Wishes to stop, however they come: by signal, or by a call of `wish` from any thread.

    `in_job`: set while a call runs in this very process; a second wish then breaks off the call with ColdStop, because
    nothing else could.
    """

    def __init__(self) -> None:
        self.in_job = False
        self._wishes: deque[tuple[str, float]] = deque()
        self._first: float | None = None
        self._previous: dict[int, Any] = {}
        self._previous_wakeup = -1
        self._handler: Callable[[int, FrameType | None], Any] | None = None
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        """Readable when there are wishes to take."""
        return self._reader

    @property
    def fds(self) -> tuple[int, int]:
        return self._reader, self._writer

    def install(self, handler: Callable[[int, FrameType | None], Any], reloads: bool = False) -> None:
        """Let `handler` have SIGINT and SIGTERM, with `reloads` SIGHUP as well. Outside the main thread, where Python
        can't do it, nothing happens."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._previous_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        wanted = RELOADING if reloads else SHUTDOWN_SIGNALS
        self._previous = {number: signal.signal(number, handler) for number in wanted}
        self._handler = handler
        if any(isinstance(before, _Remembered) and before.came for before in self._previous.values()):
            os.kill(os.getpid(), signal.SIGHUP)
        if reloads:  # what has come since an earlier program of this process called `leave_to_next`
            signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # inherited; the kernel would not say how children died
            self._previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    @contextlib.contextmanager
    def job_here(self) -> Iterator[None]:
        """Around a call in this very process. What it forks isn't asked by SIGTERM to shut down, but ended by it."""
        self.in_job, _JOBS_HERE.handler = True, self._handler
        _JOBS_HERE.watch()
        try:
            yield
        finally:
            self.in_job, _JOBS_HERE.handler = False, None
            self._reinstall()

    def _reinstall(self) -> None:
        """After a call in this process, which may have left handlers of its own (asyncio takes the wake-up away)."""
        if self._handler is None:
            return
        for number in SHUTDOWN_SIGNALS:
            if signal.getsignal(number) != self._handler:
                signal.signal(number, self._handler)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)

    def uninstall(self) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
        if self._previous:
            signal.set_wakeup_fd(self._previous_wakeup)
        self._previous, self._handler = {}, None

    def wish(self, name: str) -> None:
        """Somebody wants the worker to stop. Safe in a signal handler and in any thread."""
        at = time.monotonic()
        self._wishes.append((name, at))
        with contextlib.suppress(OSError):
            os.write(self._writer, b"!")
        if name == "SIGHUP":
            return
        if self._first is None:
            self._first = at
        elif self.in_job and at - self._first >= DOUBLE_SIGNAL:
            raise ColdStop

    def take(self) -> list[tuple[str, float]]:
        """The wishes since the last call, with their times."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass
        wishes = []
        while self._wishes:
            wishes.append(self._wishes.popleft())
        return wishes

    def leave_to_next(self) -> None:
        """This process is about to execute another program: that hears, once it has its handlers, what comes from now
        on, and what nobody has taken yet. Until then a signal would end the process, and its children with it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, RELOADING)
        for name, _ in self.take():
            os.kill(os.getpid(), getattr(signal, name, signal.SIGTERM))

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


class _Remembered:
    """A handler that only knows whether the signal came."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True


@contextlib.contextmanager
def hangups_remembered() -> Iterator[None]:
    """SIGHUP doesn't end this process meanwhile: a worker that reloads hears of it once it has its own handler."""
    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGHUP, _Remembered())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL if before is None else before)
