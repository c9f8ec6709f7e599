"""atomiq: producer. The worker is `atomiq worker`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import jobs
import settings

from atomiq import Queue, connect


class Producer:
    """One queue."""

    def __init__(self) -> None:
        self._queue = Queue(settings.QUEUES[0], connection=connect(settings.URL))
        self._jobs = jobs.COROUTINES if settings.COROUTINES else jobs.PLAIN

    async def one(self, function: str, number: int) -> None:
        self._queue.enqueue(self._jobs[function], number)

    async def many(self, function: str, numbers: Sequence[int]) -> None:
        call = self._jobs[function]
        self._queue.enqueue_many([Queue.prepare_data(call, (number,)) for number in numbers])


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    yield Producer()
