"""RQ's worker and a Retry with a back-off: it keeps to the delays, in whole seconds rounded up."""

from __future__ import annotations

import time

import redis
from tests.interop import jobs, theirs

from atomiq import Queue, Retry
from atomiq.backoff import Fibonacci


def test_rqs_worker_waits_as_long(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.boom, retry=Retry(3, backoff=Fibonacci(20.4), on=KeyError))
    delays = []
    for _ in range(3):
        before = time.time()
        theirs.run_simple(redis_connection)
        due = redis_connection.zscore("rq:scheduled:default", job.id)
        assert due is not None, f"the job is {job.get_status()}"
        delays.append((due - time.time(), due - before))
        redis_connection.zrem("rq:scheduled:default", job.id)
        redis_connection.hset(job.key, "status", "queued")
        redis_connection.rpush("rq:queue:default", job.id)
    for (least, most), seconds in zip(delays, (21, 21, 41), strict=True):
        assert least <= seconds <= most + 1, "RQ's clock has whole seconds"
    assert job.retry_ms == [20_400, 20_400, 40_800]
    theirs.run_simple(redis_connection)
    assert job.is_failed


def test_rqs_worker_runs_a_job_that_requires_something_at_once(redis_connection: redis.Redis) -> None:
    """It doesn't know of it; nor is it disturbed."""
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(jobs.add, 1, 2, requires="tests.contract.requires_checks:answer")
    theirs.run_simple(redis_connection)
    assert job.return_value() == 3
