"""RQ's scheduler and ours on the same keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
import rq
import rq.scheduler
from tests.interop import jobs

from atomiq import Queue
from atomiq.scheduler import RQScheduler

KINDS: list[tuple[Any, Any]] = [(rq.scheduler.RQScheduler, RQScheduler), (RQScheduler, rq.scheduler.RQScheduler)]


@pytest.mark.parametrize(("first", "second"), KINDS, ids=["theirs first", "ours first"])
def test_a_lock_has_one_owner(redis_connection: redis.Redis, first: Any, second: Any) -> None:
    owner = first(["default"], redis_connection, name="owner")
    rival = second(["default", "more"], redis_connection, name="rival")
    assert owner.acquire_locks() == {"default"}
    assert rival.acquire_locks() == {"more"}
    rival.release_locks()
    assert redis_connection.get("rq:scheduler-lock:default") == b"owner"
    owner.release_locks()
    assert rival.acquire_locks() == {"default", "more"}
    rival.release_locks()


@pytest.mark.parametrize(("first", "second"), KINDS, ids=["theirs read by ours", "ours read by theirs"])
def test_each_reads_the_other(redis_connection: redis.Redis, first: Any, second: Any) -> None:
    written = first(["default"], redis_connection, name="w")
    written.acquire_locks()
    written.register_birth()
    found = second.fetch("w", redis_connection)
    assert (found.name, found.hostname, found.pid) == ("w", written.hostname, written.pid)
    assert found.last_heartbeat == written.last_heartbeat
    for queue in (rq.Queue("default", connection=redis_connection), Queue("default", connection=redis_connection)):
        assert queue.scheduler_pid == written.pid
    assert redis_connection.hkeys("rq:scheduler:w") == [
        *(b"name", b"hostname", b"pid", b"queues"),
        *(b"created_at", b"last_heartbeat"),
    ]
    written.release_locks()
    written.register_death()


@pytest.mark.parametrize("kind", [rq.scheduler.RQScheduler, RQScheduler], ids=["theirs", "ours"])
def test_either_moves_what_either_has_scheduled(redis_connection: redis.Redis, kind: Any) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    made = [
        queue.enqueue_at(later, jobs.add, 1, 2).id
        for queue in (rq.Queue("default", connection=redis_connection), Queue("default", connection=redis_connection))
    ]
    past = datetime.now(UTC) - timedelta(minutes=1)
    redis_connection.zadd("rq:scheduled:default", dict.fromkeys(made, int(past.timestamp())))
    scheduler = kind(["default"], redis_connection)
    scheduler.acquire_locks()
    scheduler.enqueue_scheduled_jobs()
    scheduler.release_locks()
    assert sorted(Queue("default", connection=redis_connection).job_ids) == sorted(made)
