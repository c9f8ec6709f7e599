"""Suspending all workers of a server, with asyncio."""

from __future__ import annotations

from typing import Any

from atomiq._commands import queues
from atomiq._commands.views import view_suspended
from atomiq._wire.aio import AsyncStore
from atomiq.suspension import check_duration


async def suspend(connection: Any, ttl: int | None = None) -> None:
    """Let no worker take a job, for `ttl` seconds, or until `resume`. Raises InvalidTime, a ValueError: ttl below 1,
    or above a thousand years."""
    check_duration(ttl)
    store = AsyncStore.of(connection)
    await store.run(queues.suspend(store.keys, ttl=ttl))


async def resume(connection: Any) -> int:
    """Let workers take jobs again, and wake them. Says 1 if they were suspended, else 0."""
    store = AsyncStore.of(connection)
    return await store.run(queues.resume(store.keys))


async def is_suspended(connection: Any, worker: Any = None) -> int:
    """1 while workers are suspended, else 0. `worker` has no effect."""
    store = AsyncStore.of(connection)
    suspended = await store.run(view_suspended(store.keys))
    return int(suspended)
