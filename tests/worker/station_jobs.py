"""What tests of stations have run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.tasks import note, wait

from atomiq import Job, get_current_job
from atomiq.command import send_stop_job_command
from atomiq.exceptions import InvalidJobOperation, ShuttingDown
from atomiq.worker import Worker


def die_once(path: str) -> int:
    """Kill the own process at the first run; note each run with its time."""
    first = not Path(path).exists()
    note(path, str(time.monotonic()))
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1


def leave_once(path: str, code: int) -> None:
    """End the own process with this exit code at the first run."""
    first = not Path(path).exists()
    note(path)
    if first:
        os._exit(code)


def kill_worker_once(path: str) -> int:
    """Kill the own supervisor at the first run."""
    first = not Path(path).exists()
    note(path, str(time.monotonic()))
    if first:
        os.kill(os.getppid(), signal.SIGKILL)
        wait(60)
    return 1


def slow(seconds: float) -> None:
    time.sleep(seconds)


def slow_until(gate: str) -> None:
    """Until this file exists."""
    while not Path(gate).exists():
        time.sleep(0.01)


async def slow_until_in_loop(gate: str) -> None:
    await asyncio.to_thread(slow_until, gate)


def short() -> None:
    time.sleep(0.001)


async def short_in_loop() -> None:
    await asyncio.sleep(0.001)


def hog(path: str, seconds: float) -> None:
    """Hold the GIL for so long: one bytecode after the other that takes a good part of a second in C."""
    note(path, "start")
    end = time.monotonic() + seconds
    numbers = range(6_000_000)
    while time.monotonic() < end:
        sum(numbers)
    note(path, "end")


def save_and_leave(path: str) -> None:
    """Save a checkpoint when the worker shuts down, and go on from it the next time."""
    job = get_current_job()
    assert job is not None
    if "reached" in job.meta:
        note(path, f"from {job.meta['reached']}")
        return
    note(path, "start")
    try:
        wait(60)
    except ShuttingDown:
        job.meta["reached"] = 7
        job.save_meta()
        raise


def finish_early(path: str) -> str:
    """End in its own way when the worker shuts down."""
    note(path, "start")
    try:
        wait(60)
    except ShuttingDown:
        return "early"
    return "never"


def ignore_shutdown(path: str) -> None:
    """Go on although the worker shuts down."""
    note(path, "start")
    while True:
        try:
            wait(60)
        except ShuttingDown:
            continue


def cancel(job_id: str) -> None:
    """Cancel another job."""
    job = get_current_job()
    assert job is not None
    Job.fetch(job_id, connection=job.connection).cancel()


def stop_and_wait(job_id: str, seconds: float) -> None:
    """Ask for another job to be stopped, and take a while."""
    job = get_current_job()
    assert job is not None
    with contextlib.suppress(InvalidJobOperation):
        send_stop_job_command(job.connection, job_id)
    time.sleep(seconds)


def wait_once(path: str) -> int:
    """Wait to be killed at the first run; note each run with its pid."""
    first = not Path(path).exists()
    note(path, str(os.getpid()))
    if first:
        wait(60)
    return 1


class ToldOfDeaths(Worker):
    """Notes in the job's own list that its process was killed."""

    def handle_work_horse_killed(self, job: Job, retpid: int | None, ret_val: int | None, rusage: Any) -> None:
        job.connection.rpush(f"calls:{job.id}", "killed")
