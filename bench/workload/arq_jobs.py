"""arq: settings for `arq arq_jobs.WorkerSettings`, and the producer. It has no bulk call."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import jobs
import settings
from arq import create_pool
from arq.connections import RedisSettings

logging.disable(logging.INFO)
settings.quicker_loop()


async def noop(_context: Any, number: int) -> int:
    return await jobs.noop_coroutine(number)


async def nap(_context: Any, number: int) -> int:
    return await jobs.nap_coroutine(number)


async def slow(_context: Any, number: int) -> int:
    return await jobs.slow_coroutine(number)


async def held(_context: Any, number: int) -> int:
    return await jobs.held_coroutine(number)


class WorkerSettings:
    """What arq's command line reads."""

    functions: ClassVar = [noop, nap, slow, held]
    redis_settings = RedisSettings.from_dsn(settings.URL)
    queue_name = settings.QUEUES[0]
    max_jobs = settings.CONCURRENCY
    poll_delay = 0.01 if settings.FAST else 0.5


class Producer:
    """One queue."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def one(self, function: str, number: int) -> None:
        await self._pool.enqueue_job(function, number)


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    pool = await create_pool(WorkerSettings.redis_settings, default_queue_name=settings.QUEUES[0])
    yield Producer(pool)
    await pool.aclose()
