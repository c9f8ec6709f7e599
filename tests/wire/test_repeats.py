"""What `connect` does about a connection that breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import redis
import redis.asyncio.retry
from tests import tasks
from tests.faults.proxy import CuttingProxy
from tests.helpers import wait_until

from atomiq import Queue, aio, connect
from atomiq.aio import connect as aconnect
from atomiq.exceptions import ServerUnavailable
from atomiq.job import Job
from atomiq.results import Result


@pytest.fixture
def socket(tmp_path: Path, redis_url: str) -> str:
    """Where a server may be started, in front of the real one."""
    return f"unix://{tmp_path / 'p'}?db={redis_url.rsplit('db=', 1)[1]}"


@pytest.fixture
def start(server_url: str, tmp_path: Path) -> Iterator[Callable[[], CuttingProxy]]:
    """Start it; what it returns can break its connections."""
    path = server_url.removeprefix("unix://").partition("?")[0]
    with ExitStack() as running:
        yield lambda: running.enter_context(closing(CuttingProxy(path, str(tmp_path / "p"))))


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited between two tries; nobody waits."""
    waited: list[float] = []

    async def no_nap(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(redis.retry, "sleep", waited.append)
    monkeypatch.setattr(redis.asyncio.retry, "sleep", no_nap)
    return waited


def test_a_reply_that_is_lost(start: Callable[[], CuttingProxy], socket: str, redis_connection: redis.Redis) -> None:
    """The server had acted. Who was told of an error enqueued once more, and the job ran twice."""
    proxy = start()
    with connect(socket) as connection:
        queue = Queue("q", connection=connection)
        queue.enqueue(tasks.nothing)
        proxy.cut(b"the-one")
        queue.enqueue(tasks.nothing, job_id="the-one", unique=True)
    assert proxy.cuts == 1
    assert Queue("q", connection=redis_connection).count == 2


def test_a_reply_to_a_coroutine_that_is_lost(
    start: Callable[[], CuttingProxy], socket: str, redis_connection: redis.Redis
) -> None:
    async def enqueue() -> None:
        async with aconnect(socket) as connection:
            queue = aio.Queue("q", connection=connection)
            await queue.enqueue(tasks.nothing)
            proxy.cut(b"the-one")
            await queue.enqueue(tasks.nothing, job_id="the-one", unique=True)

    proxy = start()
    asyncio.run(enqueue())
    assert proxy.cuts == 1
    assert Queue("q", connection=redis_connection).count == 2


def test_who_waits_for_a_result_goes_on(
    start: Callable[[], CuttingProxy], socket: str, redis_connection: redis.Redis
) -> None:
    """The wait ended with the connection: a server that was started anew within a second cost everybody who waited an
    error."""
    proxy = start()
    with connect(socket) as connection, ThreadPoolExecutor() as threads:
        job = Queue("q", connection=connection).enqueue(tasks.nothing)
        proxy.cut(b"XREAD")
        waiting = threads.submit(job.latest_result, timeout=60)
        wait_until(lambda: redis_connection.info("clients")["blocked_clients"])
        Result.create(Job.fetch(job.id, redis_connection), Result.Type.SUCCESSFUL, ttl=60, return_value=1)
        found = waiting.result()
    assert found is not None
    assert proxy.cuts == 1


def test_a_coroutine_that_waits_for_a_result_goes_on(
    start: Callable[[], CuttingProxy], socket: str, redis_connection: redis.Redis
) -> None:
    async def wait() -> object:
        async with aconnect(socket) as connection:
            job = await aio.Queue("q", connection=connection).enqueue(tasks.nothing)
            proxy.cut(b"XREAD")
            waiting = asyncio.create_task(job.latest_result(timeout=60))
            await asyncio.to_thread(wait_until, lambda: redis_connection.info("clients")["blocked_clients"])
            Result.create(Job.fetch(job.id, redis_connection), Result.Type.SUCCESSFUL, ttl=60, return_value=1)
            return await waiting

    proxy = start()
    assert asyncio.run(wait()) is not None
    assert proxy.cuts == 1


@pytest.mark.parametrize("call", ["enqueue", "count", "latest_result"])
def test_a_connection_that_uvloop_finds_closed(
    start: Callable[[], CuttingProxy],
    socket: str,
    redis_connection: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    """To uvloop it is a RuntimeError to write to a connection that the server has closed. redis-py repeats that for
    nobody, and a producer got an error that is none of ours."""
    original, unbroken = asyncio.StreamWriter.writelines, [True]

    def as_with_uvloop(writer: asyncio.StreamWriter, data: Iterable[bytes]) -> None:
        if unbroken:
            unbroken.clear()
            writer.transport.abort()
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
        original(writer, data)

    async def run() -> object:
        async with aconnect(socket) as connection:
            queue = aio.Queue("q", connection=connection)
            job = await queue.enqueue(tasks.nothing)
            monkeypatch.setattr(asyncio.StreamWriter, "writelines", as_with_uvloop)
            return await {
                "enqueue": lambda: queue.enqueue(tasks.nothing),
                "count": queue.count,
                "latest_result": lambda: job.latest_result(timeout=0.01),
            }[call]()

    start()
    asyncio.run(run())
    assert not unbroken
    assert Queue("q", connection=redis_connection).count == 1 + (call == "enqueue")


def test_a_server_that_starts_anew(
    start: Callable[[], CuttingProxy], socket: str, redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis.retry, "sleep", lambda _seconds: start())
    with connect(socket) as connection:
        Queue("q", connection=connection).enqueue(tasks.nothing)
    assert Queue("q", connection=redis_connection).count == 1


def test_the_same_for_asyncio(
    start: Callable[[], CuttingProxy], socket: str, redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nap(_seconds: float) -> None:
        start()

    async def enqueue() -> None:
        async with aconnect(socket) as connection:
            await aio.Queue("q", connection=connection).enqueue(tasks.nothing)

    monkeypatch.setattr(redis.asyncio.retry, "sleep", nap)
    asyncio.run(enqueue())
    assert Queue("q", connection=redis_connection).count == 1


def test_a_server_that_stays_away(socket: str, pauses: list[float]) -> None:
    with connect(socket) as connection, pytest.raises(ServerUnavailable):
        Queue("q", connection=connection).enqueue(tasks.nothing)
    assert len(pauses) == 3
    assert 0.7 <= sum(pauses) <= 1.4


def test_one_that_is_silent_is_not_asked_again(
    start: Callable[[], CuttingProxy], socket: str, pauses: list[float]
) -> None:
    """It had its time: four times thirty seconds would be two minutes."""
    proxy = start()
    with connect(f"{socket}&socket_timeout=0.3") as connection:
        if connection.connection_pool.make_connection().socket_timeout is None:
            pytest.skip("redis-py 5.0 gives unix sockets no timeout")
        queue = Queue("q", connection=connection)
        queue.enqueue(tasks.nothing)
        proxy.swallow(b"the-one")
        with pytest.raises(ServerUnavailable):
            queue.enqueue(tasks.nothing, job_id="the-one")
        wait_until(lambda: proxy.swallowed == 1)
    assert pauses == []


def test_who_doesnt_want_it(socket: str, pauses: list[float]) -> None:
    with connect(socket, retry=None) as connection, pytest.raises(ServerUnavailable):
        Queue("q", connection=connection).enqueue(tasks.nothing)
    assert pauses == []
