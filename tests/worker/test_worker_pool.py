"""WorkerPool with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import tasks
from tests.helpers import wait_until
from tests.worker.processes import ROOT

from atomiq import Queue, SimpleWorker, Worker
from atomiq.connections import parse_connection
from atomiq.job import JobStatus
from atomiq.worker_pool import WorkerPool, run_worker

StartPool = Callable[..., subprocess.Popen[bytes]]
FEW = 60.0


@pytest.fixture
def start_pool(redis_url: str, tmp_path: Path) -> Iterator[StartPool]:
    started: list[subprocess.Popen[bytes]] = []

    def start(workers: int, how: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.worker.pool_jobs", redis_url, str(workers), how, "default"]
        environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        with (tmp_path / "pool.log").open("wb") as log:
            pool = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        started.append(pool)
        return pool

    yield start
    for pool in started:
        if pool.poll() is None:
            os.killpg(pool.pid, signal.SIGKILL)
        pool.wait()
    print((tmp_path / "pool.log").read_text())


def test_a_pool_that_has_not_started(queue: Queue) -> None:
    pool = WorkerPool([queue, "other"], queue.connection, num_workers=3, unknown="ignored")
    assert (pool.status, pool.status.value, pool.num_workers) == (WorkerPool.Status.IDLE, 1, 3)
    assert [each.name for each in pool.queues] == ["default", "other"]
    assert (pool.worker_dict, pool.number_of_active_workers) == ({}, 0)
    assert pool.all_workers_have_stopped()
    pool.check_workers(respawn=False)
    assert pool.worker_class is Worker


def test_burst(queue: Queue, start_pool: StartPool) -> None:
    jobs = [queue.enqueue(tasks.add, number) for number in range(20)]
    assert start_pool(2, "burst").wait(FEW) == 0
    assert [job.return_value() for job in jobs] == list(range(20))
    assert Worker.count(connection=queue.connection) == 0


def test_the_class_of_its_queues(queue: Queue, start_pool: StartPool) -> None:
    """RQ takes queue_class and forgets it."""
    assert start_pool(1, "burst").wait(FEW) == 0
    assert queue.connection.lrange("classes", 0, -1) == [b"OwnQueue", b"OwnQueue"]


def test_the_dead_are_replaced_and_all_end_when_asked(queue: Queue, start_pool: StartPool) -> None:
    pool = start_pool(2, "stay")

    def alive() -> set[int]:
        return {worker.pid for worker in Worker.all(connection=queue.connection) if worker.pid}

    wait_until(lambda: len(alive()) == 2, within=FEW)
    first = alive()
    os.kill(min(first), signal.SIGKILL)
    wait_until(lambda: len(alive() - first) == 1, within=FEW)
    job = queue.enqueue(tasks.add, 1)
    wait_until(lambda: job.get_status() is JobStatus.FINISHED, within=FEW)
    pool.send_signal(signal.SIGTERM)
    assert pool.wait(FEW) == 0


@pytest.mark.parametrize("moment", ["before", "when"])
def test_asked_to_end_while_it_starts(moment: str, queue: Queue, start_pool: StartPool) -> None:
    """It then went on to start the other workers, forgot that it was asked, and ran until it was killed."""
    assert start_pool(4, f"stay-asked-{moment}").wait(FEW) == 0
    assert Worker.count(connection=queue.connection) == 0


def test_a_worker_asked_to_end_before_it_has_a_handler(queue: Queue, start_pool: StartPool) -> None:
    """It had the pool's still: that signalled the others, and this one worked on."""
    job = queue.enqueue(tasks.add, 1)
    assert start_pool(2, "signal").wait(FEW) == 0
    assert job.get_status() is JobStatus.QUEUED


def test_a_running_job_may_end(queue: Queue, start_pool: StartPool, tmp_path: Path) -> None:
    pool, began, gate = start_pool(1, "stay"), tmp_path / "began", tmp_path / "gate"
    job = queue.enqueue(tasks.note_and_wait, str(began), str(gate))
    wait_until(began.exists, within=FEW)
    pool.send_signal(signal.SIGINT)
    wait_until(lambda: Worker.all(connection=queue.connection)[0].shutdown_requested_date, within=FEW)
    gate.touch()
    assert pool.wait(FEW) == 0
    assert job.get_status() is JobStatus.FINISHED


def test_run_worker_as_rq_calls_it(queue: Queue) -> None:
    job = queue.enqueue(tasks.add, 1, 2)
    run_worker("by-hand", ["default"], *parse_connection(queue.connection), worker_class=SimpleWorker)
    assert job.return_value() == 3
    assert queue.connection.hget(job.key, "worker_name") == b"by-hand"


def test_one_worker_more_or_less(queue: Queue) -> None:
    pool = WorkerPool(["default"], queue.connection)
    pool.start_worker(burst=False, logging_level="WARNING")
    (data,) = pool.worker_dict.values()
    wait_until(lambda: Worker.count(connection=queue.connection) == 1, within=FEW)
    assert (data.process.is_alive(), data.pid, pool.number_of_active_workers) == (True, data.process.pid, 1)
    pool.stop_worker(data)
    wait_until(pool.all_workers_have_stopped, within=FEW)
    assert Worker.count(connection=queue.connection) == 0
