"""RQ 2.12's own cron tools read what atomiq writes, and the other way round. RQ is run, never looked into."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import redis
from rq import cron as rq_cron
from rq import cron_job_registry as rq_jobs
from rq import cron_scheduler_registry as rq_schedulers
from rq.job import Job
from tests import tasks
from tests.interop import theirs

from atomiq import cron_job_registry
from atomiq.cron import CronScheduler, get_cron_job_ids


@pytest.fixture
def ours(redis_connection: redis.Redis) -> CronScheduler:
    """Ours has been born and has enqueued a job of `sums`."""
    scheduler = CronScheduler(redis_connection, logging.ERROR, "ours")
    scheduler.config_file = "conf.py"
    scheduler.register(tasks.add, "q", args=(1,), kwargs={"y": 2}, interval=60, name="sums", meta={"a": 1})
    scheduler.register(
        tasks.echo, "q", (object,), cron="30 2 * * *", name="nights", timezone="Europe/Berlin", jitter=5,
        missed="all", overlap="skip",
    )  # fmt: skip
    scheduler.register_birth()
    scheduler.enqueue_jobs()
    scheduler.save()
    return scheduler


@pytest.fixture
def their_scheduler(redis_connection: redis.Redis) -> Any:
    """RQ's has been born and has enqueued a job of `tests.tasks.add`."""
    scheduler = rq_cron.CronScheduler(redis_connection, logging.ERROR, "theirs")
    scheduler.register(tasks.add, "q", args=(1,), kwargs={"y": 2}, interval=60, job_timeout=5)
    scheduler.register(tasks.echo, "q", (1,), cron="*/5 * * * *", name="five")
    scheduler.register_birth()
    scheduler.enqueue_jobs()
    scheduler.save()
    return scheduler


def test_they_list_our_scheduler(redis_connection: redis.Redis, ours: CronScheduler) -> None:
    (seen,) = rq_cron.CronScheduler.all(redis_connection)
    assert (seen.name, seen.hostname, seen.pid, seen.config_file, seen.created_at) == (
        "ours", ours.hostname, ours.pid, "conf.py", ours.created_at,
    )  # fmt: skip
    assert seen.last_heartbeat == ours.last_heartbeat
    assert rq_schedulers.get_keys(redis_connection) == ["ours"]
    shown = {job.name: job for job in seen.get_jobs()}
    sums, nights = (next(job for job in ours.get_jobs() if job.name == name) for name in ("sums", "nights"))
    assert shown["sums"].to_dict() == sums.to_dict()
    assert shown["sums"].latest_enqueue_time == sums.latest_enqueue_time
    assert (shown["nights"].cron, shown["nights"].next_enqueue_time) == ("30 2 * * *", nights.next_enqueue_time)


def test_they_read_our_history(redis_connection: redis.Redis, ours: CronScheduler) -> None:
    assert rq_jobs.get_names(redis_connection) == ["sums"]
    (job_id,) = rq_cron.get_cron_job_ids("sums", redis_connection)
    (seen,) = rq_cron.CronScheduler.all(redis_connection)
    assert seen.get_jobs()[0].get_job_ids(redis_connection) == [job_id]
    job = Job.fetch(job_id, connection=redis_connection)
    assert (job.func_name, job.args, job.kwargs, job.get_status(), job.meta) == (
        "tests.tasks.add", (1,), {"y": 2}, "queued", {"a": 1},
    )  # fmt: skip


def test_their_worker_runs_it(redis_connection: redis.Redis, ours: CronScheduler) -> None:
    theirs.run_simple(redis_connection, "q")
    (job_id,) = rq_cron.get_cron_job_ids("sums", redis_connection)
    assert Job.fetch(job_id, connection=redis_connection).return_value() == 3


def test_we_list_their_scheduler(redis_connection: redis.Redis, their_scheduler: Any) -> None:
    (seen,) = CronScheduler.all(redis_connection)
    assert (seen.name, seen.pid, seen.created_at) == ("theirs", their_scheduler.pid, their_scheduler.created_at)
    assert [job.to_dict() for job in seen.get_jobs()] == [job.to_dict() for job in their_scheduler.get_jobs()]


def test_we_read_their_history(redis_connection: redis.Redis, their_scheduler: Any) -> None:
    name = "tests.tasks.add"
    assert cron_job_registry.get_names(redis_connection) == [name]
    assert get_cron_job_ids(name, redis_connection) == rq_cron.get_cron_job_ids(name, redis_connection)


def test_same_text_of_an_entry(redis_connection: redis.Redis) -> None:
    given: dict[str, Any] = {"args": (1,), "kwargs": {"y": object()}, "interval": 60, "ttl": 5, "job_timeout": "1h"}
    ours = CronScheduler(redis_connection, logging.ERROR).register(tasks.add, "q", args=(1,), interval=60, ttl=5,
                                                                   job_timeout="1h")  # fmt: skip
    rqs = rq_cron.CronJob("q", func=tasks.add, **{**given, "kwargs": None})
    assert ours.to_dict() == rqs.to_dict()
    assert list(ours.to_dict()) == list(rqs.to_dict())


def test_what_rq_gets_wrong_with_two_schedulers(redis_connection: redis.Redis) -> None:
    """C9: each tick of RQ's is doubled by a second process, and again by each restart."""
    for _ in range(3):
        scheduler = rq_cron.CronScheduler(redis_connection, logging.ERROR)
        scheduler.register(tasks.add, "q", args=(1,), interval=3600)
        scheduler.enqueue_jobs()
    assert len(rq_cron.get_cron_job_ids("tests.tasks.add", redis_connection)) == 3
    redis_connection.flushdb()
    for _ in range(3):
        ours = CronScheduler(redis_connection, logging.ERROR)
        ours.register(tasks.add, "q", args=(1,), interval=3600)
        ours.enqueue_jobs()
    assert len(get_cron_job_ids("tests.tasks.add", redis_connection)) == 1
