"""A server that goes away, forgets its scripts, cuts connections or falls silent while children claim by themselves."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests import tasks
from tests.executors import loop_jobs
from tests.faults.proxy import cutting_proxy
from tests.helpers import wait_until
from tests.invariants import check_invariants
from tests.worker import station_jobs
from tests.worker.conftest import StartWorker
from tests.worker.processes import Server, own_server
from tests.worker.test_stations_death import attempts, warm_up

from atomiq import Job, Queue
from atomiq._lua import script

WARM = pytest.mark.parametrize("executor", ["process", "thread", "async"])
QUIET = {"logging_level": "WARNING"}


@pytest.fixture
def server() -> Iterator[Server]:
    with own_server() as server:
        yield server


@pytest.fixture
def own_queue(server: Server) -> Iterator[Queue]:
    connection = redis.Redis.from_url(server.url)
    yield Queue("default", connection=connection)
    connection.close()


def noting_jobs(queue: Queue, notes: Path, count: int, first: int = 0) -> list[Job]:
    calls = [Queue.prepare_data(tasks.note, (str(notes), str(number))) for number in range(first, first + count)]
    return queue.enqueue_many(calls)


def finished(queue: Queue) -> int:
    return int(queue.connection.zcard(f"rq:finished:{queue.name}"))


def print_unfinished(queue: Queue, jobs: list[Job]) -> None:
    """Shown when the test fails: where the first of them are, and who holds them."""
    there, server = set(queue.finished_job_registry.get_job_ids()), queue.connection
    for job in [job for job in jobs if job.id not in there][:5]:
        print(job.id, server.hgetall(job.key), [key for key in server.scan_iter(count=1000) if job.id.encode() in key])
    for key in server.scan_iter("rq:atomiq:executions:*"):
        print(key, server.hgetall(key))
    print(server.time(), server.zrange(f"rq:wip:{queue.name}", 0, 5, withscores=True), server.llen(queue.key))


def check_each_ran_once(queue: Queue, jobs: list[Job], notes: Path) -> None:
    assert sorted(map(int, notes.read_text().split())) == list(range(len(jobs)))
    assert {attempts(job) for job in jobs} == {1}
    wait_until(lambda: queue.connection.zcard(f"rq:wip:{queue.name}") == 0)
    assert check_invariants(queue.connection) == []


@WARM
def test_a_server_that_stops_and_comes_back(
    server: Server, own_queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    notes = tmp_path / "notes"
    jobs = noting_jobs(own_queue, notes, 3000)
    worker = start_worker(url=server.url, executor=executor, options={"concurrency": 2}, work=QUIET)
    wait_until(lambda: finished(own_queue) > 500)
    server.stop()
    worker.says("can't be reached")
    server.start()
    began = time.monotonic()
    before = finished(own_queue)
    assert before < len(jobs)
    wait_until(lambda: finished(own_queue) > before)
    assert time.monotonic() - began < 10
    wait_until(lambda: finished(own_queue) == len(jobs), within=20)
    check_each_ran_once(own_queue, jobs, notes)


@WARM
def test_scripts_that_are_forgotten_while_it_is_busy(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    notes = tmp_path / "notes"
    jobs = noting_jobs(queue, notes, 2000)
    worker = start_worker(executor=executor, options={"concurrency": 2}, work=QUIET)

    def done() -> bool:
        queue.connection.script_flush()
        return finished(queue) == len(jobs)

    wait_until(done, within=30)
    check_each_ran_once(queue, jobs, notes)
    assert worker.process.poll() is None


@WARM
def test_connections_that_are_cut_all_the_time(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    """Whatever was under way is sent again, in its order: no job is lost, and none runs twice. There are jobs until
    it was cut off often enough."""
    notes = tmp_path / "notes"
    jobs = noting_jobs(queue, notes, 1000)
    worker = start_worker(executor=executor, options={"concurrency": 2}, work=QUIET)
    wait_until(lambda: finished(queue) > 0 or worker.process.poll() is not None, 60, "it works")
    cut = 0

    def done() -> bool:
        nonlocal cut
        # Not for ever: a machine that is slow to connect again would never get anything done.
        for client in queue.connection.client_list() if cut <= 60 else ():
            if client["name"] and "pubsub" not in client["flags"]:
                cut += queue.connection.client_kill_filter(_id=client["id"])
        if cut <= 10 and len(jobs) - finished(queue) < 500:
            jobs.extend(noting_jobs(queue, notes, 500, len(jobs)))
        return finished(queue) == len(jobs)

    try:
        wait_until(done, within=60)
    finally:
        print_unfinished(queue, jobs)
    assert cut > 10
    check_each_ran_once(queue, jobs, notes)


def test_a_connection_that_a_job_opens_while_the_child_loses_its_own(
    server: Server, own_queue: Queue, start_worker: StartWorker
) -> None:
    """An outcome could not be sent: the child closed its connection, and the loop went on to watch its number until the
    next round. What a job opened before that had the number: `FileNotFoundError`, or it heard nothing any more. With
    uvloop the loop aborted the child, 59 jobs at a time, when the server was started anew under an application's load.
    """
    jobs = [own_queue.enqueue(loop_jobs.open_many, 8), own_queue.enqueue(loop_jobs.cut_all_connections)]
    worker = start_worker(url=server.url, executor="async", options={"concurrency": 3}, work=QUIET)
    wait_until(lambda: all(job.is_finished or job.is_failed for job in jobs), within=20)
    assert jobs[0].return_value() == [b"heard\n"] * 8, jobs[0].exc_info
    assert {attempts(job) for job in jobs} == {1}
    assert "can't be reached" in worker.log


@pytest.mark.parametrize(
    "wish",
    [
        *({"executor": executor} for executor in ("process", "thread", "async", "fork", "spawn", "inline")),
        {"kind": "tests.worker.override_jobs.Simple"},
    ],
    ids=lambda wish: str(*wish.values()),
)
def test_a_connection_that_falls_silent(queue: Queue, start_worker: StartWorker, wish: dict[str, str]) -> None:
    """Half-open: nothing comes any more and nobody says why. An idle worker notices, too.

    With fork and inline it took 20 s, in RQ's loop more than a minute: commands in turn on connections that were all
    dead, each with its own patience. Now ten seconds; without warm children, whose lookout asks without waiting, three
    more when the loop has just begun to ask for something else.
    """
    path = queue.connection.connection_pool.connection_kwargs["path"]
    number = queue.connection.connection_pool.connection_kwargs.get("db", 0)
    with cutting_proxy(path) as proxy:
        start_worker(url=f"unix://{proxy.path}?db={number}", **wish)
        warm_up(queue)
        wait_until(lambda: queue.connection.info("clients")["blocked_clients"] >= 1)
        proxy.fall_silent()
        job = queue.enqueue(tasks.nothing)
        warm = wish.get("executor") in ("process", "thread", "async", "spawn")
        wait_until(lambda: job.is_finished, within=11 if warm else 14)
    assert check_invariants(queue.connection) == []


def test_a_busy_child_whose_connection_falls_silent(queue: Queue, start_worker: StartWorker, tmp_path: Path) -> None:
    path = queue.connection.connection_pool.connection_kwargs["path"]
    number = queue.connection.connection_pool.connection_kwargs.get("db", 0)
    notes = tmp_path / "notes"
    with cutting_proxy(path) as proxy:
        jobs = noting_jobs(queue, notes, 3000)
        start_worker(url=f"unix://{proxy.path}?db={number}", work=QUIET)
        wait_until(lambda: finished(queue) > 300)
        proxy.fall_silent()
        before = finished(queue)
        assert before < len(jobs)
        wait_until(lambda: finished(queue) > before + 100, within=11)
        wait_until(lambda: finished(queue) == len(jobs), within=20)
    check_each_ran_once(queue, jobs, notes)


@WARM
def test_a_worker_leaves_though_nobody_answers_its_claim(
    server: Server, own_queue: Queue, start_worker: StartWorker, executor: str
) -> None:
    """The server went away when a child had just asked it for work. At SIGTERM the worker waited for the answer as long
    as the server was away."""
    with cutting_proxy(server.path) as proxy:
        worker = start_worker(url=f"unix://{proxy.path}", executor=executor)
        wait_until(lambda: own_queue.connection.hget(f"rq:worker:{worker.name}", "state") == b"idle")
        proxy.swallow(script("claim").sha.encode())
        own_queue.enqueue(tasks.nothing)
        wait_until(lambda: proxy.swallowed)
    worker.says("can't be reached")
    worker.signal(signal.SIGTERM)
    assert worker.exits(within=20) == 0
    assert "could not take leave" in worker.log
    assert own_queue.count == 1


def test_an_idle_worker_beats_at_a_server_without_memory(
    server: Server, own_queue: Queue, start_worker: StartWorker
) -> None:
    """Its sign of life was refused: it took the server for gone, again and again."""
    worker = start_worker(url=server.url, options={"lease": 3.0})
    key, connection = f"rq:worker:{worker.name}", own_queue.connection
    wait_until(lambda: connection.hget(key, "state") == b"idle")
    connection.config_set("maxmemory", 1)
    before = connection.hget(key, "beat")
    wait_until(lambda: connection.hget(key, "beat") != before)
    connection.config_set("maxmemory", 0)
    assert "can't be reached" not in worker.log


def test_a_queue_that_is_no_list_ends_the_worker(queue: Queue, start_worker: StartWorker) -> None:
    queue.connection.set(f"rq:queue:{queue.name}", "no list")
    worker = start_worker()
    assert worker.exits() == 1
    assert "children in a row failed at once" in worker.log
    assert "WRONGTYPE" in worker.log


def test_a_child_that_dies_while_the_server_is_away_and_whose_death_somebody_is_told_of(
    server: Server, own_queue: Queue, start_worker: StartWorker, tmp_path: Path
) -> None:
    """The handler of its death is given the job, which could not be read at that moment: the handler was never called,
    and the worker waited for its end for ever, with the job in hand."""
    notes = tmp_path / "notes"
    job = own_queue.enqueue(station_jobs.wait_once, str(notes))
    start_worker(url=server.url, kind="tests.worker.station_jobs.ToldOfDeaths", options={"lease": 3.0})
    wait_until(lambda: own_queue.connection.hget(job.key, "status") == b"started" and notes.exists())
    server.stop()
    os.kill(int(notes.read_text()), signal.SIGKILL)
    server.start()
    wait_until(lambda: job.is_finished, within=20)
    assert own_queue.connection.lrange(f"calls:{job.id}", 0, -1) == [b"killed"]
    assert attempts(job) == 2
