"""No false alarm beside real workers, ours and RQ's; and what RQ leaves behind for real."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import redis
import rq
from tests.doctor import busy_jobs
from tests.doctor.world import named
from tests.helpers import end_group, wait_until
from tests.interop import theirs

from atomiq import Job, Queue, Retry
from atomiq.doctor import examine, repair

QUEUES = ("one", "two")


@contextmanager
def fleet(url: str, *command: str, workers: int = 2) -> Iterator[None]:
    """Worker processes, until the block is left."""
    path = os.pathsep.join([str(theirs.ROOT), str(theirs.ROOT / "src")])
    processes = [
        subprocess.Popen(
            [*command, *QUEUES],
            cwd=theirs.ROOT,
            env={**os.environ, "PYTHONPATH": path, "ATOMIQ_URL": url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(workers)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
            end_group(process.pid)


def work_for(connection: redis.Redis, dice: random.Random, rounds: int) -> None:
    """A mixture of everything that moves."""
    queues = [Queue(name, connection=connection) for name in QUEUES]
    for number in range(rounds):
        queue = dice.choice(queues)
        parents = queue.enqueue_many([Queue.prepare_data(busy_jobs.add, (number, each)) for each in range(20)])
        queue.enqueue_many(
            [Queue.prepare_data(busy_jobs.fail_at_first, (each,), retry=Retry(3, [0, 1])) for each in range(5)]
        )
        for parent in dice.sample(parents, 5):
            dice.choice(queues).enqueue(busy_jobs.add, 1, 2, depends_on=[parent, dice.choice(parents)])
        queue.enqueue_in(timedelta(seconds=dice.choice([1, 2])), busy_jobs.add, 1, 2)
        queue.enqueue(busy_jobs.add, 1, 2, result_ttl=dice.choice([0, 1, 500]))


def test_no_false_alarm_beside_our_fleet(redis_url: str, redis_connection: redis.Redis) -> None:
    """Claims, retries, delays and dependencies go on while the doctor looks, ten times."""
    dice, alarms = random.Random(4), []
    work_for(redis_connection, dice, 20)
    with fleet(redis_url, sys.executable, "-m", "atomiq", "worker", "--quiet", "-c", "2"):
        wait_until(lambda: redis_connection.zcard("rq:finished:one") > 20, 30, "the fleet works")
        for _ in range(10):
            work_for(redis_connection, dice, 10)
            alarms += examine(redis_connection, grace=1).faults
        wait_until(lambda: not redis_connection.exists("rq:queue:one", "rq:queue:two"), 60, "all is drained")
    assert alarms == []
    assert examine(redis_connection, grace=1).faults == []


def test_no_false_alarm_beside_theirs(redis_url: str, redis_connection: redis.Redis) -> None:
    """RQ's workers take a job first and say so a moment later; with a grace that is none of our business."""
    queue = rq.Queue("one", connection=redis_connection)
    for number in range(40):
        queue.enqueue(busy_jobs.add, number, 1)
    with fleet(redis_url, theirs.RQ, "worker", "-u", redis_url, "--quiet"):
        wait_until(lambda: redis_connection.zcard("rq:finished:one") > 2, 60, "RQ's workers work")
        alarms = [finding for _ in range(3) for finding in examine(redis_connection, grace=5).faults]
    assert alarms == []


def test_what_rq_leaves_behind(redis_connection: redis.Redis) -> None:
    """E1 (results for ever), E2 (canceled for ever), B4 (a child of a deleted job), A1 (popped and forgotten)."""
    queue = rq.Queue("default", connection=redis_connection)
    failing = queue.enqueue(busy_jobs.fail)
    theirs.run_simple(redis_connection)
    canceled = queue.enqueue(busy_jobs.add, 1, 2)
    canceled.cancel()
    parent = queue.enqueue(busy_jobs.add, 1, 2)
    child = queue.enqueue(busy_jobs.add, 1, 2, depends_on=parent)
    parent.delete()
    lost = queue.enqueue(busy_jobs.add, 1, 2)
    assert redis_connection.lpop(queue.key) == lost.id.encode()
    report = examine(redis_connection, grace=0)
    assert named(report.faults) == {
        ("results_no_ttl", failing.id),
        ("no_ttl", canceled.id),
        ("deferred_for_ever", child.id),
        ("orphan", lost.id),
    }
    assert {done.outcome for done in repair(redis_connection, report, dry_run=False)} == {"mended"}
    assert examine(redis_connection, grace=0).findings == []
    assert Job.fetch(child.id, connection=redis_connection).is_canceled
    theirs.run_simple(redis_connection)
    assert Job.fetch(lost.id, connection=redis_connection).return_value() == 3


@pytest.mark.parametrize("killed", ["theirs", "ours"])
def test_a_killed_worker(redis_url: str, redis_connection: redis.Redis, killed: str) -> None:
    """SIGKILL to a whole worker: its lease is over a while later, its name stays; both are mended and the job runs."""
    queue = Queue("one", connection=redis_connection)
    job = queue.enqueue(busy_jobs.add, 1, 2)
    execution, worker = "e" * 32, "gone"
    redis_connection.lpop(queue.key)
    redis_connection.hset(job.key, mapping={"status": "started", "worker_name": worker})
    if killed == "ours":
        redis_connection.hset(job.key, "execution", execution)
        redis_connection.hset(f"rq:atomiq:executions:{worker}", execution, job.id)
        redis_connection.expire(f"rq:atomiq:executions:{worker}", 90)
    redis_connection.zadd("rq:wip:one", {f"{job.id}:{execution}": redis_connection.time()[0] - 1000})
    redis_connection.sadd("rq:workers", f"rq:worker:{worker}")
    redis_connection.sadd("rq:workers:one", f"rq:worker:{worker}")
    report = examine(redis_connection, grace=0)
    assert named(report.findings) == {("lease_over", job.id), ("worker_dead", worker)}
    assert {done.outcome for done in repair(redis_connection, report, dry_run=False)} == {"mended"}
    assert not {finding.severity for finding in examine(redis_connection, grace=0).findings} & {"fault"}
    assert job.get_status(refresh=True) == "queued"
