"""What a worker costs that has nothing to do, and its books once it has done everything."""

from __future__ import annotations

import logging
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from tests import tasks
from tests.helpers import throwaway_server, wait_until
from tests.invariants import check_invariants
from tests.worker.conftest import StartWorker
from tests.worker.processes import WorkerProcess

from atomiq import Dependency, Queue, Worker
from atomiq._wire.sync import Store
from atomiq.worker import events as e
from atomiq.worker.upkeep import Upkeep

WINDOW = 12.0


def commands(connection: Any) -> dict[str, int]:
    """Calls since the last reset, those inside scripts too, ours left out."""
    stats = connection.info("commandstats")
    found = {name.removeprefix("cmdstat_"): numbers["calls"] for name, numbers in stats.items()}
    return {name: calls for name, calls in found.items() if name not in ("info", "config", "config|resetstat")}


def cpu_seconds(worker: WorkerProcess) -> float:
    """Of all its processes, as exactly as the kernel knows it."""
    pids = [worker.pid, *worker.children()]
    spent = [task.read_text().split()[0] for pid in pids for task in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(map(int, spent)) / 1e9


def test_an_idle_worker_on_20_queues(start_worker: StartWorker) -> None:
    with throwaway_server() as (path, _):
        connection = redis.Redis(unix_socket_path=path)
        names = [f"q{number}" for number in range(20)]
        worker = start_worker(*names, url=f"unix://{path}")
        job = Queue("q7", connection=connection).enqueue(tasks.nothing)
        wait_until(lambda: job.is_finished)
        wait_until(lambda: connection.hget(f"rq:worker:{worker.name}", "state") == b"idle")
        calm = time.monotonic() + 2
        wait_until(lambda: time.monotonic() > calm)
        connection.config_resetstat()
        spent, began = cpu_seconds(worker), time.monotonic()
        wait_until(lambda: time.monotonic() > began + WINDOW, within=2 * WINDOW)
        spent, sent, seconds = cpu_seconds(worker) - spent, commands(connection), time.monotonic() - began
        connection.close()
    # On average 0.45 a second. A beat and a look fall into this window or don't: that makes a difference of 5.
    assert sum(sent.values()) <= 0.5 * seconds + 3, sent
    assert sent.keys() <= {"exists", "bzpopmin", "hset", "expire", "evalsha", "eval", "time", "ping"}, sent
    if Path("/proc/self/schedstat").exists():
        assert spent / seconds < 0.002  # the bar is half of it, on a machine that does nothing else


def test_where_nothing_is_open_upkeep_asks_once(queue: Queue) -> None:
    """What an idle worker asks every ten seconds grew with each thing to look after: to 0.8 commands a second."""
    names = [f"q{number}" for number in range(20)]
    upkeep = Upkeep(Store.of(queue.connection), "w", names, logging.getLogger(), 3, "retry", lambda: None)
    queue.connection.config_resetstat()
    assert upkeep.reap(None) == ([], None, False)
    assert commands(queue.connection) == {"exists": 1}


def test_a_look_says_that_dependants_still_wait(queue: Queue) -> None:
    """Of a parent that was deleted, or whose worker died, a look frees 2,000 dependants. It told nobody that there were
    more: an idle worker went on ten seconds later, and 100,000 of them needed eight minutes."""
    parent = Queue("other", connection=queue.connection).enqueue(tasks.nothing)
    waits = Dependency(parent, allow_failure=True)
    queue.enqueue_many([Queue.prepare_data(tasks.nothing, depends_on=waits) for _ in range(2200)])
    parent.delete()
    upkeep = Upkeep(Store.of(queue.connection), "w", [queue.name], logging.getLogger(), 3, "retry", lambda: None)
    assert upkeep.reap(None) == ([], None, True)
    assert upkeep.reap(None) == ([], None, False)
    assert len(queue.deferred_job_registry) == 0


def outlived(queue: Queue, count: int) -> None:
    """Entries of registries whose time is over, and whose jobs have expired."""
    ids = {f"j{number}": 1 for number in range(count)}
    queue.connection.zadd(queue.finished_job_registry.key, ids)


def test_a_long_cleaning_goes_on(queue: Queue) -> None:
    """A turn dropped 20,000 entries of a queue, and the next one came 600 seconds later: with more than 33 jobs a
    second the registry of finished jobs grew without end."""
    outlived(queue, 9000)
    upkeep = Upkeep(Store.of(queue.connection), "w", [queue.name], logging.getLogger(), 3, "retry", lambda: None)
    parts = []
    while (part := upkeep.clean(600)).more:
        assert part.any
        parts.append(part)
    assert 0 < len(parts) < 9
    assert queue.connection.exists(queue.finished_job_registry.key) == 0
    assert upkeep.clean(600) == e.Cleaned(any=False, more=False)


def test_a_part_of_a_cleaning_is_bounded_by_all_queues_and_groups_together(queue: Queue) -> None:
    """Each queue had 20 steps of a part for itself, and each of a hundred groups: a worker of 100 long queues extended
    no lease and heard nothing for 2,000 steps, of two milliseconds each where nothing else runs."""
    names = [f"q{number}" for number in range(30)]
    connection = queue.connection
    connection.sadd("rq:groups", *names)
    for name in names:
        connection.zadd(f"rq:finished:{name}", {f"j{number}": 1 for number in range(1500)})
        connection.sadd(f"rq:group:{name}", *(f"{name}-{number}" for number in range(1500)))
    upkeep = Upkeep(Store.of(connection), "w", names, logging.getLogger(), 3, "retry", lambda: None)
    connection.config_resetstat()
    parts = [upkeep.clean(600)]
    turns, *most = [scripts_run(connection)]
    while parts[-1].more:
        connection.config_resetstat()
        parts.append(upkeep.clean(600))
        most.append(scripts_run(connection))
    assert turns <= len(names) + 1 + 2 * 20, "whose turn it is; a step, and the dead workers of a queue that is begun"
    assert max(most) <= 2 * 20 + 3
    assert len(parts) > 10
    assert connection.keys("rq:finished:*") == connection.keys("rq:group:*") == []


def scripts_run(connection: Any) -> int:
    sent = commands(connection)
    return sum(count for name, count in sent.items() if name in ("eval", "evalsha"))


def test_a_large_group_is_cleaned_to_its_end(queue: Queue) -> None:
    """A turn looked at 10,000 members of a group, and the next one began anew: a group into which more than 16 jobs a
    second went grew without end."""
    connection = queue.connection
    connection.sadd("rq:groups", "large")
    for start in range(0, 25_000, 5000):
        connection.sadd("rq:group:large", *(f"j{start + number}" for number in range(5000)))
    upkeep = Upkeep(Store.of(connection), "w", [queue.name], logging.getLogger(), 3, "retry", lambda: None)
    parts = 1
    while upkeep.clean(600).more:
        parts += 1
    assert parts > 1
    assert connection.exists("rq:group:large") == 0
    assert connection.smembers("rq:groups") == set()


def test_a_worker_cleans_everything_at_its_turn(queue: Queue, start_worker: StartWorker) -> None:
    outlived(queue, 30_000)
    start_worker()
    wait_until(lambda: queue.connection.exists(queue.finished_job_registry.key) == 0, within=30)


def test_cleaning_by_hand_cleans_everything(queue: Queue) -> None:
    outlived(queue, 30_000)
    Worker([queue], connection=queue.connection).clean_registries()
    assert queue.connection.exists(queue.finished_job_registry.key) == 0


def test_groups_go_with_their_jobs(queue: Queue) -> None:
    """The hash of a job that expires is gone with the name of its group. Nobody struck the job off there, unless
    somebody read the group: each group that was ever used was kept for ever."""
    connection = queue.connection
    for number in range(300):
        queue.enqueue_many([Queue.prepare_data(tasks.nothing) for _ in range(2)], group_id=f"g{number}")
    left = queue.enqueue_many([Queue.prepare_data(tasks.nothing) for _ in range(2)], group_id="left")[0]
    connection.delete(*(f"rq:job:{job_id}" for job_id in queue.job_ids if job_id != left.id))
    upkeep = Upkeep(Store.of(connection), "w", [queue.name], logging.getLogger(), 3, "retry", lambda: None)
    parts = 1
    while upkeep.clean(600).more:
        parts += 1
    assert parts > 1
    assert connection.smembers("rq:groups") == {b"left"}
    assert connection.keys("rq:group:*") == [b"rq:group:left"]
    assert connection.smembers("rq:group:left") == {left.id.encode()}


@pytest.mark.parametrize("executor", ["process", "fork", "spawn", "thread", "async", "inline"])
def test_the_books_of_a_worker_that_has_done_everything(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    count = 60 if executor == "fork" else 600
    data = [Queue.prepare_data(tasks.nothing) for _ in range(count)]
    data[count // 2] = Queue.prepare_data(tasks.boom)
    jobs = queue.enqueue_many(data)
    worker = start_worker(executor=executor, options={} if executor == "inline" else {"concurrency": 2})
    wait_until(lambda: queue.connection.zcard(f"rq:finished:{queue.name}") == count - 1)
    key = f"rq:worker:{worker.name}"
    # It also rests, for a moment, when something was given back on the way: the last count comes with the last look.
    told = lambda: int(queue.connection.hget(key, "successful_job_count") or 0)  # noqa: E731
    wait_until(lambda: told() >= count - 1, what="all that succeeded are counted")
    wait_until(lambda: queue.connection.hget(key, "state") == b"idle", what="the worker's hash shows that it rests")
    entry = {name.decode(): value.decode() for name, value in queue.connection.hgetall(key).items()}
    assert int(entry["successful_job_count"]) == count - 1
    assert int(entry["failed_job_count"]) == 1
    assert "current_job" not in entry
    worked = sum((job.ended_at - job.started_at).total_seconds() for job in map(refreshed, jobs))
    assert abs(float(entry.get("total_working_time", 0)) - worked) < 0.002 * count
    assert not queue.connection.exists(f"rq:atomiq:worker:{worker.name}:executions")
    assert not [name for name in queue.connection.keys("*execution*") if queue.connection.type(name) != b"none"]
    assert check_invariants(queue.connection) == []


def refreshed(job: Any) -> Any:
    job.refresh()
    return job


def test_processes_of_an_idle_worker(queue: Queue, start_worker: StartWorker) -> None:
    """A supervisor and its children; nobody else."""
    worker = start_worker(options={"concurrency": 2})
    wait_until(lambda: len(worker.children()) == 2)
    assert len(psutil.Process(worker.pid).children(recursive=True)) == 2


SPOILT = ["finished:default", "failed:default", "deferred:default", "canceled:default", "groups", "group:odd"]


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_key_that_cannot_be_cleaned_is_left_out(queue: Queue, caplog: pytest.LogCaptureFixture, spoilt: str) -> None:
    """Another program had written a text where a registry should be: each worker of the queue ended at its turn to
    clean, with a ScriptError. All else is cleaned; it is said once which key it is, and again when it has been in order
    meanwhile."""
    connection, other = queue.connection, Queue("other", connection=queue.connection)
    connection.sadd("rq:groups", "odd", "plain")
    for key in ("rq:group:odd", "rq:group:plain"):
        connection.sadd(key, "gone")
    for name in ("finished", "failed", "deferred", "canceled"):
        for place in (queue, other):
            connection.zadd(f"rq:{name}:{place.name}", {"gone": 1})
    connection.set(f"rq:{spoilt}", "text")
    upkeep = Upkeep(
        Store.of(connection), "w", [queue.name, other.name], logging.getLogger("atomiq"), 3, "retry", lambda: None
    )
    caplog.set_level(logging.ERROR, "atomiq")
    assert upkeep.clean(600) == e.Cleaned(any=True, more=False)
    left = [] if spoilt != "groups" else ["rq:group:odd", "rq:group:plain"]
    left += [] if spoilt != "group:odd" else ["rq:groups"]
    assert sorted(key.decode() for key in connection.keys("rq:*") if b"turn" not in key) == sorted(
        [f"rq:{spoilt}", *left]
    )
    upkeep.clean_now()
    assert [f"rq:{spoilt} can't be cleaned" in record.getMessage() for record in caplog.records] == [True]
    connection.delete(f"rq:{spoilt}")
    upkeep.clean_now()
    connection.set(f"rq:{spoilt}", "text")
    upkeep.clean_now()
    assert len(caplog.records) == (1 if spoilt == "group:odd" else 2), "a group that is gone is not looked at again"


@pytest.mark.parametrize("loop", ["atomiq.Worker", "tests.worker.override_jobs.Loop"])
def test_a_worker_lives_on_where_a_registry_is_spoilt(queue: Queue, start_worker: StartWorker, loop: str) -> None:
    queue.connection.set("rq:failed:other", "text")
    worker = start_worker("other", "default", kind=loop)
    worker.says("rq:failed:other can't be cleaned")
    job = queue.enqueue(tasks.nothing)
    wait_until(lambda: job.is_finished)
    worker.signal(signal.SIGTERM)
    assert worker.exits() == 0
