"""A scheduler in a thread beside something else."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import redis
from tests import tasks
from tests.helpers import wait_until

from atomiq import Queue
from atomiq.cron import CronScheduler, beside
from atomiq.cron.beside import scheduler_beside, working


def test_it_has_a_connection_of_its_own(redis_url: str) -> None:
    connection = redis.Redis.from_url(redis_url, decode_responses=True)
    scheduler = scheduler_beside(connection, "tests.cron.jobs_config", logging.ERROR)
    assert scheduler.connection is not connection
    with working(scheduler):
        wait_until(lambda: Queue("q", connection=connection).count > 1, what="two jobs")
    assert CronScheduler.all(connection) == []
    connection.flushdb()
    connection.close()


def test_an_error_doesnt_end_it(redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a thread raises nobody hears; entries would be silent until somebody notices."""
    monkeypatch.setattr(beside, "PAUSE", 0.01)
    began = []

    class Failing(CronScheduler):
        def enqueue_jobs(self) -> Any:
            began.append(self.name)
            if len(began) < 3:
                raise RuntimeError("out of luck")
            return super().enqueue_jobs()

    scheduler = Failing(redis_connection, logging.CRITICAL)
    scheduler.register(tasks.add, "q", args=(1,), interval=60)
    with working(scheduler):
        wait_until(lambda: Queue("q", connection=redis_connection).count, what="it has begun anew")
    assert len(began) >= 3
