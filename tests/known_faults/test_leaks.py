"""E1 to E16: keys and members that RQ leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from tests import tasks
from tests.contract.driving import WORKER, claimed, fail, finish, settled
from tests.helpers import wait_until
from tests.known_faults.test_lost import server_ms

from atomiq import Queue, Retry, SimpleWorker, Worker
from atomiq._commands.settle import Settlement, settle
from atomiq._wire.sync import Store
from atomiq.command import send_stop_job_command
from atomiq.exceptions import WorkerExists
from atomiq.group import Group
from atomiq.job import Job
from atomiq.suspension import suspend
from atomiq.worker_registration import clean_worker_registry, get_keys

A_YEAR = 31_536_000


def of_job(connection: redis.Redis, job: Job) -> list[bytes]:
    """Every key that names the job."""
    return sorted(connection.keys(f"rq:*{job.id}*"))


@pytest.mark.parametrize("retried", [False, True])
def test_e1_results_end_with_their_job(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], retried: bool
) -> None:
    """RQ: the result stream of a failed job has no TTL, and outlives a job that is deleted."""
    job = queue.enqueue(tasks.nothing, retry=Retry(1) if retried else None)
    if retried:
        fail(store, retry="auto")
    fail(store)
    stream, own = redis_connection.ttl(f"rq:results:{job.id}"), redis_connection.ttl(job.key)
    assert 0 < stream <= own <= A_YEAR
    job.delete()
    assert of_job(redis_connection, job) == []


def test_e1_results_do_not_pile_up(store: Store, redis_connection: redis.Redis, queue: Queue) -> None:
    """RQ: a job that runs again and again has some 110 results at last."""
    job = queue.enqueue(tasks.nothing)
    for _ in range(30):
        finish(store)
        queue.enqueue_job(job)
    assert redis_connection.xlen(f"rq:results:{job.id}") <= 10


def test_e2_canceled_jobs_expire(redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]) -> None:
    """RQ: they and their ids are kept for ever."""
    job = queue.enqueue(tasks.nothing)
    job.cancel()
    assert 0 < redis_connection.ttl(job.key) <= A_YEAR
    redis_connection.delete(*of_job(redis_connection, job))  # its time is over
    SimpleWorker([queue]).work(burst=True)
    assert queue.canceled_job_registry.get_job_ids() == []


def test_e3_failure_ttl_zero_leaves_nothing(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: the id of a job that is not kept stays among the failed ones."""
    job = queue.enqueue(tasks.nothing, failure_ttl=0)
    fail(store, failure_ttl=0)
    assert of_job(redis_connection, job) == []
    assert redis_connection.zcard("rq:failed:default") == 0


def test_e3_failure_ttl_for_ever(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: the score -1 sorts before all others, as if it had expired."""
    job = queue.enqueue(tasks.nothing, failure_ttl=-1)
    fail(store, failure_ttl=-1)
    SimpleWorker([queue]).work(burst=True)
    assert queue.failed_job_registry.get_job_ids() == [job.id]
    assert redis_connection.ttl(job.key) == -1


def test_e4_no_zombie_is_left_of_a_job_that_is_deleted_while_it_runs(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: a hash with a few fields, without data and TTL, which makes `unique` refuse that id for ever."""
    job = queue.enqueue(tasks.nothing, job_id="the-id", unique=True)
    taken = claimed(store)
    job.delete()
    ended = server_ms(redis_connection)
    end = Settlement(job.id, "default", taken.execution_id, WORKER, "failed", started_ms=ended, ended_ms=ended)
    assert store.run(settle(store.keys, settlement=end)).word == "gone"
    assert of_job(redis_connection, job) == []
    queue.enqueue(tasks.nothing, job_id="the-id", unique=True)


def test_e5_a_deferred_job_that_expires(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: its id counts as deferred for ever, and its parent keeps it among its dependants."""
    parent = queue.enqueue(tasks.nothing)
    child = queue.enqueue(tasks.nothing, depends_on=parent, ttl=100)
    redis_connection.delete(child.key)  # its time is over
    SimpleWorker([queue]).work(burst=True)
    assert queue.deferred_job_registry.get_job_ids() == []
    assert redis_connection.exists(Job.dependents_key_for(parent.id)) == 0
    assert of_job(redis_connection, child) == []


@pytest.mark.parametrize("how", ["deleted", "emptied"])
def test_e6_nothing_of_a_job_outlives_it(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], how: str
) -> None:
    """RQ: sets of dependencies and results stay, without a TTL."""
    before = queue.enqueue(tasks.nothing)
    finish(store)
    parent = queue.enqueue(tasks.nothing, retry=Retry(3))
    fail(store, retry="auto")
    child = queue.enqueue(tasks.nothing, depends_on=[parent, before])
    if how == "deleted":
        child.delete()
        parent.delete()
    else:
        queue.empty()
        child.delete()
    assert of_job(redis_connection, parent) == []
    assert of_job(redis_connection, child) == []


def test_e8_executions_that_have_vanished(store: Store, redis_connection: redis.Redis, queue: Queue) -> None:
    """RQ: for a minute get_executions, cancel and delete raise ValueError."""
    job = queue.enqueue(tasks.nothing)
    taken = claimed(store)
    assert [one.id for one in job.get_executions()] == [taken.execution_id]
    redis_connection.delete(f"rq:execution:{job.id}:{taken.execution_id}")  # it has expired before its registry
    assert job.get_executions() == []
    redis_connection.hset(f"rq:execution:{job.id}:{taken.execution_id}", "last_heartbeat", "1")  # a late RQ parent
    assert len(job.get_executions()) <= 1
    job.cancel()
    job.delete()
    assert not redis_connection.exists(job.key)


def test_e9_a_job_whose_group_is_gone(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: deleting it raises NoSuchGroupError half-way; with result_ttl=0 a successful job is failed by it."""
    group = Group.create(redis_connection, "g")
    kept, not_kept = group.enqueue_many(
        queue, [Queue.prepare_data(tasks.nothing), Queue.prepare_data(tasks.nothing, result_ttl=0)]
    )
    redis_connection.delete("rq:group:g")
    kept.delete()
    assert of_job(redis_connection, kept) == []
    finish(store, result_ttl=0)
    assert of_job(redis_connection, not_kept) == []
    assert Group.all(redis_connection) == []


def test_e10_two_workers_of_one_name(redis_connection: redis.Redis) -> None:
    """RQ: both register, share one hash, and the first to end unregisters both."""
    first, second = (Worker(["default"], name="same", connection=redis_connection) for _ in range(2))
    first.bootstrap("ERROR")
    with pytest.raises(WorkerExists):
        second.bootstrap("ERROR")
    assert Worker.count(redis_connection) == 1
    first.teardown()
    assert Worker.count(redis_connection) == 0
    first._close_own()
    second._close_own()


def test_e10_a_living_worker_whose_hash_expired(
    redis_connection: redis.Redis, queue: Queue, start_worker: Callable[..., Any]
) -> None:
    """RQ: it works on, but is in none of the sets, so nobody sees it."""
    worker = start_worker(options={"lease": 1})
    worker.says("Listening", 20)
    redis_connection.delete(f"rq:worker:{worker.name}")
    clean_worker_registry(queue)
    wait_until(lambda: [one.name for one in Worker.all(redis_connection)] == [worker.name], 20, "it is seen again")
    assert get_keys(queue) == {f"rq:worker:{worker.name}"}


def test_e12_a_stop_that_comes_too_late(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: the worker remembers it, and a later failure of the same job counts as stopped and is not retried."""
    job = queue.enqueue(tasks.nothing)
    taken = claimed(store)
    send_stop_job_command(redis_connection, job.id)
    settled(store, taken, "finished")
    queue.enqueue_job(job)
    fail(store)
    assert job.get_status() == "failed"


def test_e13_suspending_for_a_time_is_one_step(redis_connection: redis.Redis) -> None:
    """RQ: a crash between SET and EXPIRE suspends everything for ever."""
    redis_connection.config_resetstat()
    suspend(redis_connection, ttl=100)
    stats = redis_connection.info("commandstats")
    assert (
        sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_set") if name in stats) <= 3
    )
    assert 0 < redis_connection.ttl("rq:suspended") <= 100


def test_e14_workers_of_queues_that_nobody_serves_any_more(redis_connection: redis.Redis) -> None:
    """RQ: a worker that died stays in the sets when no other has its queues. Here whoever reads the list clears it."""
    redis_connection.sadd("rq:workers", "rq:worker:dead")
    redis_connection.sadd("rq:workers:nobody", "rq:worker:dead")
    assert Worker.all(redis_connection) == []
    assert redis_connection.smembers("rq:workers") == set()


def test_e15_without_the_default_exception_handler(
    redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: the failed job is in no registry and never expires."""
    job = queue.enqueue(tasks.boom)
    SimpleWorker([queue], disable_default_exception_handler=True).work(burst=True)
    assert (job.get_status(), queue.failed_job_registry.get_job_ids()) == ("failed", [job.id])
    assert 0 < redis_connection.ttl(job.key) <= A_YEAR


def test_e16_dependants_do_not_expire_with_the_patience_of_their_parent(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: `ttl` of a parent also ends its set of dependants, before it has finished."""
    parent = queue.enqueue(tasks.nothing, ttl=100)
    child = queue.enqueue(tasks.nothing, depends_on=parent)
    taken = claimed(store)
    assert redis_connection.ttl(Job.dependents_key_for(parent.id)) == -1
    settled(store, taken, "finished")
    assert (child.get_status(), queue.job_ids) == ("queued", [child.id])
