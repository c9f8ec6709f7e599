"""One client for asyncio and more than one event loop; and one with too few connections."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings

import pytest
import redis
import redis.asyncio

from atomiq import Queue, aio
from atomiq.aio import connect as aconnect
from atomiq.exceptions import ServerUnavailable


@pytest.mark.parametrize(
    ("kind", "waits"), [(redis.asyncio.ConnectionPool, False), (redis.asyncio.BlockingConnectionPool, True)]
)
def test_one_asyncio_client_in_one_loop_after_the_other(
    kind: type[redis.asyncio.ConnectionPool], waits: bool, redis_url: str, redis_connection: redis.Redis
) -> None:
    """A script that calls `asyncio.run` twice, or tests with a loop each. Every second enqueue raised "Event loop is
    closed", and the job was enqueued all the same: who tried again had it twice. Where tasks
    had waited for a connection once, those of the next loop couldn't: "is bound to a different event loop"."""
    client = redis.asyncio.Redis(connection_pool=kind.from_url(redis_url, max_connections=2 if waits else 9))
    queue = aio.Queue("loops", connection=client)

    async def three(number: int) -> None:
        await asyncio.gather(*(queue.enqueue("operator.add", 1, 2, job_id=f"{number}-{each}") for each in range(3)))
        if number == 3:
            await client.connection_pool.disconnect()

    for number in range(4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # about connections that the loop before has left open
            asyncio.run(three(number))
            gc.collect()
    assert Queue("loops", connection=redis_connection).count == 12


def test_one_asyncio_client_in_two_loops_at_once(redis_url: str, redis_connection: redis.Redis) -> None:
    """An application's client, and a thread with a loop of its own: commands were sent whose callers heard that a lock
    "is bound to a different event loop", and others waited for ever. Now the second is refused before it sends."""
    client = aconnect(redis_url)
    queue = aio.Queue("loops", connection=client)
    used, refused = threading.Event(), threading.Event()

    async def first() -> None:
        await queue.enqueue("operator.add", 1, 2)
        used.set()
        await asyncio.to_thread(refused.wait, 20)
        await queue.enqueue("operator.add", 1, 2)
        await client.aclose()

    async def second() -> None:
        await asyncio.gather(*(queue.enqueue("operator.add", 3, 4) for _ in range(3)))

    one = threading.Thread(target=asyncio.run, args=(first(),))
    one.start()
    try:
        assert used.wait(20)
        with pytest.raises(RuntimeError, match="in use by another event loop"):
            asyncio.run(second())
        assert Queue("loops", connection=redis_connection).count == 1
    finally:
        refused.set()
        one.join(20)
    assert Queue("loops", connection=redis_connection).count == 2

    async def third() -> None:
        await second()
        await client.aclose()

    asyncio.run(third())
    assert Queue("loops", connection=redis_connection).count == 5


@pytest.mark.parametrize("kind", [redis.ConnectionPool, redis.BlockingConnectionPool])
def test_a_pool_whose_connections_are_all_in_use(kind: type[redis.ConnectionPool], redis_url: str) -> None:
    """It was said that the server can't be reached."""
    options = {"timeout": 0.05} if kind is redis.BlockingConnectionPool else {}
    pool = kind.from_url(redis_url, max_connections=1, **options)
    queue = Queue("pool", connection=redis.Redis(connection_pool=pool))
    with (
        redis.Redis(connection_pool=pool, single_connection_client=True),
        pytest.raises(ServerUnavailable, match="all connections of this client's pool are in use"),
    ):
        queue.enqueue("operator.add", 1, 2)
    queue.enqueue("operator.add", 1, 2)
    pool.disconnect()
