"""A connection kept at hand between two commands.

A pool of redis-py's takes longer to lend a connection and to take it back than a whole enqueue takes to be made: it
locks, counts, and tells observers. So one connection stays lent, to be used again by whoever of this process comes
first; the others find the pool as ever. What the pool looks after is looked after here: forks, and connections that the
server has closed meanwhile.
"""

from __future__ import annotations

import inspect
import os
import select
import socket
from typing import Any, Final

import redis
import redis.exceptions as redis_errors

from atomiq._core.signature import signature_of

ROOM: Final = 50
"""A pool that may have fewer connections than this keeps all of them for those who ask it."""

ASKS_FOR_A_NAME: Final = (
    signature_of(redis.ConnectionPool.get_connection).parameters["command_name"].default is inspect.Parameter.empty
)
"""get_connection of redis-py before 5.3."""

_POLL: Final = getattr(select, "poll", None)
"""Not on Windows."""

_WHERE: Final = "_atomiq_at_hand"
"""Among the attributes of a pool."""


class AtHand:
    """For one pool. Threads may share it: each connection is taken by one of them."""

    def __init__(self, pool: Any) -> None:
        """`pool`: whose connections will be borrowed; it isn't kept."""
        self._kept: list[Any] = []
        self._glance: tuple[Any, Any] = (None, None)
        """A socket, and what looks at it: the last connection's, which mostly is the next one's too."""
        self._keeps = (
            type(pool) is redis.ConnectionPool  # others do more when a connection is lent or comes back
            and pool.max_connections >= ROOM
            and pool.connection_kwargs.get("credential_provider") is None  # may want to renew one that comes back
        )

    @classmethod
    def of(cls, pool: Any) -> AtHand:
        """The pool's own. Not a client's: an application may make one for each request, over one pool, and each that
        is gone would leave a connection lent."""
        held: dict[str, Any] = vars(pool)  # where nothing of it outlives the pool, which its connections may refer to
        found: AtHand = held.get(_WHERE) or held.setdefault(_WHERE, cls(pool))  # another thread may be first
        return found

    def take(self, pool: Any) -> Any:
        """A connection, one that works as far as is known. Raises redis-py's errors."""
        try:
            connection = self._kept.pop()
        except IndexError:
            return pool.get_connection("EVALSHA") if ASKS_FOR_A_NAME else pool.get_connection()
        if connection.pid != os.getpid():  # a parent's
            self._glance = (None, None)
            return self.take(pool)
        try:
            if not self._is_at_rest(connection):
                _make_fit(connection)
        except BaseException:  # a signal's handler may raise, too
            pool.release(connection)
            raise
        return connection

    def put_back(self, pool: Any, connection: Any) -> None:
        """Where `take` has got it from, or to hand."""
        if self._keeps and not self._kept and not _to_be_renewed(connection):
            self._kept.append(connection)
        else:
            pool.release(connection)

    def give_up(self, pool: Any) -> None:
        """Let the pool have what is kept."""
        try:
            while True:
                pool.release(self._kept.pop())
        except IndexError:  # it may be in use, and kept again later
            return

    def _is_at_rest(self, connection: Any) -> bool:
        """Whether it is open and has nothing to say, where a glance is enough to tell."""
        link = connection._sock  # noqa: SLF001  redis-py's own look takes three times as long
        if type(link) is not socket.socket or _POLL is None:
            return False
        known, poll = self._glance  # of this connection, or not used: nobody else looks at it now
        if known is not link:
            poll = _POLL()
            poll.register(link, select.POLLIN)
            self._glance = (link, poll)
        return not poll.poll(0)


def _make_fit(connection: Any) -> None:
    """Open it, if it is closed or can't be used. Here, as its Retry is asked for each time that a command is sent, and
    again for opening: a server that is away would be tried as often as both say together."""
    connection.connect()
    try:
        spoilt = connection.can_read()
    except (redis_errors.RedisError, OSError):
        spoilt = True
    if spoilt:  # closed by the server, or a reply that nobody has read
        connection.disconnect()
        connection.connect()


def _to_be_renewed(connection: Any) -> bool:
    """Whether its server has said that it moves (redis-py 6.4 and later): the pool sees to it."""
    asked = getattr(connection, "should_reconnect", None)
    return asked is not None and bool(asked())
