"""Functions that the contract tests enqueue, for whichever executor runs them; more of them are in tests/tasks.py."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.tasks import kill_self, note, pause, wait

from atomiq import Job, Queue, get_current_job
from atomiq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command
from atomiq.exceptions import JobStopped, ShuttingDown

SWAPPED: contextvars.ContextVar[Any] = contextvars.ContextVar("swapped", default=None)
TOGETHER = 3
LEFT = threading.Event()
"""Ends the threads that jobs have left in this process."""
_met = threading.Barrier(TOGETHER)
_counted = 0
_here: set[str] = set()


# --- where it runs


def where() -> dict[str, Any]:
    """The process, the thread and the kind of place that this call is in."""
    try:
        asyncio.get_running_loop()
        looped = True
    except RuntimeError:
        looped = False
    main = threading.current_thread() is threading.main_thread()
    return {"pid": os.getpid(), "main": main, "loop": looped, "thread": threading.current_thread().name}


async def awhere() -> dict[str, Any]:
    await asyncio.sleep(0)
    return where()


def note_where(path: str) -> None:
    note(path, str(os.getpid()))


# --- which job it is


def meet() -> list[str]:
    """Not before the others of its kind are here, too: which job is it, before and after?"""
    ids = [get_current_job().id]
    _met.wait(10)
    pause()
    return [*ids, get_current_job().id]


async def ameet() -> list[str]:
    ids = [get_current_job().id]
    _here.add(ids[0])
    while len(_here) < TOGETHER:  # noqa: ASYNC110  an Event belongs to one loop, and this runs in several
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    return [*ids, get_current_job().id]


def swap(value: Any) -> Any:
    """What another job has left in the context."""
    before = SWAPPED.get()
    SWAPPED.set(value)
    return before


async def aswap(value: Any) -> Any:
    return swap(value)


def enqueue_another(value: Any) -> str:
    job = get_current_job()
    return Queue(job.origin, connection=job.connection).enqueue("tests.tasks.echo", value).id


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def flood() -> int:
    for number in range(200_000):
        print(f"row {number:06} of a flood that nobody reads")
    sys.stderr.write("x" * 2_000_000 + "\n")
    return 200_000


# --- limits


def block(seconds: float = 60) -> None:
    """In C: nothing can be raised in here when it isn't the main thread."""
    time.sleep(seconds)


async def ablock(seconds: float = 60) -> None:
    """Holds up its loop, and whoever is on it."""
    time.sleep(seconds)  # noqa: ASYNC251  that is what it is for


async def nap(seconds: float = 60) -> None:
    await asyncio.sleep(seconds)


async def deaf(path: str) -> None:
    """A coroutine that swallows whatever is raised in it."""
    note(path)
    while True:
        try:
            await asyncio.sleep(0.01)
        except BaseException:  # noqa: BLE001
            continue


def note_and_block(path: str) -> None:
    note(path)
    block()


def slow_failure(job: Any, connection: Any, *error: Any) -> None:
    wait(60)


async def aslow_failure(job: Any, connection: Any, *error: Any) -> None:
    await nap(60)


# --- beside another


def first_waits(path: str, text: str = "x") -> str:
    """Waits for its end in the first run; there is a second one only if somebody ends the process."""
    note(path)
    if len(Path(path).read_text().splitlines()) == 1:
        wait(60)
    return text


async def afirst_waits(path: str, text: str = "x") -> str:
    note(path)
    if len(Path(path).read_text().splitlines()) == 1:
        await nap()
    return text


def once_seen(path: str) -> None:
    """Wait for a neighbour's first line in this file."""
    while not Path(path).exists() or not Path(path).stat().st_size:
        pause()


def let_it_end() -> None:
    """In a second run, the neighbour needs a moment to end in peace."""
    if get_current_job().attempts > 1:
        wait(0.3)


def kill_beside(path: str, number: int = signal.SIGKILL) -> None:
    once_seen(path)
    let_it_end()
    kill_self(number)


def exit_beside(path: str, code: int = 7) -> None:
    once_seen(path)
    let_it_end()
    os._exit(code)


def block_beside(path: str) -> None:
    once_seen(path)
    block()


async def block_until_seen(path: str, within: float = 8) -> None:
    """Keep the loop from everything else until another job has written to this file."""
    end = time.monotonic() + within
    while not Path(path).exists():
        assert time.monotonic() < end, "nobody came"
        pause()


def note_after(seconds: float, path: str) -> None:
    time.sleep(seconds)
    note(path)


async def length(value: bytes) -> int:
    return len(value)


# --- stopped


def stop_me() -> None:
    job = get_current_job()
    send_stop_job_command(job.connection, job.id)
    wait(60)


async def astop_me() -> None:
    job = get_current_job()
    send_stop_job_command(job.connection, job.id)
    await nap(60)


def stop_another(job_id: str, path: str) -> None:
    """Returns when it is stopped, and says so in this file."""
    job = Job.fetch(job_id, get_current_job().connection)
    while job.get_status() != "started":
        pause()
    send_stop_job_command(job.connection, job_id)
    while job.get_status() != "stopped":
        pause()
    note(path)


async def anote_and_block(path: str) -> None:
    note(path)
    block()


def stop_beside(job_id: str, path: str) -> None:
    once_seen(path)
    send_stop_job_command(get_current_job().connection, job_id)


def stop_me_in_vain() -> None:
    """Also when the supervisor is quicker than the step from the one call to the next."""
    job = get_current_job()
    try:
        send_stop_job_command(job.connection, job.id)
        block()
    except JobStopped:
        block()


def lose_me() -> None:
    """As if its worker had been silent for longer than the lease: somebody else takes the job away."""
    job = get_current_job()
    for key in job.connection.scan_iter("*:wip:*"):
        for member in job.connection.zrange(key, 0, -1):
            if member.startswith(job.id.encode()):
                job.connection.zrem(key, member)


# --- what they leave behind


def replace_signal_handlers() -> None:
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)


async def areplace_signal_handlers() -> None:
    replace_signal_handlers()


def terminate_self() -> str:
    os.kill(os.getpid(), signal.SIGTERM)
    wait(0.05)
    return "went on"


def leave_a_thread() -> None:
    threading.Thread(target=LEFT.wait, daemon=False).start()


def close_all_files() -> None:
    """But those that Python prints to; tests may have put these elsewhere than 1 and 2."""
    kept = {sys.stdout.fileno(), sys.stderr.fileno()}
    for fd in range(3, 256):
        if fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)


def close_all_files_and_open(path: str) -> None:
    close_all_files()
    for _ in range(40):
        os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)


def close_all_files_open_and_stay(path: str) -> None:
    close_all_files_and_open(path)
    wait(5)


def take_a_socket() -> int:
    """A job may use sockets of its own."""
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x")
        return len(other.recv(1))


def allocate(size: int) -> None:
    """Hold so many bytes of real memory until somebody objects."""
    kept = bytearray(size)
    for place in range(0, size, 4096):
        kept[place] = 1
    wait(30)
    assert kept


def allocate_and_return(size: int) -> int:
    """A leak: what it holds stays when it has ended."""
    _leaked.append(b"x" * size)
    wait(0.25)
    return os.getpid()


_leaked: list[bytes] = []


def count() -> int:
    """How many of its kind have run in this process."""
    global _counted  # noqa: PLW0603
    _counted += 1
    return _counted


def say_and_die(text: str) -> None:
    print(text)
    kill_self()


# --- shutdowns


def shut_down_worker(name: str) -> None:
    send_shutdown_command(get_current_job().connection, name)
    pause()


def _shut_down_once(path: str) -> bool:
    """In the first run: ask the worker to end."""
    note(path)
    first = path == os.devnull or len(Path(path).read_text().splitlines()) == 1
    job = get_current_job()
    if first:
        send_shutdown_command(job.connection, job.worker_name)
    return first


def first_shuts_down(path: str) -> None:
    if _shut_down_once(path):
        try:
            wait(60)
        except ShuttingDown:
            interrupted()
            raise


async def afirst_shuts_down(path: str) -> None:
    if _shut_down_once(path):
        try:
            await nap(60)
        except ShuttingDown:
            interrupted()
            raise


def interrupted() -> None:
    job = get_current_job()
    job.connection.rpush(f"calls:{job.id}", "interrupted")


def kill_my_horse(worker: str) -> None:
    send_kill_horse_command(get_current_job().connection, worker)
    wait(60)


def push_queue(key: str) -> None:
    """Note which queue the job came from."""
    job = get_current_job()
    job.connection.rpush(key, job.origin)
