"""A queue as an operator meets it: a job in every state, and a worker."""

from __future__ import annotations

from datetime import timedelta

import redis
from tests.contract.driving import claimed, fail, finish
from tests.helpers import wait_until
from tests.tools.programs import STARTS_WITHIN, Programs

from atomiq import Queue
from atomiq._wire.sync import Store


def one_of_each(connection: redis.Redis, name: str = "mail", prefix: str = "") -> Queue:
    """A queue with jobs whose ids are their states, with a prefix: two queued, two failed, one of each other kind."""
    store = Store.of(connection)
    queue = Queue(name, connection=connection)
    for job_id in ("finished", "failed", "failed2", "started"):
        queue.enqueue("tool_jobs.add", 1, 2, job_id=prefix + job_id)
    finish(store, 3, name)
    fail(store, "Traceback (most recent call last):\nValueError: Boom\n", name)
    fail(store, "Traceback (most recent call last):\nValueError: Boom\n", name)
    claimed(store, name, lease_ms=600_000)
    queue.enqueue_in(timedelta(hours=1), "tool_jobs.add", 1, 2, job_id=f"{prefix}scheduled")
    queue.enqueue("tool_jobs.add", 1, 2, job_id=f"{prefix}deferred", depends_on=f"{prefix}started")
    queue.enqueue("tool_jobs.add", 1, 2, job_id=f"{prefix}canceled").cancel()
    for job_id in ("queued", "queued2"):
        queue.enqueue("tool_jobs.add", 1, 2, job_id=prefix + job_id)
    return queue


def idle_worker(programs: Programs, connection: redis.Redis, name: str, queue: str = "other") -> None:
    """A worker of this name that listens."""
    programs.start("rqworker", "--name", name, queue)
    wait_until(lambda: connection.exists(f"rq:worker:{name}"), within=STARTS_WITHIN, what=f"worker {name} is born")
