"""A primary that has become a replica, or a node of a cluster whose slot another one has now.

Its connections may stay open, as with managed servers, whose name leads to the new primary from then on. Who has one
could read for ever and never write again, so it is closed, and the next one is opened to whom the name leads to.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.exceptions as redis_errors

from atomiq._wire.at_hand import AtHand


def is_demoted(error: Exception) -> bool:
    """Whether this is what a replica says to a write. (Redis before 7 says it inside a script's error.)"""
    return isinstance(error, redis_errors.ReadOnlyError) or "READONLY" in str(error) or has_moved(error)


def has_moved(error: Exception) -> bool:
    """Whether this is what a node of a cluster says that doesn't have these keys, or is giving them away."""
    return isinstance(error, redis_errors.AskError) or str(error).startswith(("MOVED ", "ASK "))  # MOVED is one, too


def leave(pool: Any) -> None:
    """Close a pool's connections, but for those that somebody uses: they hear it themselves."""
    AtHand.of(pool).give_up(pool)
    if isinstance(pool, redis.BlockingConnectionPool):
        pool.disconnect()  # redis-py 5's knows only all of them
    else:
        pool.disconnect(inuse_connections=False)


def asks_sentinels(connection: Any) -> bool:
    """Whether this connection, made anew, leads to the present primary, as sentinels know it."""
    return bool(getattr(getattr(connection, "connection_pool", None), "is_master", False))
