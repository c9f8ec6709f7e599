"""One contract for the synchronous and the asyncio façade: tests are coroutines that ask either in the same words."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import redis
import redis.asyncio

import atomiq
from atomiq import aio, command, executions, group, registry, results, suspension
from atomiq._wire.sync import Store


@dataclass
class Api:
    """The façade under test, and a synchronous connection and store to look behind it."""

    kind: str
    connection: Any
    redis: redis.Redis
    store: Store

    def __getattr__(self, name: str) -> Any:
        modules: tuple[ModuleType, ...] = (
            (aio,) if self.kind == "aio" else (atomiq, registry, results, executions, group, suspension, command)
        )
        for module in modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(name)

    def queue(self, name: str = "default", **options: Any) -> Any:
        return self.Queue(name, connection=self.connection, **options)


async def ask(thing: Any, *args: Any, **kwargs: Any) -> Any:
    """The value of a property, a method or a coroutine method."""
    answer = thing(*args, **kwargs) if callable(thing) else thing
    return await answer if inspect.isawaitable(answer) else answer


async def contains(one: Any, item: Any) -> bool:
    """`item in one`, or its awaited twin."""
    return bool(await one.contains(item) if hasattr(one, "contains") else item in one)


def both(test: Callable[[Api], Awaitable[None]]) -> Callable[..., None]:
    """Run a coroutine test once with each façade."""

    @pytest.mark.parametrize("kind", ["sync", "aio"])
    def run(kind: str, redis_connection: redis.Redis, redis_url: str, store: Store) -> None:
        async def whole() -> None:
            if kind == "sync":
                await test(Api(kind, redis_connection, redis_connection, store))
                return
            connection = redis.asyncio.Redis.from_url(redis_url)
            try:
                await test(Api(kind, connection, redis_connection, store))
            finally:
                await connection.aclose()

        asyncio.run(whole())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
