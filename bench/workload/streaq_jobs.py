"""streaq: the worker for `streaq run streaq_jobs:worker`, and the producer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import jobs
import settings
from streaq import Worker

logging.disable(logging.INFO)
worker = Worker(
    redis_url=settings.URL,
    queue_name=settings.QUEUES[0],
    concurrency=settings.CONCURRENCY,
    anyio_kwargs={"use_uvloop": True},
)
TASKS = {name: worker.task(name=name)(function) for name, function in jobs.COROUTINES.items()}


class Producer:
    """One queue."""

    async def one(self, function: str, number: int) -> None:
        await TASKS[function].enqueue(number)

    async def many(self, function: str, numbers: Sequence[int]) -> None:
        task = TASKS[function]
        await worker.enqueue_many([task.enqueue(number) for number in numbers])


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    async with worker:
        yield Producer()
