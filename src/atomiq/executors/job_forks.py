"""Forks that a job makes. They are no second worker, and what is its supervisor's is not theirs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from typing import Any, Final

from atomiq.executors.flush import flush_streams
from atomiq.timeouts import plain_getsignal

_LEFT_RAISING: Final = 1
_getsignal: Final = plain_getsignal()


class JobForks:
    """A child that runs jobs has a handler of SIGTERM, which is its supervisor's word to it. What a job forks has none,
    or multiprocessing, which ends its processes by SIGTERM, would wait for ever.

    `handler`: that of the child; one that a job has set instead goes along. With None nothing is changed.
    """

    def __init__(self, handler: Any = None) -> None:
        self.handler = handler
        self._thread = threading.local()
        self._watches = False

    def watch(self) -> None:
        """For the rest of this process's life."""
        if self._watches:
            return
        self._watches = True
        os.register_at_fork(before=self._hold_back, after_in_parent=self._go_on, after_in_child=self._be_mortal)

    def _hold_back(self) -> None:
        """A SIGTERM that comes at once must not meet our handler in the fork: the interpreter would forget it."""
        self._thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def _go_on(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._thread.mask)

    def _be_mortal(self) -> None:
        if self.handler is not None and _getsignal(signal.SIGTERM) is self.handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._go_on()


def end_if_stray(home: int, error: BaseException | None = None) -> None:
    """To be asked behind each call. `home`: the process that made it; `error`: what it has raised. A fork that comes
    back from there leaves as a program of its own would, so that whoever waits for it learns how it ended; callbacks,
    hooks and time limits are its parent's."""
    if os.getpid() == home:
        return
    code = _LEFT_RAISING
    try:
        code = _exit_code(error)
        flush_streams()
    finally:
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return _LEFT_RAISING
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return _LEFT_RAISING
