"""BullMQ's Python port: producer, and (run as a program) the worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import jobs
import settings
from bullmq import Queue, Worker


class Producer:
    """One queue."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    async def one(self, function: str, number: int) -> None:
        await self._queue.add(function, {"number": number})

    async def many(self, function: str, numbers: Sequence[int]) -> None:
        await self._queue.addBulk([{"name": function, "data": {"number": number}} for number in numbers])


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    queue = Queue(settings.QUEUES[0], {"connection": settings.URL})
    yield Producer(queue)
    await queue.close()


async def process(job: Any, _token: str) -> int:
    return await jobs.COROUTINES[job.name](job.data["number"])


async def work() -> None:
    options = {"connection": settings.URL, "concurrency": settings.CONCURRENCY}
    workers = [Worker(queue, process, options) for queue in settings.QUEUES]
    await asyncio.Event().wait()
    del workers


if __name__ == "__main__":
    asyncio.run(work())
