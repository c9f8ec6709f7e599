"""Sentinel: whoever connects asks the sentinels where the primary is, each time, and speaks TLS if told to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests import tasks
from tests.helpers import server_on_a_port, wait_until

from atomiq import Queue, aio
from atomiq._core.errors import ServerError
from atomiq._wire.carry import connection_like, pattern_of
from atomiq._wire.connect import check_connection, connect
from atomiq._wire.siblings import address_of, binary_sibling, fresh_like, server_of
from atomiq._wire.sync import Store
from atomiq._wire.target import find_target, parse_sentinel_url
from atomiq._wire.wait import Bell, CommandChannel
from atomiq.worker import Worker

TLS = "rediss+sentinel://127.0.0.1:1/0?master=main&ssl_cert_reqs=none"


@pytest.fixture
def primary() -> Iterator[int]:
    with server_on_a_port('save ""') as port:
        yield port


@pytest.fixture
def sentinel(primary: int) -> Iterator[int]:
    with server_on_a_port(f"sentinel monitor main 127.0.0.1 {primary} 1", "--sentinel") as port:
        yield port


@pytest.fixture
def url(sentinel: int) -> str:
    return f"redis+sentinel://127.0.0.1:{sentinel}/2?master=main"


async def close_sentinels(connection: redis.asyncio.Redis) -> None:
    """redis-py leaves the connections to them open."""
    pool: Any = connection.connection_pool
    for client in pool.sentinel_manager.sentinels:
        await client.aclose()


def test_a_server_that_is_no_sentinel(primary: int) -> None:
    """The address of the server itself in a sentinel URL: "unknown command 'SENTINEL', with args beginning with"."""
    with (
        connect(f"redis+sentinel://127.0.0.1:{primary}/0?master=main") as connection,
        pytest.raises(ServerError, match="who answers there is no sentinel; these listen on port 26379, as a rule"),
    ):
        check_connection(connection)


@pytest.mark.parametrize("executor", ["fork", "process", "spawn"])
def test_a_worker(url: str, executor: str) -> None:
    """SUBSCRIBE and BZPOPMIN went to localhost:6379, whoever is there: redis-py asks the sentinels in `connect` only,
    not when a command connects by the way."""
    with connect(url) as connection:
        queue = Queue("default", connection=connection)
        job = queue.enqueue(tasks.add, 1, 2)
        Worker([queue], connection=connection, executor=executor).work(burst=True, logging_level="WARNING")
        assert job.return_value(refresh=True) == 3


def test_who_waits(url: str) -> None:
    with connect(url) as connection:
        queue = Queue("default", connection=connection)
        store = Store.of(connection)
        bell, channel = Bell(store), CommandChannel(store, "channel")
        bell.listen(["default"], 10)
        queue.enqueue(tasks.nothing)
        assert bell.read()
        connection.publish("channel", "said")
        assert wait_until(channel.read) == [b"said"]
        bell.close()
        channel.close()


def test_who_waits_for_a_result(url: str) -> None:
    async def wait() -> object:
        async with aio.connect(url) as connection:
            job = await aio.Queue("default", connection=connection).enqueue(tasks.nothing)
            found = await job.latest_result(timeout=1)
            await close_sentinels(connection)
            return found

    with connect(url) as connection:
        job = Queue("default", connection=connection).enqueue(tasks.nothing)
        assert job.latest_result(timeout=1) is None
    assert asyncio.run(wait()) is None


@pytest.mark.parametrize("decode", [False, True])
def test_connections_like_one_with_tls_use_tls(decode: bool) -> None:
    """A TypeError ended every worker, and every command with decode_responses; without options for TLS they would have
    sent the password in the clear."""
    with connect(TLS, decode_responses=decode) as connection:
        wanted = connection.connection_pool.connection_class
        likes = [fresh_like(connection), connection_like(pattern_of(connection)), binary_sibling(connection)]
        for like in likes:
            assert like.connection_pool.connection_class is wanted
            assert like.connection_pool.make_connection().cert_reqs == ssl.CERT_NONE


def test_a_lost_connection_is_made_again_to_the_new_primary(primary: int, sentinel: int, url: str) -> None:
    """The caller's Retry tried the old one until it gave up."""
    with ExitStack() as stack:
        old = stack.enter_context(redis.Redis(port=primary))
        asking = stack.enter_context(redis.Redis(port=sentinel))
        connection = stack.enter_context(connect(url, retry=Retry(NoBackoff(), 1)))
        queue = Queue("default", connection=connection)
        queue.enqueue(tasks.nothing)
        other = stack.enter_context(server_on_a_port('save ""'))
        asking.sentinel_remove("main")
        asking.sentinel_monitor("main", "127.0.0.1", other, 1)
        old.replicaof("127.0.0.1", other)
        queue.enqueue(tasks.nothing)
        with redis.Redis(port=other, db=2) as new:
            assert new.llen("rq:queue:default") == 1


def test_the_same_for_asyncio(primary: int, sentinel: int, url: str) -> None:
    """A command that connected by the way went to the old primary again, which refused it: nobody had asked the
    sentinels."""

    async def enqueue(move: Callable[[], None]) -> None:
        async with aio.connect(url, retry=AsyncRetry(NoBackoff(), 1)) as connection:
            queue = aio.Queue("default", connection=connection)
            await queue.enqueue(tasks.nothing)
            move()
            await queue.enqueue(tasks.nothing)
            await close_sentinels(connection)

    with ExitStack() as stack:
        old = stack.enter_context(redis.Redis(port=primary))
        asking = stack.enter_context(redis.Redis(port=sentinel))
        other = stack.enter_context(server_on_a_port('save ""'))

        def move() -> None:
            asking.sentinel_remove("main")
            asking.sentinel_monitor("main", "127.0.0.1", other, 1)
            old.replicaof("127.0.0.1", other)

        asyncio.run(enqueue(move))
        with redis.Redis(port=other, db=2) as new:
            assert new.llen("rq:queue:default") == 1


def test_a_sentinel_that_is_silent_is_asked_once(sentinel: int) -> None:
    """Each try took 5 s, and redis-py tried it again and again: a minute later nobody had asked the next sentinel."""

    async def ping(url: str, options: dict[str, float]) -> object:
        async with aio.connect(url, sentinel_kwargs=options) as connection:
            alive = await connection.ping()
            await close_sentinels(connection)
            return alive

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        url = f"redis+sentinel://127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{sentinel}/2?master=main"
        options = {"socket_timeout": 0.2}
        with connect(url, sentinel_kwargs=options) as connection:
            assert connection.ping()
        assert asyncio.run(ping(url, options))
        for _ in ("sync", "asyncio"):
            silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_messages_say_whom_the_sentinels_were_asked_for() -> None:
    """They said `localhost:6379`, where nobody had looked."""
    with connect("redis+sentinel://one:1,two/3?master=main") as connection:
        assert address_of(connection) == "main/3 of the sentinels one:1, two:26379"


def test_two_groups_of_sentinels_are_two_servers() -> None:
    """Whose primary has the same name: jobs of one transaction went to one of them, all together."""
    with connect("redis+sentinel://one") as one, connect("redis+sentinel://two") as two:
        assert server_of(one) != server_of(two)
        with connect("redis+sentinel://one") as again:
            assert server_of(one) == server_of(again)


def test_a_sentinel_url_is_read() -> None:
    target = find_target("rediss+sentinel://u:p@a:1,[::1],c/4?master=main&socket_timeout=2", None, {})
    said = parse_sentinel_url(target)
    assert said.sentinels == (("a", 1), ("::1", 26379), ("c", 26379))
    assert said.master == "main"
    assert said.plain == "rediss://u:p@localhost/4?socket_timeout=2"
