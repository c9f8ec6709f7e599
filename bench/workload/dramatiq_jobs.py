"""Dramatiq: actors that store their results, and the producer. Its bulk call is a group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import dramatiq
import jobs
import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend

broker = RedisBroker(url=settings.URL)
broker.add_middleware(Results(backend=RedisBackend(url=settings.URL)))
dramatiq.set_broker(broker)

ACTORS = {
    name: dramatiq.actor(function, actor_name=name, queue_name=settings.QUEUES[0], store_results=True)
    for name, function in jobs.PLAIN.items()
}
for other in settings.QUEUES[1:]:
    dramatiq.actor(jobs.noop, actor_name=f"noop-{other}", queue_name=other, store_results=True)


class Producer:
    """One queue."""

    async def one(self, function: str, number: int) -> None:
        ACTORS[function].send(number)

    async def many(self, function: str, numbers: Sequence[int]) -> None:
        actor = ACTORS[function]
        dramatiq.group([actor.message(number) for number in numbers]).run()


@asynccontextmanager
async def producer() -> AsyncIterator[Producer]:
    yield Producer()
