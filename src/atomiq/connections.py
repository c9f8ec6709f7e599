"""Connections to the server: `connect`, its asyncio twin, and RQ's helpers of the module of this name."""

from __future__ import annotations

from atomiq._core.errors import AtomiqError
from atomiq._wire.connect import (
    REDIS_RUNTIME_CONNECTION_KWARGS,
    aconnect,
    connect,
    get_connection_kwargs,
    parse_connection,
)

__all__ = [
    "REDIS_RUNTIME_CONNECTION_KWARGS",
    "NoRedisConnectionException",
    "aconnect",
    "connect",
    "get_connection_kwargs",
    "parse_connection",
]


class NoRedisConnectionException(AtomiqError):
    """No connection was given where one is needed (RQ; atomiq never raises it)."""
