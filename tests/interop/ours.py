"""atomiq's workers, until the queues are empty."""

from __future__ import annotations

import redis

from atomiq import Queue
from atomiq.worker import SimpleWorker, Worker


def run_simple(connection: redis.Redis, *queues: str) -> None:
    """In this process."""
    names = queues or ("default",)
    SimpleWorker([Queue(name, connection=connection) for name in names], connection=connection).work(
        burst=True, logging_level="CRITICAL"
    )


def run_forking(connection: redis.Redis, *queues: str) -> None:
    """Each job in a forked child."""
    names = queues or ("default",)
    Worker([Queue(name, connection=connection) for name in names], connection=connection).work(
        burst=True, logging_level="CRITICAL"
    )
