"""`atomiq requeue`, `empty`, `suspend` and `resume`."""

from __future__ import annotations

import time

import pytest
import redis
from tests import tasks
from tests.cli.conftest import Atomiq

from atomiq import Queue
from atomiq._wire.sync import Store
from atomiq.cli import manage
from atomiq.exceptions import InvalidJobOperation
from atomiq.suspension import is_suspended
from atomiq.worker import SimpleWorker


@pytest.fixture
def failed(redis_connection: redis.Redis) -> Queue:
    """A queue with the failed jobs f1, f2, f3."""
    queue = Queue(connection=redis_connection)
    for name in ("f1", "f2", "f3"):
        queue.enqueue(tasks.boom, job_id=name)
    SimpleWorker([queue], connection=redis_connection).work(burst=True, logging_level="CRITICAL")
    assert len(queue.failed_job_registry) == 3
    return queue


def test_requeue_some(atomiq: Atomiq, failed: Queue) -> None:
    done = atomiq("requeue", "--queue", "default", "f1", "f3")
    assert (done.exit_code, done.output) == (0, "Requeueing 2 jobs from failed queue\n\n")
    assert sorted(failed.job_ids) == ["f1", "f3"]
    assert failed.failed_job_registry.get_job_ids() == ["f2"]


def test_requeue_all(atomiq: Atomiq, failed: Queue) -> None:
    assert atomiq("requeue", "--queue", "default", "--all").output == "Requeueing 3 jobs from failed queue\n\n"
    assert failed.count == 3


def test_requeue_all_is_one_command_a_job(atomiq: Atomiq, failed: Queue) -> None:
    """It fetched each job as well, and did nothing while it waited for either answer: an hour for a million jobs."""
    failed.connection.config_resetstat()
    assert atomiq("requeue", "--queue", "default", "--all").exit_code == 0
    sent = failed.connection.info("commandstats")
    assert sent["cmdstat_evalsha"]["calls"] == 1 + 3, "what there is, and each job"
    assert "cmdstat_hgetall" not in sent
    assert failed.count == 3


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_ids_of_a_registry_come_in_pages(
    redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    """`requeue --all` read them all in one reply and kept them: 130 ms of the server and 45 MB for 265,000.

    Whatever leaves or comes between two pages, each that stays is seen once: also where more than a page of them have
    the same score, as jobs that fail within one second do, and all were refused.
    """
    monkeypatch.setattr(manage, "PAGE", 3)
    ids = [f"j{number:02}" for number in range(20)]
    redis_connection.zadd("failed", {"for-ever": -1, **dict.fromkeys(ids, 1e10), "last": 2e10})
    pool = redis_connection.connection_pool
    settings = {**pool.connection_kwargs, "protocol": protocol}
    other = redis.Redis.from_pool(redis.ConnectionPool(connection_class=pool.connection_class, **settings))
    pages = manage._pages(Store.of(other), "failed")
    assert next(pages) == ["for-ever", "j00", "j01"]
    redis_connection.zrem("failed", "for-ever", "j00", "j02")
    redis_connection.zadd("failed", {"behind": 1, "ahead": 1.5e10, "failed-since": 3e10})
    rest = list(pages)
    assert [job_id for page in rest for job_id in page] == [*ids[3:], "ahead", "last"]
    assert max(map(len, rest)) <= 3
    other.close()


def test_requeue_all_takes_no_job_twice(redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that fails again meanwhile may come to stand among those that are still to be requeued: when these are
    kept for longer than it."""
    monkeypatch.setattr(manage, "PAGE", 1)
    queue = Queue(connection=redis_connection)
    for name, ttl in (("short", 100), ("shorter", 90), ("long", 1000)):
        queue.enqueue(tasks.boom, job_id=name, failure_ttl=ttl)
    worker = SimpleWorker([queue], connection=redis_connection)
    worker.work(burst=True, logging_level="CRITICAL")
    steps = manage._all_requeued(queue.failed_job_registry)
    assert next(steps) is None
    worker.work(burst=True, logging_level="CRITICAL")
    redis_connection.zadd("rq:failed:default", {"shorter": time.time() + 300})
    said = list(steps)
    assert [type(each) for each in said] == [type(None), InvalidJobOperation, type(None)]
    assert queue.failed_job_registry.get_job_ids() == ["shorter"]


def test_requeue_all_takes_what_somebody_enqueued_whose_clock_is_ahead(atomiq: Atomiq, failed: Queue) -> None:
    failed.connection.hset("rq:job:f2", "enqueued_at", "2999-01-01T00:00:00.000000Z")
    assert atomiq("requeue", "--queue", "default", "--all").exit_code == 0
    assert failed.count == 3


def test_requeue_goes_on_after_a_refusal(atomiq: Atomiq, failed: Queue) -> None:
    failed.enqueue(tasks.nothing, job_id="fine")
    done = atomiq("requeue", "--queue", "default", "missing", "fine", "f2")
    assert done.exit_code == 1
    assert "missing" in done.output
    assert "fine" in done.output
    assert "Error: Unable to requeue 2 jobs from failed job registry" in done.output
    assert sorted(failed.job_ids) == ["f2", "fine"]


def test_requeue_all_goes_on_after_an_id_of_old(atomiq: Atomiq, failed: Queue) -> None:
    """RQ once took any text for an id. `requeue --all` ended at the first of these, and left all behind it."""
    failed.connection.hset("rq:job:a.b", mapping={"data": b"x", "status": "failed", "origin": "default"})
    failed.connection.zadd("rq:failed:default", {"a.b": 1e10 - 1e9})
    failed.connection.zadd("rq:failed:default", {"f3": 1e10})
    done = atomiq("requeue", "--queue", "default", "--all")
    assert done.exit_code == 1
    assert "'a.b'" in done.output
    assert "Error: Unable to requeue 1 jobs from failed job registry" in done.output
    assert sorted(failed.job_ids) == ["f1", "f2", "f3"]


def test_requeue_nothing(atomiq: Atomiq) -> None:
    assert atomiq("requeue", "--queue", "default").output == "Nothing to do\n"
    assert atomiq("requeue", "--queue", "default", "-a").output == "Nothing to do\n"


def test_requeue_needs_a_queue(atomiq: Atomiq) -> None:
    done = atomiq("requeue", "f1")
    assert done.exit_code == 2
    assert "Missing option '--queue'" in done.output


def test_empty(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    for name, count in (("a", 2), ("b", 1)):
        for _ in range(count):
            Queue(name, connection=redis_connection).enqueue(tasks.nothing)
    assert atomiq("empty").output == "Nothing to do\n"
    assert atomiq("empty", "a").output == "2 jobs removed from a queue\n"
    assert atomiq("empty", "--all").output == "0 jobs removed from a queue\n1 jobs removed from b queue\n"


def test_suspend_and_resume(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    done = atomiq("suspend")
    assert done.output == "Suspending workers.  No new jobs will be started.  But current jobs will be completed\n"
    assert is_suspended(redis_connection)
    assert redis_connection.ttl("rq:suspended") == -1
    assert atomiq("resume").output == "Resuming workers.\n"
    assert not is_suspended(redis_connection)
    assert atomiq("resume").exit_code == 0


def test_suspend_for_a_while(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    text = "Suspending workers for 100 seconds. No new jobs will be started during that time, but then will\n"
    assert atomiq("suspend", "--duration", "100").output == f"{text}        automatically resume\n"
    assert 98 <= redis_connection.ttl("rq:suspended") <= 100


def test_suspend_for_no_time(atomiq: Atomiq) -> None:
    done = atomiq("suspend", "--duration", "0")
    assert (done.exit_code, done.output) == (1, "Duration must be an integer greater than 1\n")


def test_suspend_for_longer_than_a_server_can_count(atomiq: Atomiq) -> None:
    done = atomiq("suspend", "--duration", f"{10**17}")
    assert done.exit_code == 1
    assert "a suspension lasts at most 31536000000 seconds" in done.output
