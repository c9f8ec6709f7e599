"""Workers of both kinds on one server: each sees the other, obeys its commands, and takes over what it left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path

import redis
import rq
import rq.command
from tests.helpers import end_group, wait_until
from tests.interop import jobs, ours, theirs

from atomiq import Job, Queue
from atomiq.command import send_shutdown_command, send_stop_job_command
from atomiq.worker import Worker
from atomiq.worker_registration import get_keys


@contextmanager
def our_worker(connection: redis.Redis, name: str = "ours") -> Iterator[ForkProcess]:
    """A worker of atomiq that waits for jobs, in a process of its own."""

    def work() -> None:
        Worker(["default"], connection=connection, name=name).work(logging_level="CRITICAL")

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    try:
        yield child
    finally:
        child.terminate()
        child.join(20)


@contextmanager
def their_worker(url: str, name: str = "theirs") -> Iterator[subprocess.Popen[bytes]]:
    """RQ's worker that waits for jobs, in a process group of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(theirs.ROOT), str(theirs.ROOT / "src")])}
    arguments = [theirs.RQ, "worker", "-u", url, "-n", name, "--quiet", "default"]
    process = subprocess.Popen(arguments, cwd=theirs.ROOT, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)
        end_group(process.pid)


def test_rq_sees_and_commands_our_worker(redis_connection: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    """rq.Worker.all and rq info show it; RQ's stop-job and shutdown commands work on it."""
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.wait_for, str(tmp_path / "never"))
    with our_worker(redis_connection) as child:
        wait_until(lambda: job.is_started, what="our worker runs the job")
        (worker,) = rq.Worker.all(connection=redis_connection)
        assert (worker.name, worker.get_state(), worker.queue_names()) == ("ours", "busy", ["default"])
        assert worker.get_current_job_id() == job.id
        assert worker.pid == child.pid
        assert worker.birth_date is not None
        assert "1 workers" in theirs.run_command(redis_url, "info")
        assert "ours" in theirs.run_command(redis_url, "info", "--by-queue")
        rq.command.send_stop_job_command(redis_connection, job.id)
        wait_until(lambda: job.is_stopped, what="our worker has stopped the job")
        assert job.id in rq.Queue(connection=redis_connection).failed_job_registry
        rq.command.send_shutdown_command(redis_connection, "ours")
        child.join(20)
        assert child.exitcode == 0
    assert rq.Worker.all(connection=redis_connection) == []


def test_we_see_and_command_rqs_worker(redis_connection: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    """Our stop-job and shutdown commands work on RQ's worker."""
    queue = Queue(connection=redis_connection)
    with their_worker(redis_url) as process:
        job = queue.enqueue(jobs.wait_for, str(tmp_path / "never"))
        wait_until(lambda: job.is_started, within=20, what="RQ's worker runs the job")
        assert get_keys(connection=redis_connection) == {"rq:worker:theirs"}
        wait_until(lambda: [one.worker_name for one in job.get_executions()] == ["theirs"], what="its execution shows")
        send_stop_job_command(redis_connection, job.id)
        wait_until(lambda: job.is_stopped, what="RQ's worker has stopped the job")
        send_shutdown_command(redis_connection, "theirs")
        assert process.wait(20) == 0
    assert get_keys(queue=queue) == set()


def test_our_producer_wakes_both_and_each_job_runs_once(
    redis_connection: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """Both kinds of worker on one queue, both kinds of producer: every job is run by exactly one of them."""
    trace = tmp_path / "trace"
    queue, their_queue = Queue(connection=redis_connection), rq.Queue(connection=redis_connection)
    with our_worker(redis_connection), their_worker(redis_url):
        wait_until(lambda: len(get_keys(connection=redis_connection)) == 2, within=20, what="both are there")
        for number in range(30):
            (queue if number % 2 else their_queue).enqueue(jobs.append, str(trace), str(number))
        wait_until(lambda: queue.finished_job_registry.count == 30, within=30, what="all have finished")
    assert sorted(map(int, trace.read_text().split())) == list(range(30))
    assert queue.started_job_registry.count == 0


def test_our_worker_runs_again_what_a_killed_rq_worker_held(
    redis_connection: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """RQ would fail it. Here it runs again when its lease, RQ's 90 s, is over."""
    go_on = tmp_path / "go on"
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.wait_for, str(go_on))
    with their_worker(redis_url) as process:
        wait_until(lambda: job.is_started, within=20, what="RQ's worker runs the job")
        horse = int(subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()[0])
        process.kill()
        os.kill(horse, signal.SIGKILL)
    queue.started_job_registry.cleanup(time.time() + 60)
    assert job.is_started
    queue.started_job_registry.cleanup(time.time() + 100)
    assert job.is_queued
    go_on.write_text("done")
    ours.run_simple(redis_connection)
    assert job.return_value() == "done"
    assert Job.fetch(job.id, connection=redis_connection).get_executions() == []
