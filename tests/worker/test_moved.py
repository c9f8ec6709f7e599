"""A server that has become a replica, while its name leads to the new primary: how managed servers fail over.

No connection is closed by that: who has one goes on asking the old primary, which reads and refuses every write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis
import redis.asyncio
from tests import tasks
from tests.faults.proxy import cutting_proxy
from tests.helpers import throwaway_server
from tests.worker.conftest import StartWorker
from tests.worker.moving import follows

from atomiq import Queue, aio, connect
from atomiq.exceptions import ServerReadOnly


class Moved(NamedTuple):
    """`url` leads to the primary; `fail_over` makes that a replica of `new`, to which the URL leads from then on."""

    url: str
    new: redis.Redis
    fail_over: Callable[[], None]


@pytest.fixture
def moved() -> Iterator[Moved]:
    with throwaway_server() as (old_path, _), throwaway_server("--port", "0") as (new_path, _):
        old, new = redis.Redis(unix_socket_path=old_path), redis.Redis(unix_socket_path=new_path)
        with old, new, cutting_proxy(old_path) as proxy:

            def fail_over() -> None:
                old.replicaof("127.0.0.1", "1")  # nobody listens there: it stays as it is, and refuses writes
                proxy.lead_to(new_path)

            yield Moved(f"unix://{proxy.path}", new, fail_over)


class Traced(redis.Redis):
    """As a tracing library makes it: all commands pass through here."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        return super().execute_command(*args, **options)


@pytest.mark.parametrize("kind", [redis.Redis, Traced])
def test_who_enqueues(moved: Moved, kind: type[redis.Redis]) -> None:
    """Each enqueue of a process was refused, until somebody started it again."""
    with kind.from_url(moved.url) as connection:
        queue = Queue("default", connection=connection)
        queue.enqueue(tasks.nothing)
        moved.fail_over()
        with pytest.raises(ServerReadOnly):
            queue.enqueue(tasks.nothing)
        queue.enqueue(tasks.nothing)
        assert moved.new.llen("rq:queue:default") == 1


@pytest.fixture
def repeats(moved: Moved) -> None:
    if int(moved.new.info("server")["redis_version"].partition(".")[0]) < 7:
        pytest.skip("Redis before 7 says it inside a script's error, which no client repeats")


@pytest.mark.usefixtures("repeats")
def test_who_enqueues_over_connect(moved: Moved) -> None:
    with connect(moved.url) as connection:
        queue = Queue("default", connection=connection)
        queue.enqueue(tasks.nothing)
        moved.fail_over()
        queue.enqueue(tasks.nothing)
        assert moved.new.llen("rq:queue:default") == 1


@pytest.mark.usefixtures("repeats")
def test_who_enqueues_over_connect_on_a_loop(moved: Moved) -> None:
    async def enqueue() -> None:
        async with aio.connect(moved.url) as connection:
            queue = aio.Queue("default", connection=connection)
            await queue.enqueue(tasks.nothing)
            moved.fail_over()
            await queue.enqueue(tasks.nothing)

    asyncio.run(enqueue())
    assert moved.new.llen("rq:queue:default") == 1


def test_who_enqueues_on_a_loop(moved: Moved) -> None:
    async def enqueue() -> None:
        async with redis.asyncio.Redis.from_url(moved.url) as connection:
            queue = aio.Queue("default", connection=connection)
            await queue.enqueue(tasks.nothing)
            moved.fail_over()
            with pytest.raises(ServerReadOnly):
                await queue.enqueue(tasks.nothing)
            await queue.enqueue(tasks.nothing)

    asyncio.run(enqueue())
    assert moved.new.llen("rq:queue:default") == 1


@pytest.mark.parametrize(
    "wish",
    [
        *({"executor": executor} for executor in ("process", "fork", "async", "inline")),
        {"kind": "tests.worker.override_jobs.Simple"},
    ],
)
def test_a_worker(moved: Moved, start_worker: StartWorker, wish: dict[str, str]) -> None:
    """PING was answered, so the server was back, and refused to let it claim: again and again, for as long as it ran.
    Warm children went on, as they open a new connection after any trouble, without heartbeats of their supervisor."""
    worker = start_worker(url=moved.url, options={"lease": 3}, **wish)
    follows(worker, moved.url, moved.new, moved.fail_over)
