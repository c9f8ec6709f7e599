"""Entries as the server knows them: listed, run by hand, paused."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import redis
from tests import tasks

from atomiq import Queue, SimpleWorker
from atomiq.cron import CronEntry, CronScheduler, get_entries, pause_entry, resume_entry, run_entry
from atomiq.cron.entries import history_of
from atomiq.exceptions import NoSuchCronEntry


@pytest.fixture
def scheduler(redis_connection: redis.Redis) -> CronScheduler:
    """It has looked after `sums` and `nights` once."""
    scheduler = CronScheduler(redis_connection, logging.ERROR, "S")
    scheduler.register(tasks.add, "q", args=(1, 2), interval=3600, name="sums", ttl=100, meta={"a": 1})
    scheduler.register(tasks.echo, "q", ("x",), cron="30 2 * * *", timezone="Europe/Berlin", name="nights", jitter=60)
    scheduler.enqueue_jobs()
    return scheduler


def listed(connection: Any) -> dict[str, CronEntry]:
    return {entry.name: entry for entry in get_entries(connection)}


def test_the_list(redis_connection: redis.Redis, scheduler: CronScheduler) -> None:
    found = listed(redis_connection)
    sums, nights = found["sums"], found["nights"]
    assert list(found) == ["nights", "sums"]
    assert sums.latest is not None
    assert sums.next is not None
    assert (sums.next - sums.latest).total_seconds() == 3600
    assert (sums.alive, sums.paused, sums.waiting) == (True, False, None)
    assert sums.last_job_id == Queue("q", connection=redis_connection).job_ids[0]
    assert nights.latest is None
    assert nights.next is not None
    assert (nights.next.hour, nights.next.minute, str(nights.next.tzinfo)) == (2, 30, "Europe/Berlin")
    assert nights.next == scheduler.get_jobs()[1].get_next_enqueue_time()


def test_nobody_looks_after_it_any_more(redis_connection: redis.Redis, scheduler: CronScheduler) -> None:
    redis_connection.zincrby("rq:atomiq:cron_entries", -121, "sums")
    sums = listed(redis_connection)["sums"]
    assert (sums.alive, sums.next) == (False, None)


def test_run_by_hand(redis_connection: redis.Redis, scheduler: CronScheduler) -> None:
    before = listed(redis_connection)["sums"]
    job = run_entry("sums", redis_connection)
    assert (job.func_name, job.args, job.origin, job.ttl, job.meta) == ("tests.tasks.add", (1, 2), "q", 100, {"a": 1})
    after = listed(redis_connection)["sums"]
    assert (after.latest, after.next, after.last_job_id) == (before.latest, before.next, job.id)
    SimpleWorker(["q"], connection=redis_connection).work(burst=True, logging_level="CRITICAL")
    assert job.return_value() == 3
    statuses = [(job_id, status) for job_id, _, status in history_of("sums", redis_connection)]
    assert statuses == [(job.id, "finished"), (before.last_job_id, "finished")]
    redis_connection.delete(f"rq:job:{job.id}")
    assert history_of("sums", redis_connection, limit=1)[0][2] is None


def test_run_by_hand_while_paused(redis_connection: redis.Redis, scheduler: CronScheduler) -> None:
    assert pause_entry("sums", redis_connection)
    assert not pause_entry("sums", redis_connection)
    sums = listed(redis_connection)["sums"]
    assert (sums.paused, sums.next) == (True, None)
    run_entry("sums", redis_connection)
    assert resume_entry("sums", redis_connection)
    assert not resume_entry("sums", redis_connection)
    assert listed(redis_connection)["sums"].next is not None


@pytest.mark.parametrize("action", [run_entry, pause_entry, resume_entry])
def test_there_is_no_such_entry(redis_connection: redis.Redis, scheduler: CronScheduler, action: Any) -> None:
    with pytest.raises(NoSuchCronEntry, match=r"no cron entry is called 'sum'\. There are nights, sums"):
        action("sum", redis_connection)
    redis_connection.flushdb()
    with pytest.raises(NoSuchCronEntry, match="There are none"):
        action("sum", redis_connection)


def test_an_entry_that_never_comes_again(redis_connection: redis.Redis, scheduler: CronScheduler) -> None:
    """The list goes on showing an expression whose years are over."""
    definition = redis_connection.hget("rq:atomiq:cron:nights", "definition")
    assert definition is not None
    over = definition.replace(b"30 2 * * *", b"30 2 * * * 0 2020")
    redis_connection.hset("rq:atomiq:cron:nights", "definition", over)
    assert listed(redis_connection)["nights"].next is None
