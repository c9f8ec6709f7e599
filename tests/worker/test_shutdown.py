"""Ending a worker: burst, limits, signals, commands. Nothing is lost and nothing runs twice without need."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from tests import tasks
from tests.helpers import alive, wait_until
from tests.worker.conftest import StartWorker

from atomiq import Callback, Job, JobStatus, Queue
from atomiq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command
from atomiq.worker import Worker

EXECUTORS = pytest.mark.parametrize("executor", ["process", "fork", "inline"])


def running(queue: Queue, tmp_path: Path, **options: Any) -> tuple[Job, Path, Path]:
    """A job that waits for a gate: (job, its notes, the gate)."""
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    notes.touch()
    return queue.enqueue(tasks.note_and_wait, str(notes), str(gate), **options), notes, gate


def lines(path: Path) -> list[str]:
    return [line.split()[0] for line in path.read_text().splitlines()]


@EXECUTORS
def test_burst(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    jobs = [queue.enqueue(tasks.add, number) for number in range(5)]
    worker = start_worker(executor=executor, work={"burst": True})
    assert worker.exits() == 0
    assert [job.return_value() for job in jobs] == [0, 1, 2, 3, 4]
    assert Worker.count(connection=queue.connection) == 0
    assert queue.connection.hget(f"rq:worker:{worker.name}", "death")


@EXECUTORS
def test_max_jobs(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    for number in range(5):
        queue.enqueue(tasks.add, number)
    assert start_worker(executor=executor, work={"max_jobs": 2}).exits() == 0
    assert queue.count == 3


@EXECUTORS
def test_max_idle_time(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    job = queue.enqueue(tasks.add, 1)
    worker = start_worker(executor=executor, work={"max_idle_time": 1})
    assert worker.exits() == 0
    assert job.is_finished
    idle = re.search(r"idle for (\d+) seconds, quitting", worker.log)
    assert idle is not None
    assert int(idle[1]) >= 1  # more on a machine that stood still just then


@EXECUTORS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_warm(queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str, number: int) -> None:
    job, notes, gate = running(queue, tmp_path)
    after = queue.enqueue(tasks.add, 1)
    worker = start_worker(executor=executor)
    wait_until(lambda: lines(notes) == ["start"])
    worker.signal(number)
    if executor != "inline":
        wait_until(lambda: queue.connection.hget(f"rq:worker:{worker.name}", "shutdown_requested_date"))
    gate.touch()
    assert worker.exits() == 0
    assert job.is_finished
    assert after.is_queued
    assert lines(notes) == ["start", "end"]


@EXECUTORS
def test_warm_when_idle(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    worker = start_worker(executor=executor)
    worker.says("Listening")
    wait_until(lambda: Worker.all(connection=queue.connection)[0].get_state() == "idle")
    worker.signal(signal.SIGTERM)
    assert worker.exits(within=10) == 0


@EXECUTORS
def test_cold(queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str) -> None:
    job, notes, gate = running(queue, tmp_path)
    queue.enqueue(tasks.add, 1)
    worker = start_worker(executor=executor)
    wait_until(lambda: lines(notes) == ["start"])
    worker.signal_until_gone(signal.SIGTERM)
    assert job.get_status() is JobStatus.QUEUED
    assert queue.get_job_position(job) == 0
    assert int(queue.connection.hget(job.key, "attempts")) == 0
    gate.touch()
    assert start_worker(work={"burst": True}).exits() == 0
    assert job.is_finished
    assert lines(notes) == ["start", "start", "end"]


def test_grace(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    job, notes, _gate = running(queue, tmp_path)
    worker = start_worker(options={"grace": 0.2})
    wait_until(lambda: lines(notes) == ["start"])
    worker.signal(signal.SIGTERM)
    assert worker.exits(within=5) == 0
    assert queue.get_job_position(job) == 0
    assert int(queue.connection.hget(job.key, "attempts")) == 0


@pytest.mark.parametrize("executor", ["process", "spawn", "thread", "async", "inline"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_of_the_service(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str, number: int
) -> None:
    job, notes, gate = running(queue, tmp_path)
    worker = start_worker(executor=executor)
    wait_until(lambda: lines(notes) == ["start"])
    for pid in (*worker.children(), worker.pid):
        os.kill(pid, number)
    if executor != "inline":
        worker.says("warm shut down")
    gate.touch()
    assert worker.exits() == 0
    assert job.is_finished
    assert lines(notes) == ["start", "end"]


@EXECUTORS
def test_shutdown_command(queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str) -> None:
    job, notes, gate = running(queue, tmp_path)
    worker = start_worker(executor=executor)
    wait_until(lambda: lines(notes) == ["start"])
    send_shutdown_command(queue.connection, worker.name)
    worker.says("received the command to shut down")
    gate.touch()
    assert worker.exits() == 0
    assert job.is_finished


def test_kill_horse_command(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    job, notes, gate = running(queue, tmp_path)
    worker = start_worker()
    wait_until(lambda: lines(notes) == ["start"])
    send_kill_horse_command(queue.connection, worker.name)
    wait_until(lambda: job.is_failed)
    assert "(signal 9)" in str(job.latest_result().exc_string)  # type: ignore[union-attr]
    gate.touch()
    after = queue.enqueue(tasks.add, 1)
    wait_until(lambda: after.is_finished)


def test_stop_command(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    job, notes, _gate = running(queue, tmp_path, on_stopped=Callback(tasks.on_stopped))
    worker = start_worker()
    wait_until(lambda: lines(notes) == ["start"])
    send_stop_job_command(queue.connection, job.id)
    wait_until(lambda: job.is_stopped)
    (call,) = queue.connection.lrange(f"calls:{job.id}", 0, -1)
    assert call.startswith(b"stopped")
    assert int(call.split()[1]) != worker.pid
    assert "Job stopped by user" in str(job.latest_result().exc_string)  # type: ignore[union-attr]
    after = queue.enqueue(tasks.add, 1)
    wait_until(lambda: after.is_finished)


def test_a_connection_that_breaks_before_the_stopped_callback(
    queue: Queue, start_worker: StartWorker, tmp_path: Path
) -> None:
    """The supervisor reads the job before it forks for the callback. When its connection was dead then, it waited for
    the end of a callback that had never begun: the job ran for ever, and so did the worker."""
    job, notes, _gate = running(queue, tmp_path, on_stopped=Callback(tasks.on_stopped))
    worker = start_worker(setup="cut_off_before_a_callback")
    wait_until(lambda: lines(notes) == ["start"])
    send_stop_job_command(queue.connection, job.id)
    wait_until(lambda: job.is_stopped)
    assert len(queue.connection.lrange(f"calls:{job.id}", 0, -1)) == 1
    worker.signal(signal.SIGTERM)
    assert worker.exits() == 0


def test_a_raising_stopped_callback_harms_nobody(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    job, notes, _gate = running(queue, tmp_path, on_stopped=Callback(tasks.on_stopped_boom))
    worker = start_worker()
    wait_until(lambda: lines(notes) == ["start"])
    send_stop_job_command(queue.connection, job.id)
    wait_until(lambda: job.is_stopped)
    after = queue.enqueue(tasks.add, 1)
    wait_until(lambda: after.is_finished)
    assert "stopped callback" in worker.log


def test_a_stop_that_no_message_brought_is_obeyed(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    job, notes, _gate = running(queue, tmp_path)
    start_worker(options={"lease": 1})
    wait_until(lambda: lines(notes) == ["start"])
    (key,) = queue.connection.keys(f"rq:execution:{job.id}:*")
    queue.connection.hset(key, "stop", 1)
    wait_until(lambda: job.is_stopped, within=5)


@EXECUTORS
def test_bad_messages_make_nobody_deaf(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    worker = start_worker(executor=executor)
    channel = f"rq:pubsub:{worker.name}"
    wait_until(lambda: dict(queue.connection.pubsub_numsub(channel))[channel.encode()] == 1)
    for message in (b"\xff", "nonsense", "[]", "{}", '{"command": "dance"}', '{"command": "stop-job"}', "null"):
        queue.connection.publish(channel, message)
    queue.connection.publish(channel, json.dumps({"command": "kill-horse"}))
    send_shutdown_command(queue.connection, worker.name)
    assert worker.exits() == 0
    assert worker.log.count("message ignored") == 7


def test_the_child_goes_with_its_supervisor(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    _job, notes, _gate = running(queue, tmp_path)
    worker = start_worker()
    wait_until(lambda: lines(notes) == ["start"])
    (child,) = worker.children()
    worker.kill()
    wait_until(lambda: not alive(child))


def test_the_keeper_goes_with_its_worker(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    _job, notes, _gate = running(queue, tmp_path)
    worker = start_worker(executor="inline")
    wait_until(lambda: lines(notes) == ["start"])
    (keeper,) = worker.children()
    worker.kill()
    wait_until(lambda: not alive(keeper))


def test_an_error_nobody_foresaw_ends_with_a_code(queue: Queue, start_worker: StartWorker) -> None:
    job = queue.enqueue(tasks.add, 1)
    queue.connection.delete(f"rq:queue:{queue.name}")
    queue.connection.set(f"rq:queue:{queue.name}", "not a list")
    worker = start_worker()
    assert worker.exits() == 1
    assert "WRONGTYPE" in worker.log
    assert Worker.count(connection=queue.connection) == 0
    assert job.get_status() is JobStatus.QUEUED
