"""Jobs for a fork of their own, claimed by a warm child: what waits for its turn is not taken from others for long, and
is still to be stopped and given back."""

from __future__ import annotations

from pathlib import Path

from tests import tasks
from tests.helpers import wait_until
from tests.worker.conftest import StartWorker

from atomiq import Callback, Job, Queue
from atomiq.command import send_stop_job_command

BOTH = {"executor": {"process": 1, "fork": 1}}


def busy(queue: Queue, start_worker: StartWorker, folder: Path) -> Path:
    """A worker whose only fork runs a job that ends when the file exists."""
    started, gate = folder / "started", folder / "gate"
    start_worker(options=BOTH)
    enqueue(queue, tasks.note_and_wait, str(started), str(gate))
    wait_until(started.exists)
    return gate


def enqueue(queue: Queue, *call: object, on_stopped: Callback | None = None) -> Job:
    function, *args = call
    return queue.enqueue_job(queue.create_job(function, args=args, executor="fork", on_stopped=on_stopped))


def test_what_finds_no_room_is_left_to_other_workers(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    """The first took all there was, and kept it started behind the job that ran."""
    gate = busy(queue, start_worker, tmp_path)
    jobs = [enqueue(queue, tasks.nothing) for _ in range(200)]
    wait_until(lambda: sum(job.get_status() == "started" for job in jobs) >= 2)
    start_worker(options=BOTH)
    wait_until(lambda: not queue.count and sum(job.is_finished for job in jobs) >= 100)
    gate.touch()
    wait_until(lambda: all(job.is_finished for job in jobs))


def test_one_that_waits_is_stopped_before_it_starts(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    """The wish was noted, but nobody looked where the job was: it began when its turn came, to be killed a moment
    later."""
    gate, notes = busy(queue, start_worker, tmp_path), tmp_path / "notes"
    job = enqueue(queue, tasks.note, str(notes), on_stopped=Callback(tasks.on_stopped))
    wait_until(lambda: job.get_status() == "started")
    send_stop_job_command(queue.connection, job.id)
    wait_until(lambda: job.get_status() == "stopped")
    assert not gate.exists()
    assert not notes.exists()
    assert queue.connection.exists(f"calls:{job.id}")
    gate.touch()
    later = enqueue(queue, tasks.add, 1, 2)
    wait_until(lambda: later.is_finished)
