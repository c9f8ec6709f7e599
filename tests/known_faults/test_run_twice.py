"""C1 to C14: situations in which RQ runs a job twice, or ends it in two ways."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
import rq
from tests import tasks
from tests.contract.driving import WORKER, claimed, finish, settled
from tests.faults.proxy import CuttingProxy
from tests.interop import jobs as rq_jobs
from tests.known_faults.test_lost import LEASE_MS, server_ms

from atomiq import Queue, Repeat, Retry, connect
from atomiq._commands.claim import claim
from atomiq._commands.enqueue import promote
from atomiq._commands.settle import Settlement, reap, settle
from atomiq._lua import script
from atomiq._wire.sync import Store
from atomiq.group import Group
from atomiq.job import Job

RUNS = 200


@pytest.mark.parametrize("repeat", [False, True], ids=["c1", "c13_repeating"])
def test_c1_dependants_that_are_registered_while_their_parent_ends(
    store: Store, redis_connection: redis.Redis, redis_url: str, queue: Queue, sound: Callable[[], None], repeat: bool
) -> None:
    """RQ: the repeated success step has forgotten its execution, and later the finished job is failed or run again; of
    a repeating one a repetition is lost. Here a parent ends while another thread registers dependants on it, many
    times."""
    kids: list[Job] = []
    link = redis.Redis.from_url(redis_url)
    waiting = Queue("kids", connection=link)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(RUNS):
            parent = queue.enqueue(tasks.nothing, repeat=Repeat(3, 1000) if repeat else None)
            job = claimed(store)
            kid = pool.submit(waiting.enqueue, tasks.nothing, depends_on=parent.id)
            settled(store, job, "finished")
            kids.append(kid.result())
            assert parent.get_status() == ("scheduled" if repeat else "finished")
            if repeat:
                assert Job.fetch(parent.id, connection=redis_connection).repeats_left == 2
    assert {kid.get_status() for kid in kids} <= {"queued", "deferred" if repeat else "queued"}
    assert redis_connection.exists("rq:wip:default") == 0
    link.close()


def test_c2_a_retry_with_an_interval_is_one_step(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: scheduled first, taken from the started ones later; a crash in between makes two pending copies."""
    job = queue.enqueue(tasks.nothing, retry=Retry(3, interval=60))
    taken = claimed(store)
    redis_connection.config_resetstat()
    settled(store, taken, "failed", exc_string="Boom", retry="auto")
    stats = redis_connection.info("commandstats")
    assert sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats) <= 2
    assert job.get_status() == "scheduled"
    assert Job.fetch(job.id, connection=redis_connection).retries_left == 2


def test_c3_many_processes_take_the_same_abandoned_jobs_back(
    store: Store, redis_connection: redis.Redis, redis_url: str, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: everybody who reads a registry also cleans it, without a lock: jobs come back twice."""
    made = [queue.enqueue(tasks.nothing).id for _ in range(50)]
    for _ in made:
        claimed(store)
    later = server_ms(redis_connection) + LEASE_MS + 1000

    def take_back(_: int) -> list[str]:
        link = redis.Redis.from_url(redis_url)
        own, found, more = Store.of(link), [], True
        while more:
            reaped = own.run(reap(own.keys, queue="default", limit=7, now_ms=later))
            found += reaped.requeued
            more = reaped.more
        link.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        found = [job_id for part in pool.map(take_back, range(4)) for job_id in part]
    assert sorted(found) == sorted(made)
    assert sorted(queue.job_ids) == sorted(made)


def test_c4_many_processes_move_what_is_due(
    redis_connection: redis.Redis, redis_url: str, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: a scheduler that was stopped for a minute goes on beside its successor, and jobs are enqueued twice. Here no
    one is the scheduler: anybody may move what is due, and it is moved once."""
    made = [queue.enqueue_in(timedelta(0), tasks.nothing).id for _ in range(200)]

    def move(_: int) -> None:
        link = redis.Redis.from_url(redis_url)
        own, more = Store.of(link), True
        while more:
            more = bool(own.run(promote(own.keys, queue="default", limit=7)).count)
        link.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(move, range(4)))
    assert sorted(queue.job_ids) == sorted(made)


@pytest.mark.parametrize("way", ["group", "pipeline"])
def test_c5_dependencies_inside_one_batch(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], way: str
) -> None:
    """RQ: with a pipeline, and in every group, the child runs before its parent, and once more after it; the installed
    one shows it."""
    batch = [
        Queue.prepare_data(tasks.nothing, job_id="parent"),
        Queue.prepare_data(tasks.nothing, job_id="kid", depends_on="parent"),
    ]
    if way == "group":
        Group.create(redis_connection, "g").enqueue_many(queue, batch)
    else:
        pipe = redis_connection.pipeline()
        queue.enqueue_many(batch, pipeline=pipe)
        pipe.execute()
    assert queue.job_ids == ["parent"]
    finish(store)
    assert queue.job_ids == ["kid"]
    finish(store)
    assert queue.job_ids == []


def test_c5_installed_rq(redis_connection: redis.Redis) -> None:
    theirs = rq.Queue("theirs", connection=redis_connection)
    batch = [
        rq.Queue.prepare_data(rq_jobs.nothing, job_id="rq-parent"),
        rq.Queue.prepare_data(rq_jobs.nothing, job_id="rq-kid", depends_on="rq-parent"),
    ]
    rq.group.Group.create(redis_connection, "rq-group").enqueue_many(theirs, batch)
    assert theirs.job_ids == ["rq-parent", "rq-kid"]  # the fault


@pytest.mark.parametrize("how", ["retried", "repeated"])
def test_c6_a_child_that_dies_right_after_its_job_has_ended(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], how: str
) -> None:
    """RQ: the worker sees a dead child and a job that is queued again, and fails it on top. Here what the supervisor
    says of an execution that has ended is refused."""
    options = {"retry": Retry(3)} if how == "retried" else {"repeat": Repeat(3)}
    job = queue.enqueue(tasks.nothing, **options)
    taken = claimed(store)
    outcome = "failed" if how == "retried" else "finished"
    settled(store, taken, outcome, exc_string="" if how == "repeated" else "Boom", retry="auto")
    assert (job.get_status(), queue.job_ids) == ("queued", [job.id])
    ended = server_ms(redis_connection)
    death = Settlement(
        job.id, "default", taken.execution_id, WORKER, "failed", exc_string="died", started_ms=ended, ended_ms=ended
    )
    before = redis_connection.hgetall(job.key)
    assert store.run(settle(store.keys, settlement=death)).word != "ok"
    assert (queue.job_ids, redis_connection.hgetall(job.key)) == ([job.id], before)


@pytest.mark.parametrize("unique", [False, True])
def test_c7_the_reply_to_an_enqueue_is_lost(
    server_url: str, redis_url: str, queue: Queue, sound: Callable[[], None], tmp_path: Path, unique: bool
) -> None:
    """RQ: the client repeats the transaction: the id is in the queue twice, or a unique job is called a duplicate of
    itself."""
    proxy = CuttingProxy(server_url.removeprefix("unix://").partition("?")[0], str(tmp_path / "p"))
    try:
        link = connect(f"unix://{proxy.path}?{redis_url.rpartition('?')[2]}")
        through = Queue("default", connection=link)
        through.enqueue(tasks.nothing, job_id="warm")
        proxy.cut(b"the-one")
        job = through.enqueue(tasks.nothing, job_id="the-one", unique=unique)
        link.close()
    finally:
        proxy.close()
    assert proxy.cuts == 1
    assert queue.job_ids == ["warm", job.id]


def test_c8_a_child_whose_parent_had_finished_before(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: such a child of a batch stays among the parent's dependants: when the parent runs again, so does
    the child."""
    parent = queue.enqueue(tasks.nothing)
    finish(store)
    (child,) = queue.enqueue_many([Queue.prepare_data(tasks.nothing, depends_on=parent)])
    finish(store)
    assert child.get_status() == "finished"
    assert redis_connection.exists(Job.dependents_key_for(parent.id)) == 0
    queue.enqueue_job(parent)
    finish(store)
    assert (child.get_status(), queue.job_ids) == ("finished", [])


def test_c10_the_reply_to_an_end_is_lost(
    server_url: str, redis_url: str, store: Store, queue: Queue, sound: Callable[[], None], tmp_path: Path
) -> None:
    """RQ: a finished job enters the failure path when the answer to its last step is lost: finished and failed."""
    job = queue.enqueue(tasks.nothing, retry=Retry(3))
    taken = claimed(store)
    proxy = CuttingProxy(server_url.removeprefix("unix://").partition("?")[0], str(tmp_path / "p"))
    try:
        link = connect(f"unix://{proxy.path}?{redis_url.rpartition('?')[2]}")
        link.script_load(script("finish").body)  # or the lost reply may be that the server doesn't know it
        proxy.cut(taken.execution_id.encode())
        ended = server_ms(link)
        end = Settlement(job.id, "default", taken.execution_id, WORKER, "finished", started_ms=ended, ended_ms=ended)
        through = Store.of(link)
        word = through.run(settle(through.keys, settlement=replace(end, result=pickle.dumps(7)))).word
        link.close()
    finally:
        proxy.close()
    assert (proxy.cuts, word) == (1, "already")
    assert [result.return_value for result in job.results()] == [7]
    assert (job.get_status(), queue.failed_job_registry.count, queue.finished_job_registry.count) == ("finished", 0, 1)


@pytest.mark.parametrize("what", ["cancel", "delete"])
def test_c12_a_job_that_is_canceled_or_deleted_while_it_runs(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], what: str
) -> None:
    """RQ: it ends up canceled and finished, or its hash is made anew. Here its end is refused."""
    job = queue.enqueue(tasks.nothing)
    taken = claimed(store)
    getattr(job, what)()
    ended = server_ms(redis_connection)
    end = Settlement(job.id, "default", taken.execution_id, WORKER, "finished", started_ms=ended, ended_ms=ended)
    assert store.run(settle(store.keys, settlement=end)).word != "ok"
    assert queue.finished_job_registry.count == 0
    if what == "cancel":
        assert (job.get_status(), queue.canceled_job_registry.get_job_ids()) == ("canceled", [job.id])
    else:
        assert redis_connection.keys(f"*{job.id}*") == []


def test_c12_a_job_that_is_canceled_before_it_is_taken(store: Store, queue: Queue, sound: Callable[[], None]) -> None:
    """RQ: a worker never looks at the status. Here no claim finds it."""
    queue.enqueue(tasks.nothing).cancel()
    taken = store.run(claim(store.keys, queues=["default"], worker=WORKER, executions=["e"], lease_ms=LEASE_MS))
    assert taken.jobs == []


def test_c14_a_worker_that_was_frozen_longer_than_its_lease(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: both runs record a success; the late one overwrites. Here the one that has lost its lease is refused."""
    job = queue.enqueue(tasks.nothing)
    frozen = claimed(store)
    assert store.run(
        reap(store.keys, queue="default", now_ms=server_ms(redis_connection) + LEASE_MS + 1000)
    ).requeued == [job.id]
    second = claimed(store)
    ended = server_ms(redis_connection)
    late = Settlement(job.id, "default", frozen.execution_id, WORKER, "finished", started_ms=ended, ended_ms=ended)
    assert store.run(settle(store.keys, settlement=late)).word == "not_yours"
    assert job.get_status() == "started"
    settled(store, second, "finished", result=pickle.dumps("second"))
    assert [result.return_value for result in job.results()] == ["second"]
