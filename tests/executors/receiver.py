"""An HTTP server that takes webhooks down."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request. `said`: its body, parsed; None without one."""

    method: str
    path: str
    headers: dict[str, str]
    said: Any


@dataclass
class Receiver:
    """What has come, in order. Requests to paths that begin with /hold are answered when `release` is called."""

    url: str = ""
    got: list[Received] = field(default_factory=list)
    _held: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self._held.set()

    def paths(self) -> list[str]:
        return sorted(each.path for each in self.got)

    def of(self, path: str) -> list[Received]:
        return [each for each in self.got if each.path == path]

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        said = json.loads(body) if body else None
        self.got.append(Received(handler.command, handler.path, dict(handler.headers), said))
        if handler.path.startswith("/hold"):
            self._held.wait(30)
        handler.send_response(500 if handler.path.startswith("/error") else 204)
        handler.end_headers()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.take(self)

        def do_POST(self) -> None:
            found.take(self)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="receiver")
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        found.release()
        server.shutdown()
        thread.join()
        server.server_close()
