"""The short way to the server over asyncio: whom it doesn't go round, and what an error in the middle leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from tests.faults.proxy import CuttingProxy, cutting_proxy
from tests.helpers import throwaway_server
from tests.lua.scene import new_job

from atomiq import aio
from atomiq._commands.base import Command
from atomiq._commands.enqueue import enqueue
from atomiq._core.errors import JobIsRunning, ServerUnavailable
from atomiq._core.keys import Keys
from atomiq._wire.aio import AsyncStore
from atomiq._wire.aio_packed import is_ordinary

KEYS = Keys()


def put(*ids: str) -> Command[Any]:
    return enqueue(KEYS, jobs=[new_job(job_id, call=f"call-{job_id}") for job_id in ids])


class Traced(redis.asyncio.Redis):
    """What a tracing library does."""

    seen: list[str]

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        self.seen.append(args[0])
        return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def test_a_client_that_looks_at_its_commands_sees_them(redis_url: str, redis_connection: redis.Redis) -> None:
    async def run() -> list[str]:
        async with Traced.from_url(redis_url) as client:
            client.seen = []
            await aio.Queue("q", connection=client).enqueue("operator.add", 1, 2)
            return client.seen

    assert "EVALSHA" in asyncio.run(run())
    assert redis_connection.llen(KEYS.queue("q")) == 1


def test_whose_commands_may_go_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    client = redis.asyncio.Redis()
    assert is_ordinary(client)
    assert is_ordinary(redis.asyncio.Redis(decode_responses=True))
    assert not is_ordinary(redis.asyncio.Redis(single_connection_client=True))
    monkeypatch.setattr(client, "execute_command", lambda *_: None)
    assert not is_ordinary(client)
    original = redis.asyncio.Redis.execute_command

    async def patched(self: Any, *args: Any, **options: Any) -> Any:
        return await original(self, *args, **options)

    monkeypatch.setattr(redis.asyncio.Redis, "execute_command", patched)
    assert not is_ordinary(redis.asyncio.Redis())


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"single_connection_client": True}])
def test_it_arrives(options: dict[str, Any], redis_url: str, redis_connection: redis.Redis) -> None:
    async def run() -> list[str]:
        async with redis.asyncio.Redis.from_url(redis_url, **options) as client:
            store = AsyncStore.of(client)
            first = await store.run(put("a"))
            await client.script_flush()
            return [one.word for one in (*first, *await store.run(put("b")))]

    assert asyncio.run(run()) == ["queued", "queued"]
    assert redis_connection.lrange(KEYS.queue("q"), 0, -1) == [b"a", b"b"]


def test_a_refusal_leaves_the_connection_as_it_was(redis_url: str, redis_connection: redis.Redis) -> None:
    async def run() -> str:
        pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=1, timeout=5)
        store = AsyncStore.of(redis.asyncio.Redis(connection_pool=pool))
        await store.run(put("a"))
        redis_connection.hset(KEYS.job("a"), "status", "started")
        with pytest.raises(JobIsRunning):
            await store.run(enqueue(KEYS, jobs=[new_job("a", call="another")]))
        (one,) = await store.run(put("b"))
        await pool.disconnect()
        return one.word

    assert asyncio.run(run()) == "queued"


def test_canceled_at_any_moment_it_leaves_no_reply_to_others(redis_url: str, redis_connection: redis.Redis) -> None:
    """The next to use the connection would take it for its own."""

    async def run() -> int:
        pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=1, timeout=5, socket_timeout=5)
        store = AsyncStore.of(redis.asyncio.Redis(connection_pool=pool))
        canceled = 0
        for steps in range(40):
            sending = asyncio.create_task(store.run(put(f"first-{steps}", f"second-{steps}")))
            for _ in range(steps):
                await asyncio.sleep(0)
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            canceled += sending.cancelled()
            assert len(await store.run(put(f"alone-{steps}"))) == 1
        await pool.disconnect()
        return canceled

    assert asyncio.run(run()) > 2
    assert redis_connection.lpos(KEYS.queue("q"), "alone-39") is not None


@pytest.fixture
def proxy() -> Iterator[CuttingProxy]:
    with throwaway_server() as (path, _), cutting_proxy(path) as proxy:
        yield proxy


@pytest.mark.parametrize("retries", [0, 2])
def test_a_reply_that_gets_lost_is_asked_for_as_often_as_the_client_says(proxy: CuttingProxy, retries: int) -> None:
    class CutAgain(NoBackoff):
        def compute(self, failures: int) -> float:
            proxy.cut(b"the-one")
            return 0

    async def run() -> str:
        retry = Retry(CutAgain(), retries)
        async with redis.asyncio.Redis(unix_socket_path=proxy.path, retry=retry) as client:
            store = AsyncStore.of(client)
            await store.run(put("first"))  # the server knows the script: what gets lost is the answer to it
            proxy.cut(b"the-one")
            with pytest.raises(ServerUnavailable, match="can't be reached"):
                await store.run(put("the-one"))
            (one,) = await store.run(put("the-one"))
            return one.word

    assert asyncio.run(run()) == "already"
    assert proxy.cuts == retries + 1


def test_one_that_gets_lost_once(proxy: CuttingProxy) -> None:
    async def run() -> str:
        async with redis.asyncio.Redis(unix_socket_path=proxy.path, retry=Retry(NoBackoff(), 1)) as client:
            store = AsyncStore.of(client)
            await store.run(put("first"))
            proxy.cut(b"the-one")
            (one,) = await store.run(put("the-one"))
            return one.word

    assert asyncio.run(run()) == "already"
    assert proxy.cuts == 1


def test_a_large_command_has_more_time() -> None:
    """A timeout is for all that is sent at once: what takes longer was sent again and again, and never arrived."""

    async def run(path: str, pid: int) -> list[str]:
        async with redis.asyncio.Redis(
            unix_socket_path=path, socket_timeout=0.3, retry=Retry(NoBackoff(), 0)
        ) as client:
            store = AsyncStore.of(client)
            await store.run(put("first"))
            os.kill(pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(1.0, os.kill, pid, signal.SIGCONT)
            (large,) = await store.run(enqueue(KEYS, jobs=[new_job("large", call=b"x" * 4_000_000)]))
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(ServerUnavailable, match="in time"):
                await store.run(put("small"))
            os.kill(pid, signal.SIGCONT)
            return [large.word, (await store.run(put("small")))[0].word]

    with throwaway_server() as (path, pid):
        assert asyncio.run(run(path, pid)) == ["queued", "already"]
