"""A worker whose server's name comes to lead to another server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from tests import tasks
from tests.helpers import wait_until
from tests.worker.processes import WorkerProcess

from atomiq import Queue
from atomiq._wire.sync import Store


def follows(worker: WorkerProcess, url: str, new: redis.Redis, move: Callable[[], Any]) -> None:
    """It does a job, the URL leads to `new` by `move`, it does a job there, and is known there within ten seconds."""
    with redis.Redis.from_url(url) as connection:
        job = Queue("default", connection=connection).enqueue(tasks.add, 1, 2)
        wait_until(lambda: job.return_value() == 3)
    move()
    job = Queue("default", connection=new).enqueue(tasks.add, 3, 4)
    wait_until(lambda: job.return_value() == 7, within=10)
    wait_until(lambda: new.exists(Store.of(new).keys.worker(worker.name)), within=10)
    assert worker.process.poll() is None
