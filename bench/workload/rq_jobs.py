"""RQ: producer. The worker is RQ's own command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import jobs
import redis
import rq
import settings


class Producer:
    """One queue."""

    def __init__(self) -> None:
        self._queue = rq.Queue(settings.QUEUES[0], connection=redis.Redis.from_url(settings.URL))

    async def one(self, function: str, number: int) -> None:
        self._queue.enqueue(jobs.PLAIN[function], number)

    async def many(self, function: str, numbers: Sequence[int]) -> None:
        call = jobs.PLAIN[function]
        self._queue.enqueue_many([rq.Queue.prepare_data(call, (number,)) for number in numbers])


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    yield Producer()
