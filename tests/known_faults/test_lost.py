"""A1 to A9: situations in which RQ loses jobs. Each function names its fault; docs/rq-faults.md has them all."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis
import rq
from tests import tasks
from tests.contract.driving import WORKER, fail
from tests.faults.proxy import CuttingProxy
from tests.helpers import wait_until
from tests.interop import jobs as rq_jobs

from atomiq import Queue, SimpleWorker, connect
from atomiq._commands.claim import claim
from atomiq._commands.settle import reap
from atomiq._core.ids import new_execution_id
from atomiq._wire.sync import Store
from atomiq.job import Job

LEASE_MS = 30_000


def server_ms(connection: redis.Redis) -> int:
    seconds, micros = connection.time()
    return int(seconds) * 1000 + int(micros) // 1000


def test_a1_a_worker_that_dies_right_after_its_pop_from_several_queues(
    store: Store, redis_connection: redis.Redis, sound: Callable[[], None]
) -> None:
    """RQ: the id is only in the dead process. Here taking the job and opening its execution are one step."""
    queues = [Queue(name, connection=redis_connection) for name in ("a", "b")]
    job = queues[1].enqueue(tasks.nothing)
    taken = store.run(
        claim(
            store.keys, queues=["a", "b"], worker=WORKER, executions=[new_execution_id()], lease_ms=LEASE_MS, now_ms=0
        )
    )
    assert [one.job_id for one in taken.jobs] == [job.id]
    assert (job.get_status(), queues[1].job_ids) == ("started", [])
    sound()
    later = server_ms(redis_connection) + LEASE_MS + 1000
    assert store.run(reap(store.keys, queue="b", now_ms=later)).requeued == [job.id]
    assert (job.get_status(), queues[1].job_ids) == ("queued", [job.id])


def test_a2_sigterm_at_any_moment_of_taking_jobs(
    redis_connection: redis.Redis, start_worker: Callable[..., Any], sound: Callable[[], None], tmp_path: Path
) -> None:
    """RQ: a polite SIGTERM between pop and start loses the job, with exit code 0. Here workers of two queues are told
    to end while they take jobs; all jobs run, once, whoever took them."""
    notes = tmp_path / "notes"
    made = [
        Queue(name, connection=redis_connection).enqueue(tasks.note, str(notes), f"{name}{number}")
        for name in ("a", "b")
        for number in range(100)
    ]
    for so_many in (1, 40, 90):
        worker = start_worker("a", "b", executor="fork")
        wait_until(lambda n=so_many: notes.exists() and len(notes.read_text().split()) >= n, 30, "some have run")
        worker.signal(signal.SIGTERM)
        assert worker.exits(30) == 0
        sound()
    assert start_worker("a", "b", work={"burst": True}).exits(60) == 0
    assert sorted(notes.read_text().split()) == sorted(
        f"{name}{number}" for name in ("a", "b") for number in range(100)
    )
    assert all(job.is_finished for job in made)


def test_a3_the_reply_to_a_claim_is_lost(
    server_url: str, redis_url: str, redis_connection: redis.Redis, tmp_path: Path, sound: Callable[[], None]
) -> None:
    """RQ: redis-py repeats the pop, which takes the next job; the first is nowhere. Here a repeated claim finds the
    execution that it has opened, and says the same job again."""
    queue = Queue("default", connection=redis_connection)
    first, second = queue.enqueue(tasks.nothing), queue.enqueue(tasks.nothing)
    proxy = CuttingProxy(server_url.removeprefix("unix://").partition("?")[0], str(tmp_path / "p"))
    try:
        link = connect(f"unix://{proxy.path}?{redis_url.rpartition('?')[2]}")
        through = Store.of(link)
        through.run(claim(through.keys, queues=["other"], worker=WORKER, executions=["warm"], lease_ms=LEASE_MS))
        proxy.cut(b"e1")
        taken = through.run(
            claim(through.keys, queues=["default"], worker=WORKER, executions=["e1"], lease_ms=LEASE_MS)
        )
        link.close()
    finally:
        proxy.close()
    assert proxy.cuts == 1
    assert [job.job_id for job in taken.jobs] == [first.id]
    assert queue.job_ids == [second.id]


def test_a4_a_job_that_is_due_while_it_is_being_scheduled(
    redis_connection: redis.Redis, sound: Callable[[], None]
) -> None:
    """RQ: the id is in the schedule before the hash exists, and a tick in between drops it. Here another thread moves
    what is due all the time while jobs are scheduled for this very moment."""
    queue = Queue("default", connection=redis_connection)
    store = Store.of(redis_connection)
    stop = threading.Event()
    ran: list[str] = []

    def work() -> None:
        while not stop.is_set() or queue.count or queue.scheduled_job_registry.count:
            taken = store.run(
                claim(
                    store.keys,
                    queues=["default"],
                    worker=WORKER,
                    executions=[new_execution_id() for _ in range(10)],
                    lease_ms=LEASE_MS,
                )
            )
            ran.extend(job.job_id for job in taken.jobs)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        made = [queue.enqueue_in(timedelta(0), tasks.nothing).id for _ in range(300)]
    finally:
        stop.set()
        thread.join(30)
    assert sorted(ran) == sorted(made)


def test_a4b_scheduling_is_one_command(redis_connection: redis.Redis) -> None:
    """A producer that dies leaves all of a scheduled job or nothing."""
    queue = Queue("default", connection=redis_connection)
    queue.enqueue_in(timedelta(minutes=1), tasks.nothing)
    redis_connection.config_resetstat()
    queue.enqueue_in(timedelta(minutes=2), tasks.nothing)  # not the first to be due, or it would ring the bell as well
    stats = redis_connection.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 1
    assert "cmdstat_zadd" not in stats or stats["cmdstat_zadd"]["calls"] == 1  # inside the script


def test_a5_requeue_ends_the_failure_ttl(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: a requeued job that waits longer than the rest of its failure TTL vanishes from its place in the queue. The
    installed RQ shows it."""
    job = queue.enqueue(tasks.nothing, failure_ttl=1000)
    fail(store, failure_ttl=1000)
    assert 0 < redis_connection.ttl(job.key) <= 1000
    job.requeue()
    assert redis_connection.ttl(job.key) == -1
    assert (job.get_status(), queue.job_ids) == ("queued", [job.id])

    theirs = rq.Queue("theirs", connection=redis_connection)
    lost = theirs.enqueue(rq_jobs.boom, failure_ttl=1000)
    theirs.remove(lost)
    lost.set_status(rq.job.JobStatus.FAILED)
    theirs.failed_job_registry.add(lost, ttl=1000)
    redis_connection.expire(lost.key, 1000)
    lost.requeue()
    assert 0 < redis_connection.ttl(lost.key) <= 1000  # the fault
    redis_connection.delete(lost.key, theirs.key)


def test_a6_compact_is_one_step(redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]) -> None:
    """RQ: moves the list aside and back id by id; a crash in between loses them all. Here it is one command, which
    keeps the order and drops only ids without a job."""
    ids = [queue.enqueue(tasks.nothing).id for _ in range(5)]
    redis_connection.delete(Job.key_for(ids[2]))
    redis_connection.config_resetstat()
    queue.compact()
    stats = redis_connection.info("commandstats")
    assert sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats) <= 2
    assert "cmdstat_rename" not in stats
    assert queue.job_ids == [*ids[:2], *ids[3:]]
    Queue("nothing-there", connection=redis_connection).compact()


def test_a7_a_job_of_one_queue_in_the_list_of_another(
    redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], tmp_path: Path
) -> None:
    """RQ: cleaning b's intermediate list throws away a job whose origin is a. Here it runs, and belongs to the
    queue it was found in."""
    job = queue.enqueue(tasks.note, str(tmp_path / "n"))
    other = Queue("other", connection=redis_connection)
    other.enqueue(tasks.nothing)
    redis_connection.lrem(queue.key, 1, job.id)
    redis_connection.rpush(other.key, job.id)
    SimpleWorker([other], connection=redis_connection).work(burst=True)
    assert (tmp_path / "n").exists()
    moved = Job.fetch(job.id, connection=redis_connection)
    assert (moved.get_status(), moved.origin) == ("finished", "other")
    assert job.id in other.finished_job_registry
    assert [other.count, queue.count] == [0, 0]
    assert redis_connection.keys("rq:*intermediate*") == []


def test_a9_a_queue_that_is_deleted_while_jobs_arrive(
    redis_connection: redis.Redis, redis_url: str, sound: Callable[[], None]
) -> None:
    """RQ: ids pushed between emptying and deleting the list vanish, and their hashes say queued for ever. Here each
    job is either deleted whole or waits whole."""
    stop = threading.Event()
    made: list[str] = []
    link = redis.Redis.from_url(redis_url)

    def produce() -> None:
        arriving = Queue("default", connection=link)
        while not stop.is_set():
            made.append(arriving.enqueue(tasks.nothing).id)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        wait_until(lambda: len(made) > 20, what="jobs arrive")
        queue = Queue("default", connection=redis_connection)
        for _ in range(20):
            queue.delete()
        wait_until(lambda: queue.count > 0, what="a job has come since")
    finally:
        stop.set()
        thread.join(10)
        link.close()
    waiting = set(queue.job_ids)
    exist = {job_id for job_id in made if Job.exists(job_id, redis_connection)}
    assert waiting == exist
    assert len(exist) < len(made)
    assert "default" in {one.name for one in Queue.all(redis_connection)}
