"""SAQ: settings for `saq saq_jobs.settings_of_worker`, and the producer. It has no bulk call."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jobs
import settings
from saq import Queue

logging.disable(logging.INFO)
settings.quicker_loop()
queue = Queue.from_url(settings.URL, name=settings.QUEUES[0])


async def noop(_context: Any, *, number: int) -> int:
    return await jobs.noop_coroutine(number)


async def nap(_context: Any, *, number: int) -> int:
    return await jobs.nap_coroutine(number)


async def slow(_context: Any, *, number: int) -> int:
    return await jobs.slow_coroutine(number)


async def held(_context: Any, *, number: int) -> int:
    return await jobs.held_coroutine(number)


settings_of_worker = {"queue": queue, "functions": [noop, nap, slow, held], "concurrency": settings.CONCURRENCY}
# SAQ's own limit of 10 s would end the slow job in its last moment.
LIMIT = 60


class Producer:
    """One queue."""

    async def one(self, function: str, number: int) -> None:
        if function == "slow":
            await queue.enqueue(function, number=number, timeout=LIMIT)
        else:
            await queue.enqueue(function, number=number)


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    await queue.connect()
    yield Producer()
    await queue.disconnect()
