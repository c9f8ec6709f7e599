"""The short way to the server: what it sends, whom it doesn't go round, and what an error in the middle leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.faults.proxy import CuttingProxy
from tests.helpers import throwaway_server
from tests.lua.scene import new_job

from atomiq import JobStatus, Queue
from atomiq._commands.alone import save_job
from atomiq._commands.base import Command, plain
from atomiq._commands.enqueue import enqueue
from atomiq._core.errors import JobIsRunning, ServerUnavailable
from atomiq._core.keys import Keys
from atomiq._core.record import NewJob
from atomiq._wire.aio_packed import is_ordinary as is_ordinary_for_asyncio
from atomiq._wire.at_hand import AtHand
from atomiq._wire.packed import is_ordinary, packed
from atomiq._wire.sync import Store

KEYS = Keys()


def put(*jobs: NewJob) -> Command[Any]:
    return enqueue(KEYS, jobs=jobs)


def queued(connection: redis.Redis) -> list[str]:
    return [raw.decode() for raw in connection.lrange(KEYS.queue("q"), 0, -1)]


def open_connections(connection: redis.Redis) -> int:
    return int(connection.info("clients")["connected_clients"])


def test_a_plain_command_as_bytes() -> None:
    assert packed(plain("SET", ("k", 5), bool)) == b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n5\r\n"


def test_a_script_as_bytes() -> None:
    command = save_job(KEYS, job_id="a", fields={"data": b"\x00"})
    assert command.script is not None
    for whole, text in ((False, command.script.sha), (True, command.script.body)):
        sent = packed(command, whole)
        assert text.encode() in sent
        assert sent.endswith(b"$4\r\ndata\r\n$1\r\n\x00\r\n")


INTERRUPTED = """
import signal
from atomiq._commands.base import plain
from atomiq._wire.packed import packed

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
command = plain("SADD", tuple(range(300)) + (0.5,) * 300, int)
for number in range(200):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001 + number / 1e6)
        while True:
            packed(command)
    except KeyboardInterrupt:
        pass
"""


def test_interrupted_while_it_makes_bytes() -> None:
    """Ctrl+C, or the time limit of a job that enqueues: hiredis got an exception from a signal's handler where it made
    text of a number, didn't look, and the process was gone with a segmentation fault."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_any_kind_of_bytes_can_be_sent(store: Store) -> None:
    """A serializer of a user's may give a bytearray; redis-py takes it."""
    store.run(put(new_job("a", one=bytearray(b"1"), two=memoryview(b"2"))))
    assert store.connection.hmget(KEYS.job("a"), "one", "two") == [b"1", b"2"]


def test_what_can_not_be_sent(store: Store) -> None:
    with pytest.raises(redis.DataError, match="must be str"):
        store.run(put(new_job("a", one=object())))
    assert queued(store.connection) == []


class Traced(redis.Redis):
    """What a tracing library does."""

    seen: list[str]

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.seen.append(args[0])
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


def test_a_client_that_looks_at_its_commands_sees_them(redis_url: str, redis_connection: redis.Redis) -> None:
    client = Traced.from_url(redis_url)
    client.seen = []
    store = Store.of(client)
    store.run(put(new_job("a")))
    answers = list(store.run_in_turn(put(new_job(job_id)) for job_id in "bc"))
    client.close()
    assert [one.word for (one,) in answers] == ["queued", "queued"]
    assert [name for name in client.seen if name == "EVALSHA"] == ["EVALSHA"] * 3
    assert queued(redis_connection) == ["a", "b", "c"]


def test_whose_commands_may_go_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    client = redis.Redis()
    assert is_ordinary(client)
    assert is_ordinary(redis.Redis(decode_responses=True))
    monkeypatch.setattr(client, "execute_command", lambda *_: None)
    assert not is_ordinary(client)
    original = redis.Redis.execute_command

    def patched(self: Any, *args: Any, **options: Any) -> Any:
        return original(self, *args, **options)

    monkeypatch.setattr(redis.Redis, "execute_command", patched)
    assert not is_ordinary(redis.Redis())


class _Bound:
    """A method that somebody has wrapped as wrapt does: whatever one asks it, it is the method."""

    def __init__(self, method: Any) -> None:
        self._method = method

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(self._method)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._method(*args, **options)


class Wrapped:
    """A function that becomes such a method."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return _Bound(self._function.__get__(instance, owner))


def test_a_wrapped_method_is_no_ordinary_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's instrumentation of redis-py never saw an enqueue: what it puts in the place of `execute_command`
    looks like the original in all but its type."""
    for client, look in ((redis.Redis, is_ordinary), (redis.asyncio.Redis, is_ordinary_for_asyncio)):
        monkeypatch.setattr(client, "execute_command", Wrapped(client.execute_command))
        assert not look(client())


def test_one_connection_for_all_is_left_alone(redis_url: str, redis_connection: redis.Redis) -> None:
    client = redis.Redis.from_url(redis_url, single_connection_client=True)
    assert not is_ordinary(client)
    assert Store.of(client).run(put(new_job("a")))[0].word == "queued"
    client.close()


def test_a_pool_of_one_is_enough(redis_url: str, redis_connection: redis.Redis) -> None:
    pool = redis.BlockingConnectionPool.from_url(redis_url, max_connections=1, timeout=1)
    store = Store.of(redis.Redis(connection_pool=pool))
    store.run(put(new_job("a")))
    list(store.run_in_turn(put(new_job(job_id)) for job_id in "bc"))
    assert store.connection.llen(KEYS.queue("q")) == 3
    pool.disconnect()


def test_in_turn(store: Store) -> None:
    made: list[str] = []

    def commands() -> Iterator[Command[Any]]:
        for job_id in "abc":
            made.append(job_id)
            yield put(new_job(job_id))

    for number, (one,) in enumerate(store.run_in_turn(commands())):
        assert one.job_id == "abc"[number]
        assert made == list("abc"[: number + 2]), "the next one is under way, and no other"
    assert queued(store.connection) == ["a", "b", "c"]
    assert list(store.run_in_turn(iter(()))) == []


def test_a_refusal_stops_the_rest(store: Store) -> None:
    """Decoded before the next one is sent, not only received."""
    store.connection.hset(KEYS.job("b"), "status", "started")
    answers = store.run_in_turn(put(new_job(job_id)) for job_id in "abc")
    assert next(answers)[0].word == "queued"
    with pytest.raises(JobIsRunning):
        next(answers)
    assert queued(store.connection) == ["a"]
    assert not store.connection.exists(KEYS.job("c"))


def test_whoever_stops_looking_leaves_no_reply_behind(store: Store) -> None:
    """The next user of the connection would take the reply for its own."""
    answers = store.run_in_turn(put(new_job(job_id)) for job_id in "abc")
    assert next(answers)[0].job_id == "a"
    answers.close()  # type: ignore[attr-defined]
    assert store.run(put(new_job("d")))[0].job_id == "d"
    assert "c" not in queued(store.connection)


def test_a_command_that_can_not_be_made_stops_the_rest(store: Store) -> None:
    jobs = [new_job("a"), new_job("b", one=object()), new_job("c")]
    with pytest.raises(redis.DataError):
        list(store.run_in_turn(put(job) for job in jobs))
    assert store.run(put(new_job("d")))[0].job_id == "d"
    assert queued(store.connection) == ["a", "d"]


def test_scripts_that_the_server_has_forgotten(store: Store) -> None:
    store.connection.script_flush()
    assert store.run(put(new_job("a")))[0].word == "queued"
    store.connection.script_flush()
    assert [one.word for (one,) in store.run_in_turn(put(new_job(job_id)) for job_id in "bc")] == ["queued"] * 2
    assert queued(store.connection) == ["a", "b", "c"]


def test_a_job_whose_reply_got_lost_is_known_as_queued(server: str, proxy: CuttingProxy) -> None:
    """The script's word `already` was taken for a status, which raised ValueError: enqueue said that it had failed, but
    the job was there."""
    client = redis.Redis(unix_socket_path=proxy.path, retry=Retry(NoBackoff(), 3))
    client.flushdb()
    queue = Queue("q", connection=client)
    for options in ({}, {"job_id": "named"}):
        proxy.cut(b"EVAL")
        job = queue.enqueue("operator.add", 1, 2, **options)
        assert job.get_status(refresh=False) is JobStatus.QUEUED
    assert proxy.cuts == 2
    assert len(queued(client)) == 2
    client.connection_pool.disconnect()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_reply_that_gets_lost_in_turn(server: str, proxy: CuttingProxy, lost: int) -> None:
    """Sent again, as redis-py's Retry says, and not carried out again; what follows comes after it."""
    client = redis.Redis(unix_socket_path=proxy.path, retry=Retry(NoBackoff(), 3))
    client.flushdb()
    store = Store.of(client)
    store.run(put(new_job("first")))

    def commands() -> Iterator[Command[Any]]:
        for number, job_id in enumerate("abc"):
            if number == lost:
                proxy.cut(f"$1\r\n{job_id}\r\n".encode())
            yield put(new_job(job_id, call=f"call-{job_id}"))

    words = [one.word for (one,) in store.run_in_turn(commands())]
    assert proxy.cuts == 1
    assert words == ["already" if number == lost else "queued" for number in range(3)]
    assert queued(client) == ["first", "a", "b", "c"]
    client.connection_pool.disconnect()


def test_without_retries_a_lost_reply_is_an_error(server: str, proxy: CuttingProxy) -> None:
    client = redis.Redis(unix_socket_path=proxy.path, retry=Retry(NoBackoff(), 0))
    client.flushdb()
    store = Store.of(client)
    store.run(put(new_job("first")))
    for send in (store.run, lambda command: list(store.run_in_turn([command]))):
        proxy.cut(b"EVALSHA")
        with pytest.raises(ServerUnavailable, match="can't be reached"):
            send(put(new_job("a")))
    assert proxy.cuts == 2
    client.connection_pool.disconnect()


def test_a_large_command_has_more_time() -> None:
    """A timeout is for all that is sent at once: what takes longer was sent again and again, and never arrived."""
    with throwaway_server() as (path, pid):
        client = redis.Redis(unix_socket_path=path, socket_timeout=0.3, retry=Retry(NoBackoff(), 0))
        if client.connection_pool.make_connection().socket_timeout is None:
            pytest.skip("redis-py 5.0 gives unix sockets no timeout")
        store = Store.of(client)
        store.run(put(new_job("first")))
        os.kill(pid, signal.SIGSTOP)
        going_on = threading.Timer(1.0, os.kill, (pid, signal.SIGCONT))
        going_on.start()
        store.run(put(new_job("large", call=b"x" * 4_000_000)))
        going_on.join()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ServerUnavailable, match="in time"):
            store.run(put(new_job("small")))
        os.kill(pid, signal.SIGCONT)
        assert queued(client) == ["first", "large", "small"]
        client.close()


def test_connections_go_back_to_the_pool(redis_url: str, redis_connection: redis.Redis) -> None:
    client = redis.Redis.from_url(redis_url)
    before = open_connections(redis_connection)
    store = Store.of(client)
    for _ in range(5):
        store.run(put(new_job("a")))
        list(store.run_in_turn(put(new_job(job_id)) for job_id in "bc"))
    assert open_connections(redis_connection) == before + 1
    client.close()


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("where", ["sent", "not read"])
def test_interrupted_between_sending_and_reading(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, many: bool, where: str
) -> None:
    """A signal's handler raises there: Ctrl+C, the time limit of a job that enqueues. The connection went back into the
    pool, and whoever used it next was told what the server had said about the enqueue."""
    with redis.Redis.from_url(redis_url) as other, redis.Redis.from_url(redis_url) as client:
        store = Store.of(client)
        store.run(put(new_job("script-is-known")))
        connection = AtHand.of(client.connection_pool).take(client.connection_pool)
        AtHand.of(client.connection_pool).put_back(client.connection_pool, connection)
        send = connection.send_packed_command

        def interrupted(*given: Any, **options: Any) -> None:
            if where == "sent":
                send(*given, **options)
            raise KeyboardInterrupt

        other.client_pause(200)  # else the reply may be there by now, and redis-py sees that
        with monkeypatch.context() as context:
            context.setattr(connection, "send_packed_command" if where == "sent" else "read_response", interrupted)
            commands = [put(new_job(job_id)) for job_id in "ab"]
            with pytest.raises(KeyboardInterrupt):
                list(store.run_in_turn(commands) if many else map(store.run, commands))
        assert client.echo("mine") == b"mine"
        assert store.run(put(new_job("after")))[0].job_id == "after"
