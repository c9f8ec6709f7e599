"""Celery: its at-least-once settings, results on Redis; tasks and producer. Its bulk call is a group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import jobs
import settings
from celery import Celery, group

app = Celery("bench", broker=settings.URL, backend=settings.URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue=settings.QUEUES[0],
    broker_connection_retry_on_startup=True,
)
TASKS = {name: app.task(function, name=name) for name, function in jobs.PLAIN.items()}


class Producer:
    """One queue."""

    async def one(self, function: str, number: int) -> None:
        TASKS[function].delay(number)

    async def many(self, function: str, numbers: Sequence[int]) -> None:
        task = TASKS[function]
        group([task.s(number) for number in numbers]).apply_async()


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    yield Producer()
