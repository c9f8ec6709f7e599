"""The health port: what it answers, from a loop that turns, and that nobody can keep it busy or fill it."""

from __future__ import annotations

import errno
import json
import select
import selectors
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atomiq.worker import health as module
from atomiq.worker.health import Health, HealthPort
from atomiq.worker.health_socket import MOST_CONNECTIONS

LEFT_OUT = b"GET /live HTTP/1.1\r\nHost: worker\r\n"
REQUEST = LEFT_OUT + b"\r\n"


class Loop:
    """The supervisor's loop, a turn at a time, and a port in it."""

    def __init__(self, address: str) -> None:
        self.selector = selectors.DefaultSelector()
        self.health = Health(True, True, (), {"name": "W"})
        self.port = HealthPort(address, self.selector, self.report)

    def report(self) -> Health:
        return self.health

    def turn(self) -> None:
        while ready := self.selector.select(0):
            for key, _ in ready:
                key.data()
        self.port.check()

    def call(self) -> socket.socket:
        """A connection to the port."""
        if self.port.port:
            return socket.create_connection(("127.0.0.1", self.port.port), timeout=5)
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(5)
        link.connect(str(self.port._path))
        return link

    def answer(self, link: socket.socket) -> bytes:
        """All that the port says until it hangs up."""
        said = b""
        while True:
            self.turn()
            if select.select([link], [], [], 0.01)[0]:
                data = link.recv(65536)
                if not data:
                    return said
                said += data

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of an answer."""
        with self.call() as link:
            link.sendall(request)
            head, _, body = self.answer(link).partition(b"\r\n\r\n")
        self.turn()
        assert f"Content-Length: {len(body)}".encode() in head or request.startswith(b"HEAD")
        return int(head.split()[1]), body

    def get(self, path: str) -> tuple[int, bytes]:
        return self.ask(f"GET {path} HTTP/1.1\r\nHost: worker\r\n\r\n".encode())

    def connections(self) -> int:
        return len(list(self.port.fds())) - 1

    def close(self) -> None:
        self.port.close()
        assert len(self.selector.get_map()) == 0
        self.selector.close()


@pytest.fixture(params=["tcp", "unix"])
def loop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loop]:
    found = Loop("127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path / 's'}")
    yield found
    found.close()


def test_live_and_ready(loop: Loop) -> None:
    assert loop.get("/live") == loop.get("/ready") == (200, b"ok\n")
    loop.health = Health(True, False, ("the server can't be reached", "1 of 2 children are alive"))
    assert loop.get("/live") == (200, b"ok\nthe server can't be reached\n1 of 2 children are alive\n")
    assert loop.get("/ready?probe=1") == (503, b"the server can't be reached\n1 of 2 children are alive\n")
    loop.health = Health(False, False, ("deaf",))
    assert loop.get("/live") == loop.get("/ready") == (503, b"deaf\n")
    assert loop.connections() == 0


def test_all_of_it(loop: Loop) -> None:
    loop.health = Health(True, False, ("stopping",), {"name": "W", "queues": ["a"], "odd": Path("/p")})
    status, body = loop.get("/")
    facts = {"name": "W", "queues": ["a"], "odd": "/p"}
    assert (status, json.loads(body)) == (200, {"live": True, "ready": False, "reasons": ["stopping"], "facts": facts})


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", 404),
        (b"POST /live HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"\x16\x03\x01\x02\x00 TLS \r\n\r\n", 400),
        (b"GET /live\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /live HTTP/1.1\r\nX: " + b"x" * 5000, 431),
        (b"GET /live HTTP/1.0\n\n", 200),
    ],
)
def test_other_requests(loop: Loop, request_: bytes, status: int) -> None:
    assert loop.ask(request_)[0] == status
    assert loop.connections() == 0


def test_head_is_get_without_a_body(loop: Loop) -> None:
    assert loop.ask(b"HEAD /ready HTTP/1.1\r\n\r\n") == (200, b"")


def test_a_loop_that_does_not_turn_does_not_answer(loop: Loop) -> None:
    with loop.call() as link:
        link.sendall(REQUEST)
        link.setblocking(False)
        with pytest.raises(BlockingIOError):
            link.recv(1)
        link.setblocking(True)
        assert loop.answer(link).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_request_that_comes_in_pieces(loop: Loop) -> None:
    with loop.call() as link:
        for byte in REQUEST:
            link.sendall(bytes([byte]))
            loop.turn()
        assert loop.answer(link).startswith(b"HTTP/1.1 200 OK\r\n")


def test_an_answer_that_is_taken_slowly(loop: Loop) -> None:
    loop.health = Health(True, True, (), {"long": "x" * 5_000_000})
    with loop.call() as link:
        link.sendall(b"GET / HTTP/1.1\r\n\r\n")
        loop.turn()
        assert loop.connections() == 1
        assert len(loop.answer(link)) > 5_000_000
    loop.turn()
    assert loop.connections() == 0


def test_who_says_nothing_is_dropped(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    assert loop.port.wake_at() is None
    with loop.call() as link:
        link.sendall(LEFT_OUT)
        loop.turn()
        assert (loop.connections(), loop.port.wake_at()) == (1, now + 5)
        monkeypatch.setattr(module.time, "monotonic", lambda: now + 4.9)
        loop.turn()
        assert loop.connections() == 1
        monkeypatch.setattr(module.time, "monotonic", lambda: now + 5)
        loop.turn()
        assert loop.connections() == 0
        assert loop.answer(link) == b""


def test_a_crowd_of_silent_ones_keeps_nobody_out(loop: Loop) -> None:
    crowd = []
    for _ in range(MOST_CONNECTIONS + 5):
        crowd.append(loop.call())
        loop.turn()
    assert loop.connections() == MOST_CONNECTIONS
    assert loop.get("/live") == (200, b"ok\n")
    for link in crowd:
        link.close()
    loop.turn()
    assert loop.connections() == 0


def test_one_that_is_dropped_in_the_very_turn_in_which_it_speaks(loop: Loop) -> None:
    crowd = []
    for _ in range(MOST_CONNECTIONS):
        crowd.append(loop.call())
        loop.turn()
    crowd.append(loop.call())
    crowd[0].sendall(REQUEST)
    loop.turn()
    assert loop.connections() == MOST_CONNECTIONS
    assert loop.get("/live") == (200, b"ok\n")
    for link in crowd:
        link.close()


def test_without_room_for_another_file(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener stayed ready, so the loop turned without a pause for as long as files were short."""

    def accept(_listener: socket.socket) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    now = time.monotonic()
    with loop.call() as link:
        link.sendall(REQUEST)
        with monkeypatch.context() as short:
            short.setattr(socket.socket, "accept", accept)
            loop.turn()
        assert loop.connections() == 0
        wake_at = loop.port.wake_at()
        assert wake_at is not None
        assert 0 < wake_at - now < 10
        monkeypatch.setattr(module.time, "monotonic", lambda: wake_at)
        assert loop.answer(link).endswith(b"ok\n")


def test_who_hangs_up_early_is_forgotten(loop: Loop) -> None:
    for said in (b"", LEFT_OUT, REQUEST):
        link = loop.call()
        link.sendall(said)
        if link.family == socket.AF_INET:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset instead of an end
        link.close()
        loop.turn()
        assert loop.connections() == 0


def test_a_worker_that_cant_tell_its_condition_goes_on(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Health:
        raise KeyError("children")

    loop.port._report = fail
    status, body = loop.get("/ready")
    assert (status, body) == (503, b"the worker can't tell its condition: KeyError('children')\n")
    assert "could not be told" in caplog.text


def test_children_are_told_what_not_to_keep(loop: Loop) -> None:
    with loop.call():
        loop.turn()
        fds = set(loop.port.fds())
        assert fds == set(loop.selector.get_map())
        assert len(fds) == 2


def test_closing_hangs_up(tmp_path: Path) -> None:
    loop = Loop(f"unix:{tmp_path / 's'}")
    with loop.call() as link:
        loop.turn()
        loop.close()
        assert link.recv(1) == b""
    assert list(tmp_path.iterdir()) == []
    loop.port.close()


def test_all_interfaces() -> None:
    loop = Loop(":0")
    assert loop.get("/live") == (200, b"ok\n")
    if socket.has_dualstack_ipv6():
        with socket.create_connection(("::1", loop.port.port), timeout=5) as link:
            link.sendall(REQUEST)
            assert loop.answer(link).endswith(b"ok\n")
    loop.close()


def test_a_bare_port_is_for_this_machine_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    loop = Loop(str(number))
    assert loop.port._listener.getsockname() == ("127.0.0.1", number)
    loop.close()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_address_that_is_taken(kind: str, tmp_path: Path) -> None:
    first = Loop("127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path / 's'}")
    address = f"127.0.0.1:{first.port.port}" if kind == "tcp" else f"unix:{tmp_path / 's'}"
    with pytest.raises(OSError, match=f"the health port {address} can't be opened: Address already in use") as raised:
        Loop(address)
    assert raised.value.errno == errno.EADDRINUSE
    assert first.get("/live")[0] == 200
    first.close()


def test_a_socket_that_a_killed_worker_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    loop = Loop(f"unix:{path}")
    assert loop.get("/live")[0] == 200
    loop.close()


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="Address already in use"):
        Loop(f"unix:{path}")
    assert path.read_text() == "precious"


def test_the_socket_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = Loop(f"unix:{path}")
    path.rename(tmp_path / "moved")
    second: Any = Loop(f"unix:{path}")
    first.close()
    assert second.get("/live")[0] == 200
    second.close()
