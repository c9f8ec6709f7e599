"""Children that are killed, supervisors that are killed: what runs and what is read ahead."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from tests import tasks
from tests.executors.working import drive
from tests.faults.proxy import cutting_proxy
from tests.helpers import alive, wait_until
from tests.invariants import check_invariants
from tests.worker import setups, station_jobs
from tests.worker.conftest import StartWorker
from tests.worker.processes import WorkerProcess, own_server

from atomiq import Job, Queue, Worker, hooks
from atomiq._commands.claim import claim
from atomiq._core.errors import WorkerFailed
from atomiq._core.ids import new_execution_id
from atomiq._core.settings import DEFAULT_LEASE
from atomiq._wire.sync import Store

WARM = pytest.mark.parametrize("executor", ["process", "spawn", "thread", "async"])
READ_AHEAD = 20


def attempts(job: Job) -> int:
    return int(job.connection.hget(job.key, "attempts") or 0)


def warm_up(queue: Queue) -> None:
    """Have the station learn that jobs are short, so that it reads ahead."""
    jobs = queue.enqueue_many([Queue.prepare_data(tasks.nothing) for _ in range(100)])
    wait_until(lambda: all(job.is_finished for job in jobs))


def one_before_many(queue: Queue, function: Callable[[str], Any], path: Path) -> tuple[Job, list[Job]]:
    """A job and many short ones behind it, put into the queue in one step."""
    many = [Queue.prepare_data(tasks.nothing) for _ in range(READ_AHEAD)]
    first, *rest = queue.enqueue_many([Queue.prepare_data(function, (str(path),)), *many])
    return first, rest


def counted(queue: Queue) -> tuple[int, int]:
    """Jobs that ended well and badly, as the only worker's hash says."""
    (name,) = queue.connection.smembers("rq:workers")
    well, badly = queue.connection.hmget(name, "successful_job_count", "failed_job_count")
    return int(well or 0), int(badly or 0)  # absent until the first is told


def runs(path: Path) -> list[float]:
    return [float(line) for line in path.read_text().splitlines()] if path.exists() else []


def children(worker: WorkerProcess, count: int) -> list[int]:
    wait_until(lambda: len(worker.children()) == count, what=f"{count} children")
    return worker.children()


@WARM
def test_what_a_killed_child_had_runs_again_at_once(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    alone = executor in ("process", "spawn")
    worker = start_worker(executor=executor, options={"concurrency": 2})
    warm_up(queue)
    before = children(worker, 2 if alone else 1)
    first, rest = one_before_many(queue, station_jobs.die_once, tmp_path / "notes")
    wait_until(lambda: len(runs(tmp_path / "notes")) == 2)
    wait_until(lambda: all(job.is_finished for job in [first, *rest]))
    died, ran_again = runs(tmp_path / "notes")
    assert ran_again - died < 5  # by its lease it would be thirty
    assert attempts(first) == 2
    assert {attempts(job) for job in rest} <= ({1} if alone else {1, 2})  # one may have run in another thread
    wait_until(lambda: len(worker.children()) == len(before), what="a new child")
    assert worker.children() != before
    warm_up(queue)
    worker.signal(signal.SIGTERM)
    assert worker.exits() == 0
    assert check_invariants(queue.connection) == []


@WARM
def test_what_a_killed_worker_had_runs_again_within_a_lease(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    worker = start_worker(executor=executor, options={"lease": 3})
    warm_up(queue)
    first, rest = one_before_many(queue, station_jobs.kill_worker_once, tmp_path / "notes")
    worker.process.wait(10)
    start_worker(executor=executor, options={"lease": 3}, work={"logging_level": "INFO"})
    wait_until(lambda: all(job.is_finished for job in [first, *rest]))
    died, ran_again = runs(tmp_path / "notes")
    assert ran_again - died < DEFAULT_LEASE / 2  # theirs is 3; the new worker's start is in it
    assert attempts(first) == 2
    assert check_invariants(queue.connection) == []


@WARM
def test_children_go_with_their_supervisor(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    notes, gate = tmp_path / "notes", tmp_path / "gate"
    alone = executor in ("process", "spawn")
    worker = start_worker(executor=executor, options={"concurrency": 2})
    queue.enqueue(tasks.note_and_wait, str(notes), str(gate))
    wait_until(notes.exists)
    pids = children(worker, 2 if alone else 1)  # one of them is idle
    worker.kill()
    wait_until(lambda: not any(alive(pid) for pid in pids))


@WARM
def test_what_a_killed_child_had_sent_and_nobody_read_runs_again_at_once(
    queue: Queue, start_worker: StartWorker, executor: str
) -> None:
    """A child says how jobs ended without waiting for the answers, and its connection dies with it. What the server had
    not read by then was lost, and as these jobs had ended, nobody gave them back: they waited for their leases."""
    path = queue.connection.connection_pool.connection_kwargs["path"]
    number = queue.connection.connection_pool.connection_kwargs.get("db", 0)
    with cutting_proxy(path) as proxy:
        worker = start_worker(url=f"unix://{proxy.path}?db={number}", executor=executor, options={"lease": 60})
        warm_up(queue)
        proxy.swallow(b"unread")
        job = queue.enqueue(tasks.nothing, job_id="unread")
        wait_until(lambda: proxy.swallowed)
        (child,) = children(worker, 1)
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: job.is_finished, within=9)  # later the child's connection would be taken for dead
    assert attempts(job) == 2
    assert check_invariants(queue.connection) == []


def test_a_full_server_does_not_end_the_worker_of_a_killed_child(start_worker: StartWorker) -> None:
    """Ending the lease of what nobody has read needs memory. The server that had none ended the worker with a
    traceback, and all its other jobs with it."""
    with own_server() as server, cutting_proxy(server.path) as proxy:
        queue = Queue("default", connection=redis.Redis.from_url(server.url))
        worker = start_worker(url=f"unix://{proxy.path}", options={"lease": 60})
        warm_up(queue)
        proxy.swallow(b"unread")
        job = queue.enqueue(tasks.nothing, job_id="unread")
        wait_until(lambda: proxy.swallowed)
        (child,) = children(worker, 1)
        queue.connection.config_set("maxmemory", 1)
        os.kill(child, signal.SIGKILL)
        worker.says("it can't be seen now what a dead child has left")
        queue.connection.config_set("maxmemory", 0)
        wait_until(lambda: job.is_finished)
        assert attempts(job) == 2
        assert worker.process.poll() is None
        queue.connection.close()


def test_a_killed_child_takes_no_other_workers_jobs_along(queue: Queue, start_worker: StartWorker) -> None:
    """A server that comes back has leases that ran out meanwhile, and their owners get a whole lease to extend them.
    The supervisor of a dead child took them all back at once: a job that ran elsewhere was run twice."""
    connection = queue.connection.connection_pool.connection_kwargs
    with cutting_proxy(connection["path"]) as proxy:
        url = f"unix://{proxy.path}?db={connection.get('db', 0)}"
        worker = start_worker(url=url, options={"lease": 60})
        warm_up(queue)
        (child,) = children(worker, 1)
        os.kill(child, signal.SIGSTOP)
        elsewhere = queue.enqueue(tasks.nothing)
        store = Store.of(queue.connection)
        names = [new_execution_id()]
        store.run(claim(store.keys, queues=[queue.name], worker="other", executions=names, lease_ms=1))
        proxy.swallow(b"unread")
        job = queue.enqueue(tasks.nothing, job_id="unread")
        os.kill(child, signal.SIGCONT)
        wait_until(lambda: proxy.swallowed)
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: job.is_finished, within=9)
    assert elsewhere.is_started
    assert attempts(elsewhere) == 1


@pytest.mark.parametrize("executor", ["process", "spawn", "thread"])
@pytest.mark.parametrize("code", [0, 1])
def test_what_waited_behind_a_job_that_left_runs_at_once(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str, code: int
) -> None:
    """A child that left with exit code 0 in the middle of a job was taken for one that had served its time and had
    given back what it held itself: that waited for its lease, like what it had ended and nobody had read."""
    start_worker(executor=executor, options={"concurrency": 1, "lease": 60})
    warm_up(queue)
    many = [Queue.prepare_data(tasks.nothing) for _ in range(READ_AHEAD)]
    leaves = Queue.prepare_data(station_jobs.leave_once, (str(tmp_path / "notes"), code))
    jobs = queue.enqueue_many([*many, leaves, *many])
    wait_until(lambda: all(job.get_status() in ("finished", "failed") for job in jobs), within=12)
    assert check_invariants(queue.connection) == []


@WARM
def test_an_idle_child_that_is_killed_is_replaced(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    worker = start_worker(executor=executor)
    warm_up(queue)
    (child,) = children(worker, 1)
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: child not in worker.children())
    warm_up(queue)
    assert worker.process.poll() is None


@WARM
def test_children_that_can_not_start_end_the_worker(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    job = queue.enqueue(tasks.nothing)
    worker = start_worker(executor=executor, setup="raising_hook", options={"imports": ["tests.worker.setups"]})
    began = time.monotonic()
    assert worker.exits() == 1
    assert time.monotonic() - began < 25
    assert "5 children in a row failed at once: exit code 1: RuntimeError: the database is not there" in worker.log
    assert job.is_queued
    assert check_invariants(queue.connection) == []


def test_children_that_take_their_time_to_fail_end_the_worker_as_well(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that imports for three seconds, or waits for its database, and then fails was not young any more, and the
    next was started at once: again and again, for ever."""
    monkeypatch.setattr("atomiq.worker.crew.YOUNG", 0.0)
    hooks.on_child_start(setups.no_database)
    try:
        with pytest.raises(WorkerFailed, match="5 children in a row failed at once"):
            drive(Worker([queue]))
    finally:
        hooks.remove(setups.no_database)


def test_a_child_that_fails_now_and_then_is_started_again(
    queue: Queue, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Three failures at the start, then it works: the pauses between them grow."""
    worker = start_worker(setup="hook_that_raises_thrice", setup_path=str(tmp_path / "failures"))
    job = queue.enqueue(tasks.nothing)
    wait_until(lambda: job.is_finished)
    assert [word in worker.log for word in ("next in 0.2 s", "next in 0.4 s", "next in 0.8 s")] == [True] * 3
    assert "next in 1.6 s" not in worker.log
    assert worker.process.poll() is None


@WARM
def test_what_a_killed_child_has_settled_is_counted(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    """While jobs are short their ends are counted by one call in 50 ms. A child that was killed took along what it had
    not told, and what it had not yet heard to be settled: in one run 198 jobs had succeeded, and 165 were counted."""
    start_worker(executor=executor, options={"concurrency": 1, "lease": 3})
    warm_up(queue)
    ran_again = 0
    for number in range(5):
        many = [Queue.prepare_data(tasks.nothing) for _ in range(READ_AHEAD)]
        deadly = Queue.prepare_data(station_jobs.die_once, (str(tmp_path / str(number)),))
        jobs = queue.enqueue_many([*many, deadly, *many])
        wait_until(lambda jobs=jobs: all(job.is_finished for job in jobs))
        ran_again += sum(attempts(job) > 1 for job in jobs)
    expected = 100 + 5 * (2 * READ_AHEAD + 1)
    wait_until(lambda: counted(queue) >= (expected, 5), what="all to be counted")
    # What a dead child had sent and the server not read is lost with the connection: such a job ends twice, and is
    # counted twice.
    assert expected <= counted(queue)[0] <= expected + ran_again
    assert counted(queue)[1] == 5


@WARM
def test_what_was_done_just_before_a_long_job_is_counted_while_that_runs(
    queue: Queue, start_worker: StartWorker, executor: str
) -> None:
    """It was told when the long job ended, be it hours later."""
    start_worker(executor=executor, options={"concurrency": 1, "lease": 3})
    warm_up(queue)
    many = [Queue.prepare_data(tasks.nothing) for _ in range(READ_AHEAD)]
    *short, long = queue.enqueue_many([*many, Queue.prepare_data(station_jobs.slow, (4,))])
    wait_until(lambda: counted(queue) == (100 + READ_AHEAD, 0), what="the short ones to be counted")
    assert long.get_status() == "started"
    assert all(job.is_finished for job in short)
