"""A connection's pattern as bytes, so that another process on this machine can make one like it."""

from __future__ import annotations

import pickle
from typing import Any

import redis

from atomiq._core.errors import InvalidOption
from atomiq._wire.prefixes import prefix_of, set_prefix
from atomiq._wire.siblings import sentinels_of


def pattern_of(connection: redis.Redis) -> bytes:
    """What `connection_like` takes.

    Raises:
        InvalidOption: a ValueError; the pool holds something that only this process can use.
    """
    pool: Any = connection.connection_pool
    kwargs = {name: value for name, value in pool.connection_kwargs.items() if _is_asked_for(name, value)}
    sentinel = None
    if hasattr(pool, "sentinel_manager"):
        sentinel = (sentinels_of(pool), pool.sentinel_manager.sentinel_kwargs, pool.service_name)
    parts = (type(connection), pool.connection_class, kwargs, sentinel, prefix_of(connection))
    try:
        return pickle.dumps(parts)
    except Exception as error:
        raise InvalidOption(
            f"the connection can't be made again in a fresh process ({type(error).__name__}: {error}); give the worker "
            "one that was made from a URL, or use an executor that forks"
        ) from error


def connection_like(pattern: bytes) -> redis.Redis:
    """A client after the pattern of another process's."""
    client, connection_class, kwargs, sentinel, prefix = pickle.loads(pattern)
    if sentinel is None:
        made = client(connection_pool=redis.ConnectionPool(connection_class=connection_class, **kwargs))
    else:
        sentinels: Any = redis.sentinel.Sentinel  # untyped in redis-py
        from_sentinel = sentinels(sentinel[0], sentinel_kwargs=sentinel[1])
        made = from_sentinel.master_for(sentinel[2], redis_class=client, connection_class=connection_class, **kwargs)
    set_prefix(made, prefix)
    return made  # type: ignore[no-any-return]


def make_connection(client: type[Any], connection_class: type[Any], kwargs: dict[str, Any]) -> Any:
    """A client of the three parts that `parse_connection` says (RQ's way)."""
    return client(connection_pool=redis.ConnectionPool(connection_class=connection_class, **kwargs))


def _is_asked_for(name: str, value: Any) -> bool:
    """Whether the user meant it, and it isn't one of the pool's own parts, which another pool makes for itself."""
    if name in ("credential_provider", "retry"):
        return True
    not_given = type(value) is object  # redis-py's mark for it, which is another object in another process
    return name != "connection_pool" and not not_given and not type(value).__module__.startswith("redis.")
