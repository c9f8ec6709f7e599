"""A line: many commands under way on one connection, and all of them once more when it broke."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from tests.faults.proxy import CuttingProxy, cutting_proxy
from tests.helpers import throwaway_server, wait_until

from atomiq._commands.base import Command, plain
from atomiq._commands.claim import Claim, claim
from atomiq._core.errors import ServerOutOfMemory, ServerUnavailable
from atomiq._wire.line import Answer, Line
from atomiq._wire.sync import Store


@pytest.fixture
def line(store: Store) -> Iterator[Line]:
    line = Line(store, patience=10)
    line.resume()
    yield line
    line.close()


def all_answers(line: Line) -> list[Answer]:
    answers: list[Answer] = []
    while len(line):
        assert line.wait(10)
        answers += line.take()
    return answers


def push(number: int) -> Command[int]:
    return plain("RPUSH", ("numbers", str(number)), int)


def empty_claim(store: Store, number: int) -> Command[Claim]:
    return claim(store.keys, queues=["none"], worker="w", executions=[f"{number:032x}"], lease_ms=1000)


def test_many_under_way(line: Line, store: Store) -> None:
    for number in range(500):
        line.send(push(number), number)
    assert len(line) == 500
    answers = all_answers(line)
    assert [context for _, context, _ in answers] == list(range(500))
    assert [value for _, _, value in answers] == list(range(1, 501))
    assert line.take() == []
    assert not line.overdue()


def test_answers_before_an_error_that_will_pass() -> None:
    """A server that becomes full or read-only answers what came before it as ever. These answers were dropped with the
    error: jobs that a worker had claimed were held by nobody until their lease was over."""
    with throwaway_server() as (path, _pid):
        other = redis.Redis(unix_socket_path=path)
        line = Line(Store.of(redis.Redis(unix_socket_path=path)), patience=10)
        line.resume()
        line.send(push(1), "first")
        line.send(plain("CONFIG", ("SET", "maxmemory", "1"), str), "full")
        line.send(push(2), "second")
        wait_until(lambda: other.info("errorstats"), what="the server has refused the third")
        assert [context for _, context, _ in line.take()] == ["first", "full"]
        with pytest.raises(ServerOutOfMemory):
            line.take()
        assert len(line) == 1
        other.config_set("maxmemory", 0)
        line.resume()
        assert [value for _, _, value in all_answers(line)] == [2]
        line.close()
        other.close()


def test_a_large_command_on_a_slow_link(store: Store) -> None:
    """What took longer than the patience for one answer was broken off and sent again, for ever: the time was counted
    while the command was on its way."""
    line = Line(store, patience=0.4)
    line.resume()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    line._connection.disconnect()
    line._socket = ours

    def pause(seconds: float) -> None:
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end)

    def read_slowly() -> None:
        got = 0
        while got < 2_000_000:
            got += len(theirs.recv(1 << 18))
            pause(0.1)

    reader = threading.Thread(target=read_slowly)
    with ours, theirs:
        reader.start()
        began = time.monotonic()
        line.send(plain("SET", ("large", b"x" * 2_000_000), str))
        assert time.monotonic() - began > 0.5
        assert not line.overdue()
        reader.join()
    line.close()


def test_a_large_command_goes_out_whole(line: Line, store: Store) -> None:
    line.send(plain("SET", ("large", b"x" * 20_000_000), str))
    line.send(plain("STRLEN", ("large",), int))
    assert all_answers(line)[-1][2] == 20_000_000


def test_a_script_that_the_server_has_forgotten(line: Line, store: Store) -> None:
    """It is sent once, not with each command that was under way: 34 KB for each of the first 32 jobs."""
    for again in range(2):  # and forgotten once more
        store.connection.script_flush()
        store.connection.config_resetstat()
        for number in range(3):
            line.send(empty_claim(store, number), number)
        answers = all_answers(line)
        assert [context for _, context, _ in answers] == [0, 1, 2], again
        assert [value.word for _, _, value in answers] == ["empty"] * 3
        assert store.connection.info("commandstats")["cmdstat_eval"]["calls"] == 1


def test_a_script_that_the_server_forgets_all_the_time(line: Line, store: Store) -> None:
    for number in range(200):
        line.send(empty_claim(store, number), number)
        if number % 5 == 0:
            line.send(plain("SCRIPT", ("FLUSH",), str), "flush")
    answers = all_answers(line)
    assert sorted(context for _, context, _ in answers if context != "flush") == list(range(200))
    assert {value.word for _, context, value in answers if context != "flush"} == {"empty"}


def test_an_error_is_the_answer_of_its_command_alone(line: Line, store: Store) -> None:
    store.connection.rpush("numbers", 1)
    line.send(plain("GET", ("numbers",), int), "wrong type")
    line.send(plain("LLEN", ("numbers",), lambda reply: 1 // 0), "bad decoder")
    line.send(plain("LLEN", ("numbers",), int), "right")
    wrong, bad, right = all_answers(line)
    assert "WRONGTYPE" in str(wrong[2])
    assert "`atomiq doctor` says which key" in str(wrong[2])
    assert isinstance(wrong[2], Exception)
    assert isinstance(bad[2], ZeroDivisionError)
    assert right[1:] == ("right", 1)


def test_what_is_sent_before_there_is_a_connection(store: Store) -> None:
    line = Line(store, patience=10)
    assert not line.open
    line.send(push(1), "first")
    assert line.take() == []
    assert len(line) == 1
    line.resume()
    assert [answer[1:] for answer in all_answers(line)] == [("first", 1)]
    line.close()


def test_a_refused_connection(store: Store) -> None:
    with throwaway_server() as (path, _):
        connection = redis.Redis(unix_socket_path=path)
        line = Line(Store.of(connection), patience=1)
        line.send(push(1))
        connection.close()
    with pytest.raises(ServerUnavailable):
        line.resume()
    assert not line.open
    assert len(line) == 1


class TestABrokenConnection:
    @pytest.fixture
    def proxy(self) -> Iterator[CuttingProxy]:
        with throwaway_server() as (path, _), cutting_proxy(path) as proxy:
            yield proxy

    @pytest.fixture
    def server(self, proxy: CuttingProxy) -> Iterator[Any]:
        connection = redis.Redis(unix_socket_path=proxy.path)
        yield connection
        connection.close()

    @pytest.fixture
    def line(self, server: Any) -> Iterator[Line]:
        line = Line(Store.of(server), patience=0.2)
        line.resume()
        yield line
        line.close()

    def broken(self, line: Line) -> list[Answer]:
        """What was answered before it broke."""
        answers: list[Answer] = []
        while line.open:
            assert line.wait(10)
            with contextlib.suppress(ServerUnavailable):
                answers += line.take()
        return answers

    def test_everything_unanswered_is_sent_again_in_its_order(
        self, line: Line, server: Any, proxy: CuttingProxy
    ) -> None:
        for number in range(4):
            line.send(push(number), number)
        proxy.cut(b"LLEN")
        line.send(plain("LLEN", ("numbers",), int), 4)
        wait_until(lambda: proxy.cuts == 1)
        answers = self.broken(line)
        assert len(line) == 5 - len(answers)
        line.send(push(5), 5)
        line.resume()
        assert [context for _, context, _ in answers + all_answers(line)] == [0, 1, 2, 3, 4, 5]
        again = [number for number in range(4) if number not in [context for _, context, _ in answers]]
        assert list(map(int, server.lrange("numbers", 0, -1))) == [0, 1, 2, 3, *again, 5]

    def test_what_was_answered_is_not_sent_again(self, line: Line, server: Any, proxy: CuttingProxy) -> None:
        line.send(push(0), 0)
        all_answers(line)
        proxy.cut(b"RPUSH")
        line.send(push(1), 1)
        self.broken(line)
        line.resume()
        assert [context for _, context, _ in all_answers(line)] == [1]
        assert server.lrange("numbers", 0, -1) == [b"0", b"1", b"1"]

    def test_others_may_take_the_place_of_what_is_sent_again(
        self, line: Line, server: Any, proxy: CuttingProxy
    ) -> None:
        proxy.cut(b"RPUSH")
        line.send(push(1), "old")
        self.broken(line)
        line.resume(lambda _command, context: (push(7), f"new for {context}"))
        assert [context for _, context, _ in all_answers(line)] == ["new for old"]
        assert server.lindex("numbers", -1) == b"7"

    def test_one_that_is_silent_is_overdue(self, line: Line, proxy: CuttingProxy) -> None:
        assert not line.overdue()
        proxy.fall_silent()
        line.send(push(1), 1)
        assert not line.overdue()
        wait_until(line.overdue)
        line.resume()
        assert not line.overdue()
        assert [context for _, context, _ in all_answers(line)] == [1]
