"""The connection that stays at hand between two commands: what the pool would have looked after."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.helpers import throwaway_server, wait_until

from atomiq import Queue
from atomiq._wire import at_hand
from atomiq._wire.at_hand import ROOM
from atomiq._wire.sync import Store


@pytest.fixture
def client(redis_url: str, redis_connection: redis.Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def enqueue(client: redis.Redis) -> str:
    return Queue("q", connection=client).enqueue("os.getpid").id


def waiting(client: redis.Redis) -> list[str]:
    return [raw.decode() for raw in client.lrange("rq:queue:q", 0, -1)]


def kept(client: redis.Redis) -> list[Any]:
    return Store.of(client)._at_hand._kept


def test_it_is_used_again(client: redis.Redis) -> None:
    enqueue(client)
    (first,) = kept(client)
    enqueue(client)
    assert kept(client) == [first]
    assert Store.of(client)._at_hand is Store.of(client)._at_hand


@pytest.mark.parametrize(
    "options", [{"max_connections": ROOM - 1}, {"credential_provider": redis.UsernamePasswordCredentialProvider()}]
)
def test_pools_that_want_theirs_back(redis_url: str, redis_connection: redis.Redis, options: dict[str, Any]) -> None:
    """A small one would have one less for everybody else."""
    with redis.Redis.from_url(redis_url, **options) as client:
        enqueue(client)
        assert kept(client) == []


def test_a_pool_of_another_kind(redis_url: str, redis_connection: redis.Redis) -> None:
    pool = redis.BlockingConnectionPool.from_url(redis_url, max_connections=ROOM)
    client = redis.Redis(connection_pool=pool)
    enqueue(client)
    assert kept(client) == []
    pool.disconnect()


@pytest.mark.parametrize("retries", [0, 1])
def test_one_that_the_server_has_closed(redis_connection: redis.Redis, client: redis.Redis, retries: int) -> None:
    """Without a retry it has to be seen before anything is sent."""
    client.set_retry(Retry(NoBackoff(), retries))
    enqueue(client)
    redis_connection.client_kill_filter(_type="normal", skipme=True)
    enqueue(client)
    assert len(waiting(redis_connection)) == 2


def test_one_with_a_reply_that_nobody_has_read(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_hand, "TRUST", 0.0)
    enqueue(client)
    kept(client)[0].send_command("ECHO", "of somebody else")
    wait_until(kept(client)[0].can_read)
    assert enqueue(client) == waiting(client)[1]


def test_a_client_that_was_closed_can_be_used_again(client: redis.Redis, redis_connection: redis.Redis) -> None:
    """As with redis-py: `close` closes the connections, the next command opens one."""
    enqueue(client)
    before = redis_connection.info("clients")["connected_clients"]
    client.close()
    wait_until(lambda: redis_connection.info("clients")["connected_clients"] < before)
    enqueue(client)
    assert len(waiting(redis_connection)) == 2


def test_a_fork_has_one_of_its_own(client: redis.Redis) -> None:
    """Two processes on one connection would read each other's replies."""
    enqueue(client)
    ours = kept(client)[0]
    child = os.fork()
    if not child:
        try:
            enqueue(client)
            os._exit(0 if kept(client)[0] is not ours and kept(client)[0].pid == os.getpid() else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    enqueue(client)
    assert kept(client) == [ours]
    assert len(waiting(client)) == 3


def test_threads_at_the_same_time(client: redis.Redis) -> None:
    ids: list[str] = []

    def work() -> None:
        ids.extend(enqueue(client) for _ in range(100))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waiting(client)) == sorted(ids)
    assert len(kept(client)) <= len(threads)


def test_a_client_that_nobody_holds_leaves_no_connection() -> None:
    with throwaway_server() as (path, _), redis.Redis(unix_socket_path=path) as other:
        before = other.info("clients")["connected_clients"]
        enqueue(redis.Redis(unix_socket_path=path))
        wait_until(lambda: other.info("clients")["connected_clients"] == before)
