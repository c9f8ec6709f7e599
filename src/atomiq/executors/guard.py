"""A child must not outlive its supervisor: the kernel sees to it where it can, a watching thread elsewhere."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def _load_libc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None


# Loaded before any fork: a child between fork and its work should do as little as it can.
_LIBC: Final = _load_libc()


class LifeLine:
    """A pipe whose writing end only the supervisor holds: its end of file is the supervisor's death."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.owner = os.getpid()

    @classmethod
    def inherited(cls, reader: int, owner: int) -> LifeLine:
        """The end that tells, in a process that was started as a fresh interpreter."""
        line = cls.__new__(cls)
        line.reader, line.writer, line.owner = reader, -1, owner
        return line

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            if fd >= 0:
                os.close(fd)
        self.reader = self.writer = -1

    def let_go(self) -> None:
        """In a child: keep only the end that tells."""
        if self.writer >= 0:
            os.close(self.writer)
        self.writer = -1

    def die_with_owner(self) -> None:
        """In a child, after `let_go`: from now on the supervisor's end is ours too, however it comes about."""
        if _LIBC is not None and _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
            if os.getppid() != self.owner:  # it died before the kernel was told to watch
                os.kill(os.getpid(), signal.SIGKILL)
            return
        threading.Thread(target=self._watch, name="atomiq-life-line", daemon=True).start()

    def _watch(self) -> None:
        while os.read(self.reader, 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
