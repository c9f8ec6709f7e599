"""An HTTP request that ends in time, whatever the server does.

urllib's timeout is for silence: a server that says a letter now and then is never silent for so long.
"""

from __future__ import annotations

import copy
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.request import BaseHandler, HTTPHandler, HTTPSHandler, Request


class Way:
    """The connections of one request, redirects included, to be broken off from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self.is_over = False

    def open(self, request: Request, timeout: float) -> None:
        """Send it as urlopen would, and read the head of the answer."""
        # What urlopen goes through: the user's, if there is one (for a proxy, or certificates).
        usual: Any = vars(urllib.request).get("_opener") or urllib.request.build_opener()
        opener = urllib.request.OpenerDirector()
        opener.addheaders = list(usual.addheaders)
        for handler in usual.handlers:
            opener.add_handler(self._known(handler))
        with opener.open(request, timeout=timeout):
            pass

    def _known(self, handler: BaseHandler) -> BaseHandler:
        """A copy of a handler, whose connections we hear of; those of a kind that the user has made are his."""
        copied: Any = copy.copy(handler)
        if type(handler) in _KNOWN:
            copied.__class__, copied.way = _KNOWN[type(handler)], self
        return copied  # type: ignore[no-any-return]

    def know(self, connected: socket.socket) -> None:
        """An end of our own: who uses the connection may wrap, close or forget the other."""
        with self._lock:
            self._ends.append(connected.dup())
        if self.is_over:
            self.break_off()

    def break_off(self) -> None:
        """Whoever reads or writes hears that the connection has ended."""
        with self._lock:
            self.is_over = True
            for end in self._ends:
                with suppress(OSError):  # it has ended already
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            for end in self._ends:
                end.close()
            self._ends.clear()


@contextmanager
def within(seconds: float) -> Iterator[Way]:
    """Raises TimeoutError after so long, whatever has come of it until then."""
    way = Way()
    timer = threading.Timer(seconds, way.break_off)
    timer.name, timer.daemon = "atomiq-webhook-limit", True
    timer.start()
    try:
        yield way
    except Exception as error:
        if not way.is_over:
            raise
        raise TimeoutError(f"not through within {seconds:g} s") from error
    finally:
        timer.cancel()
        timer.join()
        way.close()
    if way.is_over:
        raise TimeoutError(f"not through within {seconds:g} s")


class _KnownConnection(HTTPConnection):
    """Tells its way of the connection, before TLS is spoken on it."""

    way: Way

    def connect(self) -> None:
        super().connect()
        self.way.know(self.sock)


class _KnownSecureConnection(HTTPSConnection, _KnownConnection):
    """The same for https."""


class _Http(HTTPHandler):
    way: Way

    def do_open(self, http_class: Any, req: Request, **http_conn_args: Any) -> HTTPResponse:
        return super().do_open(partial(_connection, _KnownConnection, self.way), req, **http_conn_args)


class _Https(HTTPSHandler):
    way: Way

    def do_open(self, http_class: Any, req: Request, **http_conn_args: Any) -> HTTPResponse:
        return super().do_open(partial(_connection, _KnownSecureConnection, self.way), req, **http_conn_args)


_KNOWN: Final[dict[type, type]] = {HTTPHandler: _Http, HTTPSHandler: _Https}


def _connection(kind: type[_KnownConnection], way: Way, host: str, **options: Any) -> HTTPConnection:
    connection = kind(host, **options)
    connection.way = way
    return connection
