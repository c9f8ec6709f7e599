"""Functions that tests enqueue. Workers of tests import them as `tests.tasks`."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import select
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from atomiq import Retry, get_current_job
from tests.helpers import wait_until


def pause() -> None:
    """A moment; a signal handler may raise in the middle of it."""
    select.select((), (), (), 0.01)


def add(x: int, y: int = 0) -> int:
    return x + y


def nothing() -> None:
    return None


def children() -> list[int]:
    """Process ids of the children of the process that runs this."""
    return [child.pid for child in psutil.Process().children()]


def echo(value: Any) -> Any:
    return value


def boom(text: str = "boom") -> None:
    raise ValueError(text)


def leave(code: int = 0) -> None:
    raise SystemExit(code)


def interrupt() -> None:
    raise KeyboardInterrupt


def odd_error() -> None:
    raise RuntimeError("\udc80 half a character")


async def later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def later_boom() -> None:
    await asyncio.sleep(0)
    raise ValueError("later")


def pid() -> int:
    return os.getpid()


def big(size: int) -> bytes:
    return b"x" * size


def unpicklable() -> Any:
    return lambda: None


def meta_of_current() -> dict[str, Any]:
    job = get_current_job()
    job.meta["seen"] = True
    job.save_meta()
    return {"id": job.id, "meta": job.meta, "worker": job.worker_name, "ping": job.connection.ping()}


def wait(seconds: float = 60) -> None:
    """Runs as long as it takes, but listens to the soft time limit."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pause()


def ignore_limit(seconds: float = 60) -> None:
    """Runs on although it is told that its time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            pause()
        except Exception:  # noqa: BLE001
            continue


def kill_self(number: int = signal.SIGKILL) -> None:
    faulthandler.disable()  # the runner's, which would print its stack
    os.kill(os.getpid(), number)
    wait(60)


def hard_exit(code: int = 0) -> None:
    os._exit(code)


def fork_and_return() -> int:
    """A fork in a job, whose child comes back to where it should never be."""
    child = os.fork()
    if child == 0:
        return -1
    os.waitpid(child, 0)
    return os.getpid()


def ask_again(most: int, interval: int = 0) -> Retry:
    return Retry(max=most, interval=interval)


def note(path: str, text: str = "x") -> None:
    """Append a line to a file: tests count runs with it."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


def note_and_wait(path: str, gate: str, text: str = "x") -> str:
    """Note the start, wait until the file `gate` exists, note the end."""
    note(path, f"start {text} {os.getpid()}")
    while not Path(gate).exists():
        pause()
    note(path, f"end {text} {os.getpid()}")
    return text


def note_and_die(path: str) -> None:
    note(path)
    os.kill(os.getppid(), signal.SIGKILL)
    wait(60)


def note_and_kill_self(path: str) -> None:
    note(path)
    kill_self()


def fail_until(path: str, runs: int) -> int:
    """Fails until it has run `runs` times."""
    note(path)
    done = len(Path(path).read_text().splitlines())
    if done < runs:
        raise ValueError(f"run {done}")
    return done


# --- callbacks: (job, connection, ...)


def on_success(job: Any, connection: Any, result: Any) -> None:
    connection.rpush(f"calls:{job.id}", f"success {result} {job.get_status(refresh=False).value}")


def on_failure(job: Any, connection: Any, kind: Any, value: Any, trace: Any) -> None:
    connection.rpush(f"calls:{job.id}", f"failure {kind.__name__} {job.get_status(refresh=False).value}")


def on_stopped(job: Any, connection: Any) -> None:
    connection.rpush(f"calls:{job.id}", f"stopped {os.getpid()}")


def on_success_result(job: Any, connection: Any, result: Any) -> None:
    connection.rpush(f"calls:{job.id}", f"{result} {job.result}")


def on_success_boom(job: Any, connection: Any, result: Any) -> None:
    raise RuntimeError("success callback")


def on_failure_boom(job: Any, connection: Any, kind: Any, value: Any, trace: Any) -> None:
    raise RuntimeError("failure callback")


def on_stopped_boom(job: Any, connection: Any) -> None:
    raise RuntimeError("stopped callback")


def on_success_slow(job: Any, connection: Any, result: Any) -> None:
    wait(60)


def on_success_kept(job: Any, connection: Any, result: Any) -> None:
    """Ends once its lease has been extended far beyond the time limit of a job that had one second."""

    def lease() -> float:
        entries = dict(connection.zrange(f"rq:wip:{job.origin}", 0, -1, withscores=True))
        return next((end for name, end in entries.items() if name.startswith(job.id.encode())), 0.0)

    first = lease()
    wait_until(lambda: lease() > first + 2, 10, "the lease is extended while a callback runs")


def on_failure_no_retry(job: Any, connection: Any, kind: Any, value: Any, trace: Any) -> None:
    job.retries_left = 0


# --- exception handlers: (job, type, value, traceback)


def handler_notes(job: Any, *exc_info: Any) -> None:
    job.connection.rpush(f"calls:{job.id}", f"handler {exc_info[0].__name__}")


def handler_ends(job: Any, *exc_info: Any) -> bool:
    job.connection.rpush(f"calls:{job.id}", "last handler")
    return False


def handler_raises(job: Any, *exc_info: Any) -> None:
    raise RuntimeError("handler")


def killed_handler(job: Any, retpid: Any, ret_val: Any, rusage: Any) -> None:
    job.connection.rpush(f"calls:{job.id}", f"killed {ret_val}")
    job.retries_left = 0


def status_of_current() -> tuple[Any, Any]:
    job = get_current_job()
    return job.get_status(refresh=False), job.get_status()
