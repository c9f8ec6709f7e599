"""RQ's upkeep on our live data does no harm, and the other way round."""

from __future__ import annotations

import operator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import redis
import rq
import rq.registry
from tests.contract.driving import claimed, settled
from tests.helpers import wait_until
from tests.interop import jobs, theirs
from tests.interop.test_they_read_ours import STATUSES, one_of_each

from atomiq import Job, Queue
from atomiq._wire.sync import Store
from atomiq.registry import clean_registries


def everything(connection: redis.Redis) -> dict[bytes, object]:
    """All keys with what they hold."""
    read = {
        b"string": connection.get,
        b"list": lambda key: connection.lrange(key, 0, -1),
        b"set": connection.smembers,
        b"zset": lambda key: connection.zrange(key, 0, -1, withscores=True),
        b"hash": connection.hgetall,
        b"stream": connection.xrange,
    }
    return {key: read[connection.type(key)](key) for key in sorted(connection.scan_iter())}


def test_clean_registries_of_rq_changes_nothing_of_ours(store: Store) -> None:
    one_of_each(store)
    before = everything(store.connection)
    rq.registry.clean_registries(rq.Queue(connection=store.connection))
    rq.group.Group.clean_registries(store.connection)
    assert everything(store.connection) == before


def test_counting_by_rq_changes_nothing_of_ours(store: Store) -> None:
    """RQ's counts run its cleanup; a dashboard of RQ's must not fail a job that our worker runs."""
    one_of_each(store)
    before = everything(store.connection)
    queue = rq.Queue(connection=store.connection)
    for name in ("started", "finished", "failed", "deferred", "scheduled", "canceled"):
        registry = getattr(queue, f"{name}_job_registry")
        assert len(registry) == registry.count > 0
        registry.get_job_ids()
    assert everything(store.connection) == before


def test_a_worker_of_rqs_beside_ours_leaves_our_running_job_alone(store: Store, redis_url: str) -> None:
    """It starts, does its maintenance, runs what waits, and ends; the job that we run is still ours to settle."""
    queue = Queue(connection=store.connection)
    running = queue.enqueue(operator.add, 1, 2)
    taken = claimed(store)
    waiting = queue.enqueue(jobs.add, 1, 2)
    theirs.run_forking(redis_url)
    assert waiting.is_finished
    assert running.is_started
    settled(store, taken, "finished")
    assert running.is_finished
    assert sorted(queue.finished_job_registry.get_job_ids()) == sorted([running.id, waiting.id])
    assert queue.started_job_registry.count == 0


def test_our_upkeep_leaves_rqs_running_job_alone(store: Store, redis_url: str, tmp_path: Path) -> None:
    """RQ's worker runs a job; our clean_registries, counts and lists look on."""
    ready = tmp_path / "ready"
    their_queue = rq.Queue(connection=store.connection)
    job = their_queue.enqueue(jobs.wait_for, str(ready))
    worker = Thread(target=theirs.run_forking, args=(redis_url,))
    worker.start()
    try:
        queue = Queue(connection=store.connection)
        wait_until(lambda: job.get_status() == "started", what="RQ's worker runs the job")
        clean_registries(queue)
        assert queue.started_job_registry.get_job_ids() == [job.id]
        assert queue.started_job_registry.count == 1
        assert [one.worker_name for one in Job.fetch(job.id, connection=store.connection).get_executions()] != [""]
    finally:
        ready.write_text("done")
        worker.join(30)
    assert job.return_value(refresh=True) == "done"
    assert queue.started_job_registry.count == 0


def test_rq_info_by_worker_shows_nothing_broken(store: Store, redis_url: str) -> None:
    """`rq info` on a server where only atomiq has been."""
    one_of_each(store)
    assert "0 workers" in theirs.run_command(redis_url, "info")


def test_deferred_and_scheduled_jobs_of_ours_survive_their_maintenance(store: Store) -> None:
    queue = one_of_each(store)
    later = queue.enqueue_in(timedelta(hours=2), operator.add, 1, 2)
    theirs.run_simple(store.connection, scheduler=True)
    assert later.is_scheduled
    still = [status for status in STATUSES if status != "queued"]
    assert [Job.fetch(status, connection=store.connection).get_status() for status in still] == still
