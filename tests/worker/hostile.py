"""Jobs that harm the process they run in; more polite ones are in `tests.tasks`."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import stat
import sys
from typing import Any

from tests.tasks import note, pause

from atomiq import get_current_job


def write_into_every_pipe() -> None:
    """What a call does that writes to numbers it has closed before, or two processes that write at once."""
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, b"\0\0\0\x04junkjunk")


def take_a_key(key: str) -> None:
    """What an application does that uses a key of ours for itself."""
    job = get_current_job()
    assert job is not None
    job.connection.delete(key)
    job.connection.set(key, "mine")


def close_all_and_open(path: str) -> None:
    """What a library does that makes a daemon of the process: all files closed, then its own opened."""
    os.closerange(3, 256)
    for _ in range(40):
        os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def take_signals_by_asyncio() -> None:
    """asyncio takes the process's wake-up away and leaves the default handler behind."""

    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)

    asyncio.run(main())


def leave_the_group(path: str) -> None:
    """Deaf, and no longer in the process group that was made for it."""
    os.setpgid(0, os.getpgid(os.getppid()))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(path)
    while True:
        pause()


class UnshowableError(Exception):
    """Neither it nor a traceback with it can be turned into text."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("__notes__", "__cause__"):
            raise RuntimeError("not for you")
        return super().__getattribute__(name)


def raise_unshowable() -> None:
    raise UnshowableError


def answer_bytes(size: int) -> bytes:
    return os.urandom(size)


def end_a_child() -> int | None:
    """The exit code of a process that multiprocessing has ended; None: it has not ended."""
    child = multiprocessing.get_context("fork").Process(target=signal.pause)
    child.start()
    child.terminate()
    child.join(5)
    code = child.exitcode
    child.kill()
    return code


def use_a_fork_server() -> int | None:
    """The exit code of a process that is started as multiprocessing does by default since Python 3.14."""
    child = multiprocessing.get_context("forkserver").Process(target=os._exit, args=(3,))
    child.start()
    child.join(20)
    return child.exitcode


def leave_a_pool_open() -> int:
    """The pid of its process."""
    opened.append(multiprocessing.get_context("fork").Pool(1))
    return opened[-1].apply(os.getpid)


opened: list[Any] = []


def fork_that_exits() -> int:
    pid = os.fork()
    if pid == 0:
        sys.exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork_that_comes_back() -> int:
    pid = os.fork()
    return 3 if pid == 0 else os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork_that_raises() -> int:
    pid = os.fork()
    if pid == 0:
        raise ValueError("in the fork")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def coroutine_that_forks() -> int:
    return fork_that_exits()
