"""Functions that take their time, and what they do when they are interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from atomiq import get_current_job
from atomiq.exceptions import JobStopped, ShuttingDown
from atomiq.timeouts import JobTimeoutException, UnixSignalDeathPenalty

SEEN: list[Any] = []
"""What the functions below have noted in this process."""


def busy(seconds: float = 30) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "done"


def rest(seconds: float = 30) -> str:
    time.sleep(seconds)
    return "done"


def wait_for(lock: threading.Lock) -> str:
    with lock:
        return "got it"


def swallow(seconds: float = 0.1) -> str:
    with contextlib.suppress(JobTimeoutException):
        busy()
    busy(seconds)
    return "went on"


class Clearing:
    """Does something at length when it is collected."""

    def __init__(self, does: Callable[..., Any]) -> None:
        self.does = does

    def __del__(self) -> None:
        self.does()


def clear_away(does: Callable[..., Any]) -> str:
    Clearing(does)
    return busy()


def raise_signal(number: int = signal.SIGUSR1) -> str:
    signal.raise_signal(number)
    return "nothing happened"


def checkpoint(number: int = signal.SIGUSR1) -> None:
    job = get_current_job()
    try:
        signal.raise_signal(number)
    except ShuttingDown:
        job.meta["done"] = 17
        job.save_meta()
        raise


def finish_all_the_same(number: int = signal.SIGUSR1) -> str:
    with contextlib.suppress(ShuttingDown):
        signal.raise_signal(number)
    return "finished"


def shut_down_by_myself() -> None:
    raise ShuttingDown


def stop_by_myself() -> None:
    raise JobStopped


def own_alarm() -> str:
    """As a library would do it that knows nothing of time limits."""

    def ring(signum: int, frame: object) -> None:
        raise ValueError("my own alarm")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        busy()
    except ValueError as error:
        return str(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return "nothing happened"


def ignore_alarms() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


def stop_the_timer() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def own_limit(seconds: float, function: Callable[[], Any] = busy) -> str:
    try:
        with UnixSignalDeathPenalty(seconds, KeyError):
            function()
    except KeyError:
        return "my own limit"
    return "nothing happened"


def note(job: Any, connection: Any, *arguments: Any) -> None:
    SEEN.append((job.get_status(refresh=False).value, *arguments[:1]))


async def anote(job: Any, connection: Any, *arguments: Any) -> None:
    await asyncio.sleep(0)
    SEEN.append((job.get_status(refresh=False).value, *arguments[:1]))


def signal_in_callback(job: Any, connection: Any, *arguments: Any) -> None:
    signal.raise_signal(signal.SIGUSR1)


def busy_callback(job: Any, connection: Any, *arguments: Any) -> None:
    busy()


def boom() -> None:
    raise ValueError("boom")


async def nap(seconds: float = 30) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def nap_noted(seconds: float = 30) -> str:
    """Notes how it ends."""
    try:
        await asyncio.sleep(seconds)
    except BaseException as error:
        SEEN.append(type(error).__name__)
        raise
    return "done"


async def acheckpoint() -> None:
    job = get_current_job()
    try:
        await asyncio.sleep(30)
    except ShuttingDown:
        await asyncio.sleep(0)
        job.meta["done"] = 17
        job.save_meta()
        raise


async def abusy(seconds: float = 30) -> str:
    """Holds up its loop."""
    return busy(seconds)


async def signal_then_nap() -> None:
    """Interrupted by itself, and notes how that feels; takes its time to clean up."""
    try:
        signal.raise_signal(signal.SIGUSR1)
        await asyncio.sleep(30)
    except BaseException as error:
        SEEN.append(type(error).__name__)
        await asyncio.sleep(0.15)
        SEEN.append("cleaned up")
        raise


async def nap_and_clean_up() -> None:
    try:
        await asyncio.sleep(30)
    except BaseException as error:
        SEEN.append(type(error).__name__)
        await asyncio.sleep(0.15)
        SEEN.append("cleaned up")
        raise


async def aboom() -> None:
    await asyncio.sleep(0)
    raise ValueError("boom")
