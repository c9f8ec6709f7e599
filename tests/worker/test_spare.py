"""fork: the process of the next job is made while the one before it works, and is as fresh as any other."""

from __future__ import annotations

import os
import re
import signal
import time

import psutil
from tests import tasks
from tests.helpers import wait_until
from tests.worker.conftest import StartWorker
from tests.worker.processes import WorkerProcess

from atomiq import Queue


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def waiting(worker: WorkerProcess) -> int:
    """The fork that waits for a job, while no job runs."""

    def alone() -> int | None:
        alive = [pid for pid in worker.children() if running(pid)]
        return alive[0] if len(alive) == 1 else None

    return wait_until(alone, what="one child and no other")


def pid_of_next_job(queue: Queue) -> int:
    job = queue.enqueue(tasks.pid)
    result = job.latest_result(timeout=30)
    assert result is not None
    return int(result.return_value)


def test_the_one_that_waits_runs_the_next_job_and_no_other(queue: Queue, start_worker: StartWorker) -> None:
    worker = start_worker(executor="fork")
    seen = {pid_of_next_job(queue)}
    for _ in range(3):
        spare = waiting(worker)
        assert spare not in seen
        assert pid_of_next_job(queue) == spare
        seen.add(spare)


def test_one_that_is_killed_while_it_waits_takes_no_job_along(queue: Queue, start_worker: StartWorker) -> None:
    worker = start_worker(executor="fork")
    pid_of_next_job(queue)
    spare = waiting(worker)
    os.kill(spare, signal.SIGKILL)
    wait_until(lambda: not running(spare))
    assert pid_of_next_job(queue) != spare
    assert waiting(worker) != spare


def test_a_job_too_large_for_its_pipe(queue: Queue, start_worker: StartWorker) -> None:
    """It gets a fork of its own, and the one that waits goes on waiting."""
    worker = start_worker(executor="fork")
    pid_of_next_job(queue)
    spare = waiting(worker)
    load = os.urandom(100_000)  # what can be compressed is sent so
    job = queue.enqueue(tasks.echo, load)
    result = job.latest_result(timeout=30)
    assert result is not None
    assert result.return_value == load
    assert waiting(worker) == spare
    assert pid_of_next_job(queue) == spare


def test_it_goes_with_its_supervisor(queue: Queue, start_worker: StartWorker) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        worker = start_worker(executor="fork")
        pid_of_next_job(queue)
        spare = waiting(worker)
        os.kill(worker.process.pid, number)
        worker.process.wait(30)
        wait_until(lambda spare=spare: not running(spare))


def test_how_long_a_job_ran_is_not_how_long_its_process_has_waited(queue: Queue, start_worker: StartWorker) -> None:
    worker = start_worker(executor="fork")
    pid_of_next_job(queue)
    made = psutil.Process(waiting(worker)).create_time()
    wait_until(lambda: time.time() - made > 2)
    queue.enqueue(tasks.kill_self)
    worker.says("the job had run for")
    said = re.search(r"the job had run for ([\d.]+) s\b", worker.log)
    assert said, worker.log
    assert float(said[1]) < 2
