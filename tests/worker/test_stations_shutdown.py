"""Ending a worker whose children claim by themselves: what runs, what is read ahead, and the grace."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests import tasks
from tests.helpers import wait_until
from tests.invariants import check_invariants
from tests.worker import station_jobs
from tests.worker.conftest import StartWorker
from tests.worker.processes import WorkerProcess
from tests.worker.test_stations_death import attempts, warm_up

from atomiq import Job, Queue

WARM = pytest.mark.parametrize("executor", ["process", "spawn", "thread", "async"])
HELD = 20


def supervisor(worker: WorkerProcess) -> None:
    worker.signal(signal.SIGTERM)


def whole_group(worker: WorkerProcess) -> None:
    for pid in (*worker.children(), worker.pid):
        os.kill(pid, signal.SIGTERM)


def interrupted_group(worker: WorkerProcess) -> None:
    for pid in (*worker.children(), worker.pid):
        os.kill(pid, signal.SIGINT)


def first_word(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def busy_worker(
    queue: Queue, start_worker: StartWorker, executor: str, function: Callable[..., Any], *args: str, **options: Any
) -> tuple[WorkerProcess, Job, list[Job]]:
    """A worker with one slot that runs a job; the others were put into the queue with it."""
    worker = start_worker(executor=executor, options={"concurrency": 1, **options})
    warm_up(queue)
    many = [Queue.prepare_data(tasks.nothing) for _ in range(HELD)]
    job, *rest = queue.enqueue_many([Queue.prepare_data(function, args), *many])
    wait_until(lambda: first_word(Path(args[0])) == ["start"])
    return worker, job, rest


@WARM
@pytest.mark.parametrize("tell", [supervisor, whole_group, interrupted_group])
def test_warm(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str, tell: Callable[[WorkerProcess], None]
) -> None:
    """At once, before what is read ahead has been given back for its own sake."""
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    worker, job, rest = busy_worker(queue, start_worker, executor, tasks.note_and_wait, str(notes), str(gate))
    tell(worker)
    worker.says("warm shut down")
    gate.touch()
    assert worker.exits() == 0
    assert job.is_finished
    assert first_word(notes) == ["start", "end"]
    assert queue.job_ids == [job.id for job in rest]
    assert {attempts(job) for job in rest} == {0}
    assert check_invariants(queue.connection) == []


@WARM
def test_a_job_saves_a_checkpoint(queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str) -> None:
    notes = tmp_path / "notes"
    worker, job, rest = busy_worker(queue, start_worker, executor, station_jobs.save_and_leave, str(notes), grace=0.5)
    worker.signal(signal.SIGTERM)
    assert worker.exits(within=5) == 0
    assert queue.job_ids == [one.id for one in (job, *rest)]
    assert attempts(job) == 0
    assert check_invariants(queue.connection) == []
    start_worker(executor=executor)
    wait_until(lambda: job.is_finished)
    assert notes.read_text().splitlines() == ["start", "from 7"]
    assert attempts(job) == 1


@WARM
def test_a_job_ends_early(queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str) -> None:
    worker, job, rest = busy_worker(
        queue, start_worker, executor, station_jobs.finish_early, str(tmp_path / "notes"), grace=0.5
    )
    worker.signal(signal.SIGTERM)
    assert worker.exits(within=5) == 0
    assert job.return_value() == "early"
    assert queue.job_ids == [one.id for one in rest]
    assert check_invariants(queue.connection) == []


@WARM
def test_a_job_that_goes_on_is_killed(queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str) -> None:
    worker, job, rest = busy_worker(
        queue, start_worker, executor, station_jobs.ignore_shutdown, str(tmp_path / "notes"), grace=0.5
    )
    worker.signal(signal.SIGTERM)
    assert worker.exits(within=6) == 0
    assert queue.job_ids == [one.id for one in (job, *rest)]
    assert attempts(job) == 0
    assert check_invariants(queue.connection) == []


@WARM
def test_cold(queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    worker, job, rest = busy_worker(queue, start_worker, executor, tasks.note_and_wait, str(notes), str(gate))
    worker.signal_until_gone(signal.SIGTERM)
    assert queue.job_ids == [one.id for one in (job, *rest)]
    assert {attempts(one) for one in (job, *rest)} == {0}
    assert check_invariants(queue.connection) == []


@pytest.mark.parametrize(
    ("executor", "concurrency"), [("process", 1), ("process", 2), ("spawn", 1), ("thread", 2), ("async", 2)]
)
def test_a_worker_that_leaves_in_the_middle_of_many_short_jobs(
    queue: Queue, start_worker: StartWorker, executor: str, concurrency: int
) -> None:
    """What is done is done once, what isn't is there, and the worker's entry counts exactly what it has done."""
    jobs = queue.enqueue_many([Queue.prepare_data(tasks.nothing) for _ in range(3000)])
    worker = start_worker(executor=executor, options={"concurrency": concurrency}, work={"logging_level": "WARNING"})
    wait_until(lambda: queue.connection.zcard(f"rq:finished:{queue.name}") > 300)
    worker.signal(signal.SIGTERM)
    assert worker.exits() == 0
    done = queue.connection.zcard(f"rq:finished:{queue.name}")
    left = queue.job_ids
    assert 300 < done < 3000
    if (executor, concurrency) != ("process", 2):  # the order of what two children give back is anybody's guess
        assert left == [job.id for job in jobs][-len(left) :]
    assert done + len(left) == len(jobs)
    assert int(queue.connection.hget(f"rq:worker:{worker.name}", "successful_job_count")) == done
    assert check_invariants(queue.connection) == []
