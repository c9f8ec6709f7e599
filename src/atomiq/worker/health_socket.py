"""The socket of a health port."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

from atomiq._core.addresses import Address
from atomiq._core.errors import HealthPortError

MOST_CONNECTIONS: Final = 32


def open_listener(address: Address) -> socket.socket:
    """A socket that listens and doesn't block.

    Raises:
        HealthPortError: says which address and why.
    """
    try:
        listener = _unix_listener(address.path) if address.path else _tcp_listener(address)
    except OSError as error:
        why = error.strerror or str(error)
        raise HealthPortError(error.errno, f"the health port {address} can't be opened: {why}") from error
    listener.setblocking(False)
    return listener


def _tcp_listener(address: Address) -> socket.socket:
    if not address.host and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # a machine without IPv6; a port that is taken is taken for IPv4 too
            return socket.create_server(("", address.port), family=socket.AF_INET6, dualstack_ipv6=True)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family)


def _unix_listener(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        try:
            listener.bind(path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _left_behind(path):
                raise
            Path(path).unlink()
            listener.bind(path)
        listener.listen(MOST_CONNECTIONS)
    except BaseException:
        listener.close()
        raise
    return listener


def _left_behind(path: str) -> bool:
    """Whether it is a socket on which nobody listens any more."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False
