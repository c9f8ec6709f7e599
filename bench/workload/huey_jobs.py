"""Huey: tasks for `huey_consumer huey_jobs.huey`, and the producer. It has no bulk call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jobs
import settings
from huey import RedisHuey

huey = RedisHuey(settings.QUEUES[0], url=settings.URL)
TASKS = {name: huey.task()(function) for name, function in jobs.PLAIN.items()}


class Producer:
    """One queue."""

    async def one(self, function: str, number: int) -> None:
        TASKS[function](number)


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    yield Producer()
