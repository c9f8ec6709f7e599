"""The fork executor: a fresh fork for every call. A crash, a leak or a kill takes nobody along.

The interpreter warns about forking a process that has threads. A supervisor has none of its own; threads that the
application started before are not copied into the child, as with RQ.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from atomiq._core.shortage import in_words
from atomiq.executors import hooks
from atomiq.executors.black_box import BlackBox
from atomiq.executors.death import Death
from atomiq.executors.flush import flush_all, flush_streams
from atomiq.executors.guard import LifeLine
from atomiq.executors.report import FrameReader, Report, limit_frame, write_all

Announce = Callable[[float | None], None]
"""Tells the supervisor that from now on the call may take this many seconds (None: no limit)."""

Call = Callable[[Announce], Report]
"""What a child does: the call and everything around it, never an exception."""

_LEFT_RAISING: Final = 1


class NoRoom(OSError):
    """The machine, or a limit of it, has no room for another child."""


class Child:
    """A child as its supervisor sees it. `box`: keeps its last words, if it has one."""

    def __init__(self, pid: int, reader: int, box: BlackBox | None = None) -> None:
        self.pid = pid
        self.box = box
        self.born = time.monotonic()
        self.frames = FrameReader(reader)
        self.pidfd = _open_pidfd(pid)
        self.death: Death | None = None
        os.set_blocking(reader, False)

    @property
    def fds(self) -> tuple[int, ...]:
        """What becomes readable when the child has something to say, or is gone."""
        return tuple(fd for fd in (self.frames.fd, self.pidfd) if fd >= 0)

    def messages(self) -> list[tuple[Any, ...]]:
        return list(self.frames.read())

    def testify(self) -> None:
        """Add to its death, which was unexpected, what its black box kept and how long it lived."""
        if self.death is not None and self.box is not None:
            ran_for = time.monotonic() - self.born
            self.death = replace(self.death, words=self.box.last_words(), ran_for=ran_for)

    def look(self) -> Death | None:
        """Its death, once it is dead; doesn't wait."""
        if self.death is None:
            try:
                pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else collected it, say a SIGCHLD handler of the application
                self.death = Death(self.pid, None)
            else:
                if pid:
                    self.death = Death(pid, status, usage)
        return self.death

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal the child and whatever it started. A dead one is left alone: its pid may be another's by now."""
        if self.look() is not None:
            return
        for send in (os.killpg, os.kill):  # the call may have left its group; a second signal of a kind is no harm
            with contextlib.suppress(ProcessLookupError, PermissionError):
                send(self.pid, number)

    def wait(self) -> Death:
        """Wait for its death."""
        if self.death is None:
            try:
                self.death = Death(*os.wait4(self.pid, 0))
            except ChildProcessError:
                self.death = Death(self.pid, None)
        return self.death

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.frames.fd = self.pidfd = -1


class ForkExecutor:
    """Starts children. `unshare` names, at the moment of the fork, the file descriptors that a child must not keep."""

    def __init__(self, unshare: Callable[[], Iterable[int]] = tuple) -> None:
        self.life_line = LifeLine()
        self._unshare = unshare
        self._boxes: list[BlackBox] = []
        self._wish = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def shuts_down(self) -> bool:
        """In a child: the supervisor wants its call to end."""
        return bool(self._wish[0])

    def interrupt(self, child: Child) -> None:
        """Have a child see that its call is to end: SIGTERM, which by itself means nothing of the kind."""
        self._wish[0] = 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)

    def put_back(self, box: BlackBox) -> None:
        """The child of this black box is buried; the next one may have it."""
        box.clear()
        self._boxes.append(box)

    def start(self, call: Call, boxed: bool = False) -> Child:
        """Fork a child that makes the call and reports over a pipe; `boxed`: with a black box, which `put_back` takes
        back. Raises NoRoom, an OSError."""
        flush_streams()
        hooks.before_fork()
        box = None
        pipe: tuple[int, ...] = ()
        try:
            if boxed:
                box = self._boxes.pop() if self._boxes else BlackBox()
            pipe = reader, writer = os.pipe()
            pid = _fork()
        except OSError as error:
            for fd in pipe:
                os.close(fd)
            if box is not None:
                self.put_back(box)
            raise NoRoom(error.errno, in_words(error)) from error
        if pid == 0:
            _child(call, writer, self.life_line, [reader, *self._unshare()], box)
        os.close(writer)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # the child does it too; whoever comes first, no kill can hit the wrong group
        return Child(pid, reader, box)

    def close(self) -> None:
        self.life_line.close()
        for box in self._boxes:
            box.close()
        self._boxes.clear()
        self._wish.close()


def _fork() -> int:
    """`os.fork()`, with all objects of now hidden from the child's garbage collector: it would write to each of them,
    and have their pages copied. Those of an application that has hidden its own stay hidden here as well."""
    hidden, pid = gc.get_freeze_count(), -1
    gc.freeze()
    try:
        pid = os.fork()
    finally:
        if pid and not hidden:
            gc.unfreeze()
    return pid


def _child(call: Call, writer: int, life_line: LifeLine, unshare: Iterable[int], box: BlackBox | None) -> None:
    code = _LEFT_RAISING
    me = os.getpid()
    pipe = os.fstat(writer)

    def say(data: bytes) -> None:
        now = os.fstat(writer)
        if (now.st_dev, now.st_ino) != (pipe.st_dev, pipe.st_ino):  # not into what the call has opened since
            raise OSError("the call has closed the worker's pipe")
        write_all(writer, data)

    try:
        _settle_in(life_line, unshare)
        if box is not None:
            box.install()
        report = call(lambda seconds: say(limit_frame(seconds)))
        if os.getpid() == me:  # a fork made by the call that came back to us has nothing to report
            say(report.as_frame())
            code = 0
    except BaseException:  # noqa: BLE001  whatever it is, nothing of the supervisor's stack may go on in here
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            flush_all() if box is not None else flush_streams()
        os._exit(code)


def _settle_in(life_line: LifeLine, unshare: Iterable[int]) -> None:
    signal.set_wakeup_fd(-1)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    life_line.let_go()
    life_line.die_with_owner()
    # Not closed but turned to nowhere: objects of the supervisor still name these numbers and may close them later.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in unshare:
        os.dup2(nowhere, fd, inheritable=False)
    os.close(nowhere)
    hooks.after_fork_in_child()


def _open_pidfd(pid: int) -> int:
    """Readable at the death of the process; -1 where the system has none."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return os.pidfd_open(pid)
    return -1
