"""Connections made after the pattern of a caller's: same server, same credentials, other manners.

Scripts answer with bytes, so a connection with `decode_responses=True` gets a sibling without. Blocking reads get a
connection of their own, whose socket timeout is theirs and not the caller's.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import redis
import redis.asyncio

from atomiq._wire.driver import with_driver
from atomiq._wire.prefixes import prefix_of

ON_A_CLUSTER: Final = (
    "on a cluster all keys of a deployment have to be in one slot, so give it a prefix with a hash tag "
    "(ATOMIQ_PREFIX={app}:) and connect to the node that has the slot"
)
_CONNECTIONS: Final = (redis.connection.AbstractConnection, redis.asyncio.connection.AbstractConnection)

Client = TypeVar("Client", redis.Redis, redis.asyncio.Redis)


def binary_sibling(connection: Client) -> Client:
    """`connection` itself, or one like it that returns bytes."""
    kwargs = connection.connection_pool.connection_kwargs
    if not kwargs.get("decode_responses"):
        return connection
    return type(connection)(connection_pool=_pool_like(connection.connection_pool, decode_responses=False))


def fresh_like(connection: Client, **changes: Any) -> Client:
    """A client with a pool of its own to the same server."""
    return type(connection)(connection_pool=_pool_like(connection.connection_pool, decode_responses=False, **changes))


def _pool_like(pool: Any, **changes: Any) -> Any:
    kwargs = with_driver({**pool.connection_kwargs, **changes})
    kwargs.pop("connection_pool", None)
    if hasattr(pool, "sentinel_manager"):
        # The pool has taken `ssl` out of its options: the class alone still says it.
        kwargs |= {"is_master": pool.is_master, "connection_class": pool.connection_class}
        return type(pool)(pool.service_name, pool.sentinel_manager, **kwargs)
    # One of the blocking pool's own settings may be missing here; a plain pool serves a sibling as well.
    pool_type = redis.asyncio.ConnectionPool if isinstance(pool, redis.asyncio.ConnectionPool) else redis.ConnectionPool
    return pool_type(connection_class=pool.connection_class, **kwargs)


def single_connection(connection: redis.Redis | redis.asyncio.Redis, socket_timeout: float | None = None) -> Any:
    """One unpooled connection object for blocking reads, RESP2, returning bytes.

    The caller connects and closes it: by itself it would connect with the first command, but without asking the
    sentinels, to the port that Redis has by default.
    """
    pool: Any = connection.connection_pool
    kwargs = {
        **pool.connection_kwargs,
        "decode_responses": False,
        "socket_timeout": socket_timeout,
        "protocol": 2,
        "health_check_interval": 0,
    }
    if kwargs.get("password") and not kwargs.get("username") and _says_hello(pool.connection_kwargs):
        # HELLO has sent the password as that of `default`, who may need none; AUTH without a user is refused then.
        kwargs["username"] = "default"
    return pool.connection_class(**with_driver(kwargs))


def _says_hello(kwargs: dict[str, Any]) -> bool:
    """Whether connections with these options speak RESP3, and so begin with HELLO."""
    return str(kwargs.get("protocol") or getattr(redis.connection, "DEFAULT_RESP_VERSION", 2)) == "3"


def check_client(connection: object, *, asyncio: bool) -> None:
    """Refuse what is not a client of redis-py, or one of the other kind.

    Raises:
        TypeError: says which kind is needed, and where it comes from.
    """
    pool = getattr(connection, "connection_pool", None)
    wanted = (
        "a redis.asyncio.Redis, such as atomiq.aio.connect()" if asyncio else "a redis.Redis, such as atomiq.connect()"
    )
    if isinstance(connection, redis.RedisCluster | redis.asyncio.RedisCluster):
        raise TypeError(f"the connection must be {wanted}, not {type(connection).__name__}: {ON_A_CLUSTER}")
    if pool is None:
        raise TypeError(f"the connection must be {wanted}, not {type(connection).__name__}: {connection!r}")
    kind = getattr(pool, "connection_class", None)
    if isinstance(kind, type) and not issubclass(kind, _CONNECTIONS):
        origin = type(connection).__module__.partition(".")[0]
        raise TypeError(f"the connection must be {wanted}, which speaks to Valkey too; this one is of {origin}")
    if isinstance(connection, redis.asyncio.Redis) is not asyncio:
        other = "atomiq.Queue and its like" if asyncio else "atomiq.aio"
        raise TypeError(f"the connection must be {wanted}; this one is for {other}")


def lives_here(connection: Any) -> bool:
    """Whether its server is in the memory of this process (fakeredis). It has no socket to wait on, the number that it
    says instead is a file of somebody else's, and a fork gets a copy of the data."""
    kinds = connection.connection_pool.connection_class.__mro__
    return any(kind.__module__.partition(".")[0] == "fakeredis" for kind in kinds)


def address_of(connection: Any) -> str:
    """Where a connection goes, for messages."""
    pool = connection.connection_pool
    kwargs = pool.connection_kwargs
    if kwargs.get("path"):
        return str(kwargs["path"])
    if sentinels := sentinels_of(pool):
        asked = ", ".join(f"{host}:{port}" for host, port in sentinels)
        return f"{pool.service_name}/{kwargs.get('db') or 0} of the sentinels {asked}"
    return f"{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}/{kwargs.get('db') or 0}"


def sentinels_of(pool: Any) -> list[tuple[str, int]]:
    """Addresses of the sentinels that a pool asks for its server; none when it knows the server itself."""
    manager = getattr(pool, "sentinel_manager", None)
    asked = [one.connection_pool.connection_kwargs for one in manager.sentinels] if manager is not None else []
    return [(kwargs["host"], kwargs["port"]) for kwargs in asked]


def server_of(connection: Any) -> Any:
    """The same for all clients of a server: an application may make a new one for each request."""
    pool = getattr(connection, "connection_pool", None)
    given = getattr(pool, "connection_kwargs", None)
    if given is None:
        return id(connection)
    service = (type(pool).__name__, getattr(pool, "service_name", None), *sentinels_of(pool))
    names = ("host", "port", "path", "db", "username")
    return (type(connection), *service, prefix_of(connection), *(given.get(name) for name in names))
