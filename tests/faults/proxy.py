"""A proxy before a server's socket that can swallow one reply and hang up: it has acted, the caller doesn't know. It
can also fall silent."""

from __future__ import annotations

import selectors
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CuttingProxy:
    """`cut(needle)`: the next request that holds `needle` is passed on, its reply is not, and both ends are closed.
    `fall_silent()`: on the connections that exist, nothing is passed on any more, and none is closed; new ones work.
    `swallow(needle)`: the next request that holds `needle` is not passed on, nor what its connection sends later.
    `lead_to(server)`: new connections lead to that one, as when a name's address has changed; the others stay."""

    def __init__(self, server: str, path: str) -> None:
        self.path = path
        self.cuts = self.swallowed = 0
        self._server = server
        self._needle: bytes | None = None
        self._swallowed: bytes | None = None
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._doomed: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakes = socket.socketpair()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="cutting proxy")
        self._thread.start()

    def cut(self, needle: bytes = b"") -> None:
        self._needle = needle

    def fall_silent(self) -> None:
        self._silent |= set(self._pairs)

    def swallow(self, needle: bytes) -> None:
        self._swallowed = needle

    def lead_to(self, server: str) -> None:
        self._server = server

    def close(self) -> None:
        self._waker.send(b"x")
        self._thread.join(5)
        for link in [*self._pairs, self._listener, self._waker, self._wakes]:
            link.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                link = key.fileobj
                assert isinstance(link, socket.socket)
                if link is self._wakes:
                    return
                if link is self._listener:
                    self._accept()
                elif link in self._pairs:
                    self._pass_on(link)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._server)
        for one, other in ((client, server), (server, client)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ, data=one is client)

    def _pass_on(self, link: socket.socket) -> None:
        other = self._pairs[link]
        try:
            data = link.recv(1 << 20)
        except OSError:
            data = b""
        if link in self._silent and data:
            return
        if link in self._doomed and data:
            self.cuts += 1  # the server's answer: it has acted
            data = b""
        if not data:
            self._hang_up(link)
            return
        if self._swallowed is not None and self._selector.get_key(link).data and self._swallowed in data:
            self._swallowed = None
            self.swallowed += 1
            self._silent.add(link)
            return
        if self._needle is not None and self._selector.get_key(link).data and self._needle in data:
            self._needle = None
            self._doomed.add(other)
        try:
            other.sendall(data)
        except OSError:
            self._hang_up(link)

    def _hang_up(self, link: socket.socket) -> None:
        for one in (link, self._pairs[link]):
            self._selector.unregister(one)
            self._pairs.pop(one, None)
            self._doomed.discard(one)
            self._silent.discard(one)
            one.close()


@contextmanager
def cutting_proxy(server: str) -> Iterator[CuttingProxy]:
    """A proxy before the server on this unix socket."""
    with tempfile.TemporaryDirectory(prefix="aq-", dir="/tmp") as folder:
        proxy = CuttingProxy(server, str(Path(folder) / "p"))
        try:
            yield proxy
        finally:
            proxy.close()
