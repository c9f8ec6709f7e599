"""The connection that stays at hand between two commands: what the pool would have looked after."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.helpers import throwaway_server, wait_until

from atomiq import Queue
from atomiq._core.errors import ServerUnavailable
from atomiq._wire import at_hand
from atomiq._wire.at_hand import ROOM, AtHand


@pytest.fixture
def client(redis_url: str, redis_connection: redis.Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def enqueue(client: redis.Redis) -> str:
    return Queue("q", connection=client).enqueue("os.getpid").id


def waiting(client: redis.Redis) -> list[str]:
    return [raw.decode() for raw in client.lrange("rq:queue:q", 0, -1)]


def kept(client: redis.Redis) -> list[Any]:
    return AtHand.of(client.connection_pool)._kept


def test_it_is_used_again(client: redis.Redis) -> None:
    enqueue(client)
    (first,) = kept(client)
    enqueue(client)
    assert kept(client) == [first]


SOMEBODY = redis.UsernamePasswordCredentialProvider("default", "any")


@pytest.mark.parametrize("options", [{"max_connections": ROOM - 1}, {"credential_provider": SOMEBODY}])
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


@pytest.mark.parametrize("poll", [at_hand._POLL, None], ids=["glance", "look"])
def test_one_that_the_server_has_closed(
    redis_connection: redis.Redis, client: redis.Redis, poll: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a retry it has to be seen before anything is sent."""
    monkeypatch.setattr(at_hand, "_POLL", poll)
    client.set_retry(Retry(NoBackoff(), 0))
    enqueue(client)
    redis_connection.client_kill_filter(_type="normal", skipme=True)
    enqueue(client)
    assert len(waiting(redis_connection)) == 2


def test_one_with_a_reply_that_nobody_has_read(client: redis.Redis) -> None:
    enqueue(client)
    kept(client)[0].send_command("ECHO", "of somebody else")
    wait_until(lambda: select.select([kept(client)[0]._sock], [], [], 0)[0])
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


def test_clients_for_one_call_each_over_one_pool(redis_url: str, redis_connection: redis.Redis) -> None:
    """As web applications make them, one for each request. Each left a connection lent when it was gone: soon the pool
    had too many, or the server."""
    pool = redis.ConnectionPool.from_url(redis_url, max_connections=ROOM)
    before = redis_connection.info("clients")["connected_clients"]
    for _ in range(ROOM + 1):
        enqueue(redis.Redis(connection_pool=pool))
    assert redis_connection.info("clients")["connected_clients"] == before + 1
    pool.disconnect()


def test_a_client_that_is_given_another_pool(redis_url: str, redis_connection: redis.Redis) -> None:
    """The connection at hand went to the server of before."""
    with throwaway_server() as (path, _), redis.Redis(unix_socket_path=path) as other:
        client = redis.Redis.from_url(redis_url)
        enqueue(client)
        before, client.connection_pool = client.connection_pool, other.connection_pool
        enqueue(client)
        assert (len(waiting(redis_connection)), len(waiting(other))) == (1, 1)
        before.disconnect()


class Counted(redis.UnixDomainSocketConnection):
    """It counts how often a server was looked for."""

    tries = 0

    def _connect(self) -> Any:
        type(self).tries += 1
        return super()._connect()


def test_a_server_that_is_away_is_looked_for_as_often_as_the_retry_says() -> None:
    """It was looked for that often each of that many times, by a client that had asked it before: with the pauses of
    redis-py's own Retry between these, enqueue took 40 s to say that the server is away, and not 4."""
    retry = Retry(NoBackoff(), 3)
    with throwaway_server() as (path, _):
        pool = redis.ConnectionPool(connection_class=Counted, path=path, retry=retry)
        client = redis.Redis(connection_pool=pool)
        enqueue(client)
    Counted.tries = 0
    with pytest.raises(redis.ConnectionError):
        client.ping()
    theirs, Counted.tries = Counted.tries, 0
    with pytest.raises(ServerUnavailable):
        enqueue(client)
    assert Counted.tries == theirs


class Interrupted(Exception):
    pass


def test_interrupted_while_it_is_looked_at(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal's handler raises there: Ctrl+C, the time limit of a job that enqueues. The connection stayed lent."""
    enqueue(client)
    (first,) = kept(client)

    def interrupt(*_: Any) -> bool:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(AtHand, "_is_at_rest", interrupt)
        with pytest.raises(Interrupted):
            enqueue(client)
    assert first in client.connection_pool._available_connections
