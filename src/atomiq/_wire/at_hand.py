"""A connection kept at hand between two commands.

A pool of redis-py's takes longer to lend a connection and to take it back than a whole enqueue takes to be made: it
locks, counts, and tells observers. So one connection stays lent, to be used again by whoever of this process comes
first; the others find the pool as ever. What the pool looks after is looked after here: forks, and connections that the
server has closed meanwhile.
"""

from __future__ import annotations

import inspect
import os
import time
from typing import Any, Final

import redis
import redis.exceptions as redis_errors

ROOM: Final = 50
"""A pool that may have fewer connections than this keeps all of them for those who ask it."""
TRUST: Final = 1.0
"""Seconds. One used so lately isn't asked whether it still works, if its client tries again when it doesn't."""

_ASKS_FOR_A_NAME: Final = (
    inspect.signature(redis.ConnectionPool.get_connection).parameters["command_name"].default is inspect.Parameter.empty
)
"""get_connection of redis-py before 5.3."""


class AtHand:
    """For one client. Threads may share it: each connection is taken by one of them."""

    def __init__(self, pool: Any) -> None:
        """`pool`: whose connections will be borrowed; it isn't kept."""
        self._kept: list[Any] = []
        self._trusted_until = 0.0
        self._keeps = (
            type(pool) is redis.ConnectionPool  # others do more when a connection is lent or comes back
            and pool.max_connections >= ROOM
            and pool.connection_kwargs.get("credential_provider") is None  # may want to renew one that comes back
        )

    def take(self, pool: Any) -> Any:
        """A connection, one that works as far as is known. Raises redis-py's errors."""
        try:
            connection = self._kept.pop()
        except IndexError:
            return pool.get_connection("EVALSHA") if _ASKS_FOR_A_NAME else pool.get_connection()
        if connection.pid != os.getpid():  # a parent's
            return self.take(pool)
        if time.monotonic() < self._trusted_until:
            return connection
        try:
            spoilt = connection.can_read()
        except (redis_errors.RedisError, OSError):
            spoilt = True
        if spoilt:  # closed by the server, or a reply that nobody has read: it is opened again when something is sent
            connection.disconnect()
        return connection

    def put_back(self, pool: Any, connection: Any) -> None:
        """Where `take` has got it from, or to hand."""
        if self._keeps and not self._kept and not _to_be_renewed(connection):
            self._trusted_until = time.monotonic() + TRUST if _tries_again(connection) else 0.0
            self._kept.append(connection)
        else:
            pool.release(connection)


def _to_be_renewed(connection: Any) -> bool:
    """Whether its server has said that it moves (redis-py 6.4 and later): the pool sees to it."""
    asked = getattr(connection, "should_reconnect", None)
    return asked is not None and bool(asked())


def _tries_again(connection: Any) -> bool:
    return getattr(connection.retry, "_retries", 0) != 0
