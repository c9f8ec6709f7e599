"""What RQ's workers took and never started is run by ours, and never while one of theirs may still start it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import rq
from tests.helpers import wait_until
from tests.interop import jobs

from atomiq import Queue
from atomiq._commands.stuck import GRACE_MS, recover_stuck
from atomiq._wire.sync import Store
from atomiq.intermediate_queue import IntermediateQueue
from atomiq.maintenance import clean_intermediate_queue
from atomiq.worker import SimpleWorker, Worker


class Dying(rq.SimpleWorker):
    """Killed between the pop and the start of the job."""

    sent = signal.SIGKILL

    def execute_job(self, job: Any, queue: Any) -> None:
        os.kill(os.getpid(), self.sent)
        super().execute_job(job, queue)


class Sleeping(Dying):
    """The same, but it only sleeps."""

    sent = signal.SIGSTOP


@contextmanager
def their_worker(kind: type[Dying], connection: redis.Redis) -> Iterator[ForkProcess]:
    def work() -> None:
        kind(["default"], connection=connection, name="theirs").work(burst=True, logging_level="CRITICAL")

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    try:
        yield child
    finally:
        child.kill()
        child.join(20)


def taken(connection: redis.Redis) -> list[str]:
    return IntermediateQueue("rq:queue:default", connection).get_job_ids()


def look(store: Store, later_ms: int = 0) -> list[str]:
    """Our upkeep's look at the list, so much later than now; what it put back."""
    now_ms = round(time.time() * 1000) + later_ms
    return store.run(recover_stuck(store.keys, queue="default", now_ms=now_ms)).requeued


def test_a_killed_worker_of_theirs(store: Store, tmp_path: Path) -> None:
    """RQ's own maintenance fails the job, after ten minutes or twenty."""
    connection, trace = store.connection, tmp_path / "trace"
    job = Queue(connection=connection).enqueue(jobs.append, str(trace), "ran")
    with their_worker(Dying, connection) as theirs:
        theirs.join(30)
        assert theirs.exitcode == -signal.SIGKILL
    assert (taken(connection), job.get_status()) == ([job.id], "queued")
    assert look(store) == []
    assert wait_until(lambda: look(store, GRACE_MS + 10), what="the server knows that nobody listens") == [job.id]
    SimpleWorker(["default"], connection=connection).work(burst=True, logging_level="CRITICAL")
    assert job.is_finished
    assert trace.read_text() == "ran\n"


def test_a_sleeping_worker_of_theirs(store: Store, tmp_path: Path) -> None:
    """A virtual machine that is moved, a debugger: however late it goes on, it is the one that runs the job."""
    connection, trace = store.connection, tmp_path / "trace"
    job = Queue(connection=connection).enqueue(jobs.append, str(trace), "ran")
    with their_worker(Sleeping, connection) as theirs:
        assert theirs.pid is not None
        process = psutil.Process(theirs.pid)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, within=30, what="it sleeps with the job")
        for later in (0, GRACE_MS, 5 * GRACE_MS):
            assert look(store, later) == []
        assert taken(connection) == [job.id]
        process.resume()
        theirs.join(30)
    assert job.is_finished
    assert trace.read_text() == "ran\n"


def test_our_worker_does_so_by_itself(store: Store, tmp_path: Path) -> None:
    connection, trace = store.connection, tmp_path / "trace"
    job = Queue(connection=connection).enqueue(jobs.append, str(trace), "ran")
    with their_worker(Dying, connection) as theirs:
        theirs.join(30)
    look(store, -2 * GRACE_MS)  # somebody saw it two minutes ago

    def work() -> None:
        Worker(["default"], connection=connection, lease=3).work(logging_level="CRITICAL")

    ours = multiprocessing.get_context("fork").Process(target=work)
    ours.start()
    try:
        wait_until(lambda: job.is_finished, within=60, what="our worker has found and run it")
    finally:
        ours.terminate()
        ours.join(20)
    assert trace.read_text() == "ran\n"
    assert not connection.exists("rq:atomiq:stuck:default")


@pytest.mark.parametrize("abandoned", ["retry", "fail"])
def test_cleanup_by_hand(store: Store, abandoned: str) -> None:
    """RQ's names for it, with what a worker says about abandoned jobs."""
    connection = store.connection
    queue = Queue(connection=connection)
    job = queue.enqueue(jobs.add, 1)
    connection.lmove(queue.key, f"{queue.key}:intermediate")
    worker = SimpleWorker([queue], connection=connection, abandoned=abandoned)
    listed = IntermediateQueue(queue.key, connection)
    listed.cleanup(worker, queue)
    assert listed.get_first_seen(job.id) is not None
    assert not listed.should_be_cleaned_up(job.id)
    listed.cleanup(worker, queue)
    assert listed.get_job_ids() == [job.id]
    connection.delete("rq:atomiq:stuck:default")
    look(store, -2 * GRACE_MS)
    listed.cleanup(worker, queue)
    assert listed.get_job_ids() == []
    assert job.get_status() == ("failed" if abandoned == "fail" else "queued")
    if abandoned == "fail":
        assert job.latest_result().exc_string == "Job was stuck in intermediate queue."


def test_rqs_deprecated_name_for_it(store: Store) -> None:
    queue = Queue(connection=store.connection)
    store.connection.rpush(f"{queue.key}:intermediate", "ghost")
    with pytest.warns(DeprecationWarning, match="IntermediateQueue.cleanup"):
        clean_intermediate_queue(SimpleWorker([queue], connection=store.connection), queue)
    assert taken(store.connection) == []
