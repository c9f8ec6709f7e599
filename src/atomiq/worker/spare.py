"""A fork made while the one before it works: the next job need not wait for a process to be copied.

It runs one job, as any other fork: it waits for its order in a pipe before it does anything that belongs to a job.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import struct
import time
from collections.abc import Callable, Iterator
from typing import Final

from atomiq._commands.claim import Claimed
from atomiq.executors.fork import Announce, Call, Child, ForkExecutor
from atomiq.executors.report import Report

LONGEST_ORDER: Final = 32_768
"""Bytes; an empty pipe has room for so many, unless the user has very many pipes."""
_LENGTH: Final = struct.Struct("!I")


class Spare:
    """At most one fork that waits. `call`: makes the call of a claimed job."""

    def __init__(self, executor: ForkExecutor, call: Callable[[Claimed], Call]) -> None:
        self._executor = executor
        self._call = call
        self._child: Child | None = None
        self._reader = self._writer = -1

    def prepare(self) -> None:
        """Have a fork wait. Without room for it there is none, and `take` says so."""
        if self._child is not None:
            return
        with contextlib.suppress(OSError):
            self._reader, self._writer = os.pipe()
            os.set_blocking(self._writer, False)  # a pipe may be small, and the fork be stopped
            self._child = self._executor.start(self._wait_and_call, boxed=True)
        self._close(reading=True)
        if self._child is None:
            self._close()

    def take(self, claimed: Claimed) -> Child | None:
        """The fork that runs this job from now on. None: none waits, or the job is too large for its pipe."""
        child = self._child
        if child is None:
            return None
        order = marshal.dumps(tuple(claimed))
        if len(order) > LONGEST_ORDER:
            return None
        child.born = time.monotonic()
        if child.box is not None:
            child.box.clear()  # what has happened while it waited is not the job's doing; what happens from now on is
        if child.look() is None and self._sent(_LENGTH.pack(len(order)) + order):
            self._child = None
            self._close()
            return child
        self.close()
        return None

    def pids(self) -> set[int]:
        return set() if self._child is None else {self._child.pid}

    def fds(self) -> Iterator[int]:
        """What other children must not keep; in the fork itself, too."""
        if self._child is not None:
            yield from self._child.fds
        if self._writer >= 0:
            yield self._writer

    def close(self) -> None:
        """End the one that waits: it holds nothing."""
        self._close()
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            child.close()
            if child.box is not None:
                self._executor.put_back(child.box)

    def _sent(self, data: bytes) -> bool:
        try:
            return os.write(self._writer, data) == len(data)
        except (BrokenPipeError, BlockingIOError):  # somebody has killed or stopped it
            return False

    def _close(self, reading: bool = False) -> None:
        """Both ends of the pipe, or the one for reading only."""
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1
        if self._writer >= 0 and not reading:
            os.close(self._writer)
            self._writer = -1

    # --- in the fork

    def _wait_and_call(self, announce: Announce) -> Report:
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        claimed = Claimed(*marshal.loads(self._read(length)))  # noqa: S302  written by our own supervisor
        os.close(self._reader)
        return self._call(claimed)(announce)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = os.read(self._reader, size - len(data))
            if not more:  # no job will come
                os._exit(0)
            data += more
        return data
