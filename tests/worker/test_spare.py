"""fork: the process of the next job is made while the one before it works, and is as fresh as any other."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from typing import Any

import psutil
import pytest
from tests import tasks
from tests.helpers import wait_until
from tests.worker.conftest import StartWorker
from tests.worker.processes import WorkerProcess

from atomiq import Queue
from atomiq._commands.claim import Claimed
from atomiq.executors.fork import Call, Child, ForkExecutor, NoRoom
from atomiq.worker import spare as spare_module
from atomiq.worker.spare import Spare


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


# --- by itself


def crash(_claimed: Claimed) -> Call:
    def call(_announce: Any) -> Any:
        print("the last words")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGSEGV)

    return call


def test_what_a_job_says_before_its_supervisor_goes_on_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may let the fork run at once, until its crash even: the box was emptied behind the order, and the
    stack and the last words of the job were lost."""
    executor, taken = ForkExecutor(), list[Child]()
    spare = Spare(executor, crash)
    write = os.write

    def write_and_be_slow(fd: int, data: bytes) -> int:
        written = write(fd, data)
        assert spare._child is not None
        taken.append(spare._child)
        taken[0].wait()
        return written

    spare.prepare()
    monkeypatch.setattr(spare_module.os, "write", write_and_be_slow)
    child = spare.take(Claimed("q", "j", "e", 1, {}))
    monkeypatch.undo()
    assert child is not None
    child.testify()
    assert child.death is not None
    assert child.death.words is not None
    assert "the last words" in child.death.words.output
    assert "Segmentation fault" in child.death.words.stack
    child.close()
    spare.close()
    executor.close()


def test_a_machine_without_room_costs_no_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try left the two of a black box open: where one process more never finds room (a limit of pids), as many
    jobs as that ended all that the worker could do."""

    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    executor = ForkExecutor()
    spare = Spare(executor, crash)
    monkeypatch.setattr(os, "fork", refuse)
    spare.prepare()
    before = psutil.Process().num_fds()  # one box is kept for the next
    for _ in range(5):
        spare.prepare()
        with pytest.raises(NoRoom):
            executor.start(crash(Claimed("q", "j", "e", 1, {})), boxed=True)
    assert psutil.Process().num_fds() == before
    monkeypatch.undo()
    spare.close()
    executor.close()
