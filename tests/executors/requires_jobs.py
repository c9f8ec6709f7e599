"""Checks of what jobs require, as workers call them. They note each look in a list of their job."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from tests import tasks
from tests.executors import contract_jobs

from atomiq import get_current_job
from atomiq.command import send_stop_job_command


class Refused(Exception):
    """The database can't be reached."""


class RefusedAgain(Refused):
    """A subclass of it."""


def look() -> int:
    """Note it. Says how many looks of this job there were."""
    job = get_current_job()
    assert job is not None
    return int(job.connection.rpush(f"looks:{job.id}", os.getpid()))


def there(after: int = 0) -> bool:
    return look() > after


async def athere(after: int = 0) -> bool:
    return look() > after


def there_noted(path: str, after: int) -> bool:
    tasks.note(path, "look")
    return look() > after


def never() -> bool:
    look()
    return False


def broken(until: int = 1000) -> bool:
    if look() <= until:
        raise Refused("could not connect\nto the server")
    return True


async def abroken() -> bool:
    raise Refused(f"look {look()}")


def exits() -> bool:
    raise SystemExit(look())


def first_dies() -> bool:
    if look() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def slow(seconds: float = 60) -> bool:
    look()
    tasks.wait(seconds)
    return True


def deaf(seconds: float = 60) -> bool:
    """Its time limit does not end it."""
    look()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(BaseException):
            time.sleep(end - time.monotonic())
    return True


def stops_its_job() -> bool:
    look()
    contract_jobs.stop_me()
    return True


def first_shuts_down(path: str) -> bool:
    look()
    contract_jobs.first_shuts_down(path)
    return True


def raises(kind: str) -> None:
    raise {"refused": Refused, "again": RefusedAgain, "value": ValueError, "type": TypeError}[kind](kind)


def raises_group(*kinds: str) -> None:
    found: list[Exception] = []
    for kind in kinds:
        try:
            raises(kind)
        except Exception as error:  # noqa: BLE001  whatever it is
            found.append(error)
    raise ExceptionGroup("several", found)


def first_raises(kind: str) -> int:
    """The first run raises, the second one does not."""
    job = get_current_job()
    assert job is not None
    runs = int(job.connection.incr(f"runs:{job.id}"))
    if runs == 1:
        raises(kind)
    return runs


def stop(job: Any) -> None:
    send_stop_job_command(job.connection, job.id)
