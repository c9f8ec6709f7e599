"""B1 to B6: situations in which RQ leaves jobs waiting for ever, or for very long."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import rq
from tests import tasks
from tests.contract.driving import claimed, fail, settled
from tests.helpers import wait_until
from tests.interop import jobs as rq_jobs

from atomiq import Queue, SimpleWorker
from atomiq._wire.sync import Store
from atomiq.job import Dependency


@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_b2_an_end_and_what_it_frees_are_one_step(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], outcome: str
) -> None:
    """RQ: a crash between the failure and its dependants leaves them deferred. Here one command does both."""
    parent = queue.enqueue(tasks.nothing)
    child = queue.enqueue(tasks.nothing, depends_on=Dependency([parent], allow_failure=True))
    assert child.is_deferred
    job = claimed(store)
    redis_connection.config_resetstat()
    settled(store, job, outcome, exc_string="Boom" if outcome == "failed" else "")
    stats = redis_connection.info("commandstats")
    assert sum(stats[name]["calls"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats) <= 2
    assert "cmdstat_exec" not in stats
    assert (parent.get_status(), child.get_status()) == (outcome, "queued")


def test_b3_allow_failure_on_a_parent_that_has_failed_already(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: such a child waits for ever, as the installed one shows."""
    parent = queue.enqueue(tasks.nothing)
    fail(store)
    child = queue.enqueue(tasks.nothing, depends_on=Dependency([parent], allow_failure=True))
    assert (child.get_status(), queue.job_ids) == ("queued", [child.id])

    theirs = rq.Queue("theirs", connection=redis_connection)
    failed = rq.job.Job.fetch(parent.id, connection=redis_connection)
    stuck = theirs.enqueue(rq_jobs.nothing, depends_on=rq.job.Dependency([failed], allow_failure=True))
    assert stuck.get_status() == "deferred"  # the fault
    redis_connection.delete(
        *redis_connection.keys(f"rq:*{stuck.id}*"), "rq:deferred:theirs", f"{parent.key}:dependents"
    )
    redis_connection.srem("rq:queues", theirs.key)


@pytest.mark.parametrize("gone", ["deleted", "emptied", "expired", "canceled", "stopped"])
def test_b4_dependants_of_a_parent_that_will_never_finish(
    store: Store, redis_connection: redis.Redis, queue: Queue, gone: str
) -> None:
    """RQ: they stay deferred for ever, and nobody looks. Here the ones that need it are canceled when it is deleted or
    emptied away, the ones with allow_failure run; those of a canceled or stopped parent wait visibly, as the parent
    can be enqueued again, and then they run."""
    parent = queue.enqueue(tasks.nothing, ttl=100)
    needs = queue.enqueue(tasks.nothing, depends_on=parent)
    other = Queue("other", connection=redis_connection)
    copes = other.enqueue(tasks.nothing, depends_on=Dependency([parent], allow_failure=True))
    if gone == "deleted":
        parent.delete()
    elif gone == "emptied":
        queue.empty()
    elif gone == "expired":
        redis_connection.delete(parent.key)
        SimpleWorker([queue]).work(burst=True)
    elif gone == "canceled":
        parent.cancel()
    else:
        settled(store, claimed(store), "stopped", exc_string="stopped")
    if gone in ("canceled", "stopped"):
        assert {needs.get_status(), copes.get_status()} <= {"deferred", "queued"}
        queue.enqueue_job(parent)
        SimpleWorker([queue, other]).work(burst=True)
        assert (needs.get_status(), copes.get_status()) == ("finished", "finished")
    else:
        assert (needs.get_status(), copes.get_status()) == ("canceled", "queued")


def test_b5_what_is_due_needs_no_scheduler(
    redis_connection: redis.Redis, queue: Queue, start_worker: Callable[..., Any], sound: Callable[[], None]
) -> None:
    """RQ: after the death of the process that holds the scheduler's lock, delayed jobs wait a minute, or for ever.
    Here the worker that is left moves them, without any option."""
    first, second = start_worker(), start_worker()
    first.says("Listening")
    second.says("Listening")
    job = queue.enqueue_in(timedelta(seconds=1), tasks.add, 1)
    first.kill()
    wait_until(lambda: job.is_finished, 20, "the delayed job has run")
    assert job.return_value() == 1


def test_b6_a_cold_shutdown_gives_its_job_back(
    redis_connection: redis.Redis,
    queue: Queue,
    start_worker: Callable[..., Any],
    sound: Callable[[], None],
    tmp_path: Path,
) -> None:
    """RQ: the killed job says started until its deadline and the next maintenance. Here it is back in its queue when
    the worker has ended, and it does not count as an attempt."""
    job = queue.enqueue(tasks.note_and_wait, str(tmp_path / "in"), str(tmp_path / "gate"))
    worker = start_worker()
    wait_until((tmp_path / "in").exists, 20, "the job runs")
    worker.signal_until_gone(signal.SIGTERM, within=30)
    assert (job.get_status(), queue.job_ids) == ("queued", [job.id])
