"""taskiq: streams with results kept on Redis; tasks for `taskiq worker taskiq_jobs:broker`, and the producer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jobs
import settings
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

broker = RedisStreamBroker(
    settings.URL,
    queue_name=settings.QUEUES[0],
    # The jobs are there before the worker is.
    consumer_id="0",
    additional_streams=dict.fromkeys(settings.QUEUES[1:], ">") or None,
).with_result_backend(RedisAsyncResultBackend(settings.URL))
TASKS = {name: broker.register_task(function, task_name=name) for name, function in jobs.COROUTINES.items()}


class Producer:
    """One queue."""

    async def one(self, function: str, number: int) -> None:
        await TASKS[function].kiq(number)


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    await broker.startup()
    yield Producer()
    await broker.shutdown()
