"""However many commands an event loop has at a time, few connections carry them."""

from __future__ import annotations

import asyncio
import operator
import os
import signal
from typing import Any

import pytest
import redis
import redis.asyncio
from tests.helpers import throwaway_server

from atomiq import aio
from atomiq._commands.base import plain
from atomiq._core.errors import AtomiqError
from atomiq._wire import turns as turns_module
from atomiq._wire.aio import AsyncStore
from atomiq._wire.turns import MOST, Turns

MANY = 400


@pytest.fixture
def turns() -> Turns:
    """One at a time."""
    found = Turns(None)
    found.free = 1
    return found


async def step() -> None:
    """Let the others go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_large_gather_needs_few_connections(redis_url: str, redis_connection: redis.Redis) -> None:
    """Each of them had one: 3,000 enqueues in a `gather`, with the usual 1,024 descriptors, were 1,984 errors, and the
    descriptors stayed taken."""

    async def run() -> int:
        client = await aio.connect(redis_url)
        try:
            queue = aio.Queue("many", connection=client)
            jobs = await asyncio.gather(*(queue.enqueue(operator.add, 1, number) for number in range(MANY)))
            assert sorted(await queue.job_ids()) == sorted(job.id for job in jobs)
            pool: Any = client.connection_pool
            return len(pool._available_connections)
        finally:
            await client.aclose()

    assert asyncio.run(run()) <= MOST


def test_a_pool_with_a_limit_of_its_own(redis_url: str) -> None:
    """`MaxConnectionsError: Too many connections`, for all but four."""

    async def run() -> int:
        pool = redis.asyncio.ConnectionPool.from_url(redis_url, max_connections=4)
        async with redis.asyncio.Redis.from_pool(pool) as client:
            queue = aio.Queue("few", connection=client)
            await asyncio.gather(*(queue.enqueue(operator.add, 1, number) for number in range(MANY)))
            return await queue.count()

    assert asyncio.run(run()) == MANY


def test_in_order(turns: Turns) -> None:
    async def run() -> list[int]:
        order: list[int] = []

        async def one(number: int) -> None:
            assert await turns.wait()
            order.append(number)
            turns.give()

        turns.free = 0
        waiting = [asyncio.ensure_future(one(number)) for number in range(5)]
        await step()
        assert order == []
        turns.give()
        await asyncio.gather(*waiting)
        assert turns.free == 1
        return order

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("when", ["while it waits", "as it comes"])
def test_who_gives_up_takes_nobodys_turn(turns: Turns, when: str) -> None:
    async def run() -> None:
        turns.free = 0
        first, second = asyncio.ensure_future(turns.wait()), asyncio.ensure_future(turns.wait())
        await step()
        if when == "as it comes":
            turns.give()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        if when == "while it waits":
            turns.give()
        assert await second
        turns.give()
        assert turns.free == 1

    asyncio.run(run())


def test_a_coroutine_that_is_closed_takes_nobodys_turn(turns: Turns) -> None:
    async def run() -> None:
        turns.free = 0
        closed = turns.wait()
        closed.send(None)
        closed.close()
        second = asyncio.ensure_future(turns.wait())
        await step()
        turns.give()
        assert await second

    asyncio.run(run())


def test_nobody_waits_behind_those_that_are_stuck(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "STALLED", 0.03)

    async def run() -> None:
        turns.free = 0
        assert await asyncio.gather(turns.wait(), turns.wait()) == [False, False]
        turns.give()
        assert turns.free == 1
        turns.free = 0
        assert await turns.wait() is False  # the watch begins anew

    asyncio.run(run())


def test_a_server_that_is_silent_fails_all_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one batch after the other, each after the client's whole patience."""
    monkeypatch.setattr(turns_module, "STALLED", 0.1)
    count = 3 * MOST

    async def run(path: str, pid: int) -> int:
        async with redis.asyncio.Redis(unix_socket_path=path, socket_timeout=1, retry=None) as client:
            store, pool = AsyncStore.of(client), client.connection_pool
            await store.run(plain("ECHO", ("x",), bytes))
            os.kill(pid, signal.SIGSTOP)
            try:
                asked = [asyncio.ensure_future(store.run(plain("ECHO", ("x",), bytes))) for _ in range(count)]
                await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                under_way = len(pool._in_use_connections)
                assert all(isinstance(each.exception(), AtomiqError) for each in (await asyncio.wait(asked))[0])
            finally:
                os.kill(pid, signal.SIGCONT)
            assert await store.run(plain("ECHO", ("x",), bytes)) == b"x"
            return under_way

    with throwaway_server() as (path, pid):
        assert asyncio.run(run(path, pid)) > MOST
