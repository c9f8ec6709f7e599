"""`outbox.enqueue` and its siblings for SQLAlchemy's AsyncSession and AsyncConnection. Same names, awaited."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from atomiq._core.values import EnqueueData
from atomiq.outbox.nudging import finish_in_loop
from atomiq.outbox.outbox import Outbox


class AsyncOutbox:
    """The rows of one route. `where` is an AsyncSession or AsyncConnection, `queue` a Queue or an aio.Queue."""

    def __init__(self, route: str = "") -> None:
        self._outbox = Outbox(route)

    async def enqueue(self, where: Any, queue: Any, func: Callable[..., Any] | str, *args: Any, **options: Any) -> Any:
        """Write a job into the outbox, in the caller's transaction. Returns and raises what `Outbox.enqueue` does."""
        return await _in(where, lambda one: self._outbox.enqueue(one, queue, func, *args, **options))

    async def enqueue_at(
        self, where: Any, queue: Any, datetime: datetime, func: Callable[..., Any] | str, *args: Any, **options: Any
    ) -> Any:
        """`enqueue`, to run not before a time."""
        return await _in(where, lambda one: self._outbox.enqueue_at(one, queue, datetime, func, *args, **options))

    async def enqueue_in(
        self, where: Any, queue: Any, time_delta: timedelta, func: Callable[..., Any] | str, *args: Any, **options: Any
    ) -> Any:
        """`enqueue`, to run not before a delay has passed."""
        return await _in(where, lambda one: self._outbox.enqueue_in(one, queue, time_delta, func, *args, **options))

    async def enqueue_many(
        self, where: Any, queue: Any, job_datas: Iterable[EnqueueData], group_id: str | None = None
    ) -> list[Any]:
        """Calls made by `prepare_data`."""
        found: list[Any] = await _in(where, lambda one: self._outbox.enqueue_many(one, queue, job_datas, group_id))
        return found

    async def enqueue_job(self, where: Any, queue: Any, job: Any, at_front: bool = False, unique: bool = False) -> Any:
        """A job that was made by `create_job`."""
        return await _in(where, lambda one: self._outbox.enqueue_job(one, queue, job, at_front, unique))


async def _in(where: Any, write: Callable[[Any], Any]) -> Any:
    asyncio_of: Any = importlib.import_module("sqlalchemy.ext.asyncio")
    if isinstance(where, asyncio_of.async_scoped_session):
        where = where()
    if not isinstance(where, asyncio_of.AsyncSession | asyncio_of.AsyncConnection):
        raise TypeError(f"outbox.aio takes a SQLAlchemy AsyncSession or AsyncConnection, not {type(where).__name__}")
    return await where.run_sync(write)


_default = AsyncOutbox()
enqueue = _default.enqueue
enqueue_at = _default.enqueue_at
enqueue_in = _default.enqueue_in
enqueue_many = _default.enqueue_many
enqueue_job = _default.enqueue_job


def on_route(route: str) -> AsyncOutbox:
    """The same five for rows of another route."""
    return AsyncOutbox(route)


async def finish() -> None:
    """Wait until the rows that this event loop has committed are moved, at most some seconds. To be awaited before the
    engine is disposed of: a connection that is opened behind that is closed by nobody."""
    await finish_in_loop()
