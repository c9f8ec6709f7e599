"""A watchdog for the supervisor's own loop: if it hangs, all stacks go to stderr and the process ends by SIGALRM.

The kernel's timer and faulthandler do it, so nothing of ours has to be able to run: neither the interpreter nor the
GIL. The children die with the supervisor, and its jobs run elsewhere. A loop that runs user code (inline) must not have
one.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
import time
from typing import Final

SHORTEST_LIMIT: Final = 60.0
"""Seconds. Use no less than the lease: a process that was stopped (SIGSTOP) for longer than the limit ends when it goes
on, and then its jobs are others' already."""
_STDERR: Final = 2


class Watchdog:
    """`start` it, `feed` it in every turn of the loop, `stop` it afterwards. A forked child calls `forget`."""

    def __init__(self, limit_s: float, log: logging.Logger) -> None:
        """`limit_s`: seconds that a turn of the loop may take.

        Raises:
            ValueError: not above 0.
        """
        if limit_s <= 0:
            raise ValueError(f"the watchdog's limit must be above 0, not {limit_s!r}")
        self._limit = limit_s
        self._log = log
        self._pause = min(1.0, limit_s / 4)
        self._on = False
        self._feed_at = 0.0

    def start(self) -> bool:
        """Watch from now on. False, with a line in the log, where that can't be: outside the main thread, or when the
        application uses SIGALRM itself."""
        reason = _obstacle()
        if reason:
            self._log.info("No watchdog for the worker's loop: %s", reason)
            return False
        # Chained to the default action: first the stacks, then the end.
        faulthandler.register(signal.SIGALRM, file=_STDERR, all_threads=True, chain=True)
        self._on = True
        self._feed_at = 0.0
        self.feed()
        return True

    def feed(self) -> None:
        """The loop turns."""
        if self._on:
            now = time.monotonic()
            if now >= self._feed_at:
                self._feed_at = now + self._pause
                signal.setitimer(signal.ITIMER_REAL, self._limit)

    def stop(self) -> None:
        """Watch no longer; SIGALRM is as it was."""
        if self._on:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.forget()

    def forget(self) -> None:
        """In a forked child, which inherits the handler but no timer: SIGALRM is as it was."""
        if self._on:
            faulthandler.unregister(signal.SIGALRM)
            self._on = False


def _obstacle() -> str:
    """Why there can be no watchdog; empty when there can."""
    if threading.current_thread() is not threading.main_thread():
        return "it doesn't run in the main thread"
    if signal.getsignal(signal.SIGALRM) != signal.SIG_DFL or signal.getitimer(signal.ITIMER_REAL)[0]:
        return "the application uses SIGALRM"
    try:
        os.fstat(_STDERR)
    except OSError:
        return "there is no stderr for the stacks"
    return ""
