"""Who owns a job when workers die, freeze or lose the server."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from tests import tasks
from tests.helpers import alive, wait_until
from tests.worker import override_jobs
from tests.worker.conftest import StartWorker
from tests.worker.processes import own_server

from atomiq import Callback, Job, JobStatus, Queue, Retry
from atomiq._core.settings import DEFAULT_LEASE
from atomiq.results import Result
from atomiq.worker import SimpleWorker

EXECUTORS = pytest.mark.parametrize("executor", ["process", "fork", "inline"])


def starts(path: Path) -> int:
    return sum(line.startswith("start") for line in path.read_text().splitlines()) if path.exists() else 0


def waiting_job(queue: Queue, tmp_path: Path, **options: Any) -> tuple[Job, Path, Path]:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    return queue.enqueue(tasks.note_and_wait, str(notes), str(gate), **options), notes, gate


def lease_end(queue: Queue, job: Job) -> float:
    """When the lease of a running job is over, on the server's clock; 0 when it has none."""
    entries = queue.connection.zrange(f"rq:wip:{queue.name}", 0, -1, withscores=True)
    return next((score for member, score in entries if member.startswith(job.id.encode())), 0.0)


@EXECUTORS
def test_a_killed_workers_job_runs_again_within_its_lease(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    job, notes, gate = waiting_job(queue, tmp_path)
    first = start_worker(executor=executor, options={"lease": 3})
    wait_until(lambda: starts(notes) == 1)
    start_worker(options={"lease": 3})
    os.killpg(first.pid, signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: starts(notes) == 2)
    assert time.monotonic() - killed < DEFAULT_LEASE / 2  # theirs is 3; the other worker's start is in it
    gate.touch()
    wait_until(lambda: job.is_finished)
    assert int(queue.connection.hget(job.key, "attempts")) == 2


@EXECUTORS
def test_a_job_longer_than_its_lease_is_left_alone(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    job, notes, gate = waiting_job(queue, tmp_path)
    start_worker(executor=executor, options={"lease": 0.6})
    start_worker(options={"lease": 0.6})
    wait_until(lambda: starts(notes) == 1)
    first = lease_end(queue, job)
    wait_until(lambda: lease_end(queue, job) > first + 2, within=10)
    assert starts(notes) == 1
    gate.touch()
    wait_until(lambda: job.is_finished)


@pytest.mark.parametrize("kind", [SimpleWorker, override_jobs.Simple, override_jobs.Prepares])
def test_a_callback_longer_than_its_job_is_left_alone(queue: Queue, kind: Any) -> None:
    """A callback has its own limit. In the worker's own process the lease ended with the job's limit and the margin,
    and another worker ran the job once more; RQ's loop killed its work horse, and the job that had succeeded failed."""
    callback = Callback(tasks.on_success_kept, timeout=30)
    job = queue.enqueue(tasks.add, 1, job_timeout=1, on_success=callback)
    kind([queue], lease=1, kill_after=0.2, job_monitoring_interval=1).work(burst=True)
    assert job.is_finished, job.latest_result().exc_string


def test_a_job_that_kills_its_workers_is_failed_as_poison(
    queue: Queue, start_worker: StartWorker, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue(tasks.note_and_die, str(notes), on_failure=Callback(tasks.on_failure))
    options = {"lease": 0.5, "max_abandoned": 1}
    for _ in range(2):
        start_worker(options=options).exits()
    start_worker(options=options)
    wait_until(lambda: job.is_failed)
    assert len(notes.read_text().splitlines()) == 2
    result = job.latest_result()
    assert result is not None
    assert "PoisonJobError" in str(result.exc_string)
    wait_until(lambda: queue.connection.llen(f"calls:{job.id}") == 1)
    assert queue.connection.lindex(f"calls:{job.id}", 0).startswith(b"failure PoisonJobError")


def test_a_raising_callback_of_an_abandoned_job_harms_nobody(
    queue: Queue, start_worker: StartWorker, tmp_path: Path
) -> None:
    job = queue.enqueue(tasks.note_and_die, str(tmp_path / "notes"), on_failure=Callback(tasks.on_failure_boom))
    options = {"lease": 0.5, "max_abandoned": 0}
    start_worker(options=options).exits()
    worker = start_worker(options=options, handlers=["handler_notes"])
    wait_until(lambda: job.is_failed)
    after = queue.enqueue(tasks.add, 1)
    wait_until(lambda: after.is_finished)
    worker.says("failure callback")


def test_rqs_policy(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    options = {"lease": 0.5, "abandoned": "fail"}
    once = queue.enqueue(tasks.note_and_die, str(tmp_path / "notes"))
    start_worker(options=options).exits()
    worker = start_worker(options=options)
    wait_until(lambda: once.is_failed)
    assert "AbandonedJobError" in str(once.latest_result().exc_string)  # type: ignore[union-attr]
    worker.end()
    again = queue.enqueue(tasks.note_and_die, str(tmp_path / "notes"), retry=Retry(max=1, interval=1000))
    start_worker(options=options).exits()
    start_worker(options=options)
    wait_until(lambda: again.is_scheduled)


@EXECUTORS
def test_a_frozen_worker_that_lost_its_lease_can_not_settle(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    job, notes, gate = waiting_job(queue, tmp_path)
    frozen = start_worker(executor=executor, options={"lease": 1})
    wait_until(lambda: starts(notes) == 1)
    # All of it but the job in its child: the child then ends while nobody can tell the server.
    stopped = [frozen.pid, *(frozen.children() if executor == "inline" else [])]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    second = start_worker(options={"lease": 1})
    wait_until(lambda: starts(notes) == 2, within=5)
    gate.touch()
    wait_until(lambda: job.is_finished)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    frozen.says("no longer ours")
    assert [result.worker_name for result in job.results()] == [second.name]
    assert job.latest_result().type is Result.Type.SUCCESSFUL  # type: ignore[union-attr]
    after = queue.enqueue(tasks.add, 1)
    wait_until(lambda: after.is_finished)


def test_a_child_that_runs_without_a_lease_is_killed(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    job, notes, gate = waiting_job(queue, tmp_path)
    frozen = start_worker(options={"lease": 1})
    wait_until(lambda: starts(notes) == 1)
    (child,) = frozen.children()
    frozen.signal(signal.SIGSTOP)
    start_worker(options={"lease": 1})
    wait_until(lambda: starts(notes) == 2, within=5)
    frozen.signal(signal.SIGCONT)
    wait_until(lambda: not alive(child))
    frozen.says("is no longer ours, its lease was over: killed here")
    gate.touch()
    wait_until(lambda: job.is_finished)
    assert len(job.results()) == 1


def test_an_entry_of_an_old_rq_ends_nobody(queue: Queue, start_worker: StartWorker) -> None:
    queue.connection.zadd(f"rq:wip:{queue.name}", {"an-id-without-execution": 1})
    start_worker(options={"lease": 0.5})
    job = queue.enqueue(tasks.add, 1)
    wait_until(lambda: job.is_finished)


def test_a_dead_child_is_seen_at_once(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    job, notes, gate = waiting_job(queue, tmp_path)
    worker = start_worker()
    wait_until(lambda: starts(notes) == 1)
    (child,) = worker.children()
    os.kill(child, signal.SIGKILL)
    killed = time.monotonic()
    wait_until(lambda: starts(notes) == 2)
    assert time.monotonic() - killed < 5  # by the next heartbeat it would be ten
    gate.touch()
    wait_until(lambda: job.is_finished)


def test_a_deleted_job_ends_quietly(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    job, notes, gate = waiting_job(queue, tmp_path)
    worker = start_worker()
    wait_until(lambda: starts(notes) == 1)
    job.delete()
    gate.touch()
    worker.says("outcome is dropped")
    assert not Job.exists(job.id, queue.connection)


def test_an_idle_worker_survives_a_restart_of_the_server(start_worker: StartWorker) -> None:
    with own_server() as server:
        worker = start_worker(url=server.url)
        worker.says("Listening")
        connection = redis.Redis.from_url(server.url)
        queue = Queue("default", connection=connection)
        first = queue.enqueue(tasks.add, 1)
        wait_until(lambda: first.is_finished)
        server.stop()
        worker.says("can't be reached")
        server.start()
        worker.says("the server is back")
        second = queue.enqueue(tasks.add, 2)
        wait_until(lambda: second.is_finished)
        worker.signal(signal.SIGTERM)
        assert worker.exits() == 0
        connection.close()


@EXECUTORS
def test_a_busy_worker_keeps_its_outcome_while_the_server_is_away(
    start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    with own_server() as server:
        connection = redis.Redis.from_url(server.url)
        queue = Queue("default", connection=connection)
        job, notes, gate = waiting_job(queue, tmp_path)
        worker = start_worker(url=server.url, executor=executor, options={"lease": 30})
        wait_until(lambda: starts(notes) == 1)
        server.stop()
        gate.touch()
        worker.says("can't be reached")
        wait_until(lambda: "end" in notes.read_text())
        server.start()
        wait_until(lambda: job.is_finished)
        assert starts(notes) == 1
        worker.signal(signal.SIGTERM)
        assert worker.exits() == 0
        connection.close()


def test_a_worker_that_can_not_take_leave_goes_all_the_same(start_worker: StartWorker) -> None:
    with own_server() as server:
        worker = start_worker(url=server.url)
        worker.says("Listening")
        server.stop()
        worker.says("can't be reached")
        worker.signal(signal.SIGTERM)
        assert worker.exits() == 0
        assert "could not take leave" in worker.log


def test_a_worker_needs_its_server_at_the_start(start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker(url=f"unix://{tmp_path}/nothing")
    assert worker.exits() == 1
    assert "can't be reached" in worker.log


def test_a_vanished_entry_is_written_anew(queue: Queue, start_worker: StartWorker) -> None:
    worker = start_worker(options={"lease": 1})
    wait_until(lambda: queue.connection.exists(f"rq:worker:{worker.name}"))
    queue.connection.delete(f"rq:worker:{worker.name}")
    queue.connection.srem("rq:workers", f"rq:worker:{worker.name}")
    wait_until(lambda: queue.connection.hget(f"rq:worker:{worker.name}", "pid"))
    assert queue.connection.sismember("rq:workers", f"rq:worker:{worker.name}")


def test_scripts_that_vanish_are_loaded_again(queue: Queue, start_worker: StartWorker) -> None:
    start_worker()
    first = queue.enqueue(tasks.add, 1)
    wait_until(lambda: first.is_finished)
    queue.connection.script_flush()
    second = queue.enqueue(tasks.add, 1)
    wait_until(lambda: second.get_status() is JobStatus.FINISHED)
