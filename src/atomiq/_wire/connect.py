"""Connections: from whatever names a server to an ordinary redis.Redis, with a queue's timeouts and keepalive."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import EqualJitterBackoff, NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from atomiq._core.errors import InvalidURL
from atomiq._wire.driver import UNNAMED, with_driver
from atomiq._wire.embedded import parse_embedded_url, prepared_folder, short_socket_path, start_or_join
from atomiq._wire.prefixes import set_prefix
from atomiq._wire.siblings import address_of
from atomiq._wire.target import Target, find_target, parse_sentinel_url
from atomiq._wire.tls import tls_failure
from atomiq._wire.translate import BadLogin, Unavailable, of_login, translated

# A command is answered in milliseconds; a server that says nothing for this long is as good as gone. Blocking commands
# with longer waits use connections of their own.
SOCKET_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
# A handshake takes milliseconds. Who takes longer is asked whether it speaks TLS at all.
HANDSHAKE_S = 2.0
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
REPEATS = 3
"""So often a command whose connection broke is sent again. Ours do no harm when they are repeated, and a server that is
started anew within a second costs nobody an error. A silent one has had its time: it isn't asked again."""
BROKEN: Any = (redis.ConnectionError, ConnectionError, FileNotFoundError, redis.ReadOnlyError)
"""FileNotFoundError: a unix socket isn't there yet. ReadOnlyError: the name may lead to another server by now."""
MAX_CONNECTIONS = 2**31
"""redis-py before 8. Later ones refuse the 101st command at a time: of a hundred threads, or of tasks in a gather."""


def keepalive_options() -> dict[int, int]:
    """Ask after 30 silent seconds, every 10, and give up after three: a lost peer is known within a minute."""
    idle = "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE"
    wanted = {idle: 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


class EmbeddedConnection(redis.UnixDomainSocketConnection):
    """A connection that starts the embedded server again when it has ended: unused for long, or killed."""

    def __init__(self, folder: str = "", fsync: str = "everysec", idle_s: float = 60.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.embedded = (folder, fsync, idle_s)

    def _connect(self) -> Any:
        try:
            return super()._connect()  # type: ignore[no-untyped-call]
        except (FileNotFoundError, ConnectionRefusedError):
            self.path = start_or_join(*self.embedded)
            return super()._connect()  # type: ignore[no-untyped-call]


class AsyncEmbeddedConnection(redis.asyncio.UnixDomainSocketConnection):
    """The same for asyncio; a start happens in a thread."""

    def __init__(self, folder: str = "", fsync: str = "everysec", idle_s: float = 60.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embedded = (folder, fsync, idle_s)

    async def _connect(self) -> None:
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except (FileNotFoundError, ConnectionRefusedError):
            self.path = await asyncio.to_thread(start_or_join, *self.embedded)
            await super()._connect()  # type: ignore[no-untyped-call]


def connect(
    url: str | None = None,
    *,
    embedded: bool | str | os.PathLike[str] | None = None,
    prefix: str | None = None,
    **kwargs: Any,
) -> redis.Redis:
    """A connection to the server that is meant: an ordinary redis.Redis.

    Nothing is sent yet, except that an embedded server is started.

    Args:
        url: redis://, rediss://, unix://, redis+sentinel://, embedded:// (also valkey://, valkeys://). Default: what
            `embedded` says, else ATOMIQ_URL, RQ_REDIS_URL or REDIS_URL, else REDIS_HOST and its companions, else
            localhost:6379.
        embedded: True for the embedded server in `.atomiq/`, or its folder.
        prefix: what keys start with; default ATOMIQ_PREFIX, else `rq:`.
        **kwargs: for redis.Redis; they win over what atomiq sets (timeouts, keepalive, repeats), and the URL over both.
            `sentinel_kwargs` is a dict of options for the connections to sentinels.

    Raises:
        InvalidURL: not a URL that atomiq can connect to.
        EmbeddedServerError: the embedded server can't run.
    """
    target = find_target(url, embedded)
    kwargs = repeating(Retry, kwargs)
    if target.scheme == "embedded":
        pool_kwargs = embedded_kwargs(target, kwargs)
        start_or_join(pool_kwargs["folder"], pool_kwargs["fsync"], pool_kwargs["idle_s"])
        connection = redis.Redis.from_pool(redis.ConnectionPool(EmbeddedConnection, **pool_kwargs))
    elif target.scheme.endswith("+sentinel"):
        connection = from_sentinel(target, Sentinel, redis.connection.parse_url, kwargs)
    else:
        with refused_as_invalid(target):
            connection = redis.Redis.from_url(target.url, **with_defaults(target, kwargs))
            try_options(connection)
    if prefix is not None:
        set_prefix(connection, prefix)
    return connection


def aconnect(
    url: str | None = None,
    *,
    embedded: bool | str | os.PathLike[str] | None = None,
    prefix: str | None = None,
    **kwargs: Any,
) -> redis.asyncio.Redis:
    """`connect` for asyncio: an ordinary redis.asyncio.Redis.

    Not a coroutine; an embedded server is started by the first command, so that the event loop never waits for it.

    Raises:
        InvalidURL: not a URL that atomiq can connect to.
    """
    target = find_target(url, embedded)
    kwargs = repeating(AsyncRetry, kwargs)
    connection: redis.asyncio.Redis
    if target.scheme == "embedded":
        pool_kwargs = embedded_kwargs(target, kwargs)
        pool = redis.asyncio.ConnectionPool(AsyncEmbeddedConnection, **pool_kwargs)
        connection = redis.asyncio.Redis.from_pool(pool)
    elif target.scheme.endswith("+sentinel"):
        connection = from_sentinel(target, AsyncSentinel, redis.asyncio.connection.parse_url, kwargs)
    else:
        with refused_as_invalid(target):
            connection = redis.asyncio.Redis.from_url(target.url, **with_defaults(target, kwargs))
            try_options(connection)
    if prefix is not None:
        set_prefix(connection, prefix)
    return connection


def repeating(retry: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The caller's options, with repeats if they don't say how often. All pauses together are 0.7 to 1.4 s."""
    if "retry" in kwargs:
        return kwargs
    # redis-py before 6 repeats commands for the errors of `retry_on_error` only.
    backoff = EqualJitterBackoff(cap=1, base=0.1)
    return {"retry": retry(backoff, REPEATS, BROKEN), "retry_on_error": list(BROKEN)} | kwargs


def with_defaults(target: Target, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The caller's options over atomiq's; keepalive only where there is a TCP connection."""
    defaults: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "max_connections": MAX_CONNECTIONS,
    }
    if target.scheme not in ("unix", "embedded"):
        defaults |= {"socket_keepalive": True, "socket_keepalive_options": keepalive_options()}
    return with_driver(defaults | kwargs)


def embedded_kwargs(target: Target, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What an embedded connection needs; its folder absolute, so that a later change of directory changes nothing."""
    said = parse_embedded_url(target.url)
    folder = prepared_folder(said.folder)
    own = {
        "path": short_socket_path(folder),
        "folder": str(folder),
        "fsync": said.fsync,
        "idle_s": said.idle_s,
        "db": said.db,
    }
    return with_defaults(target, kwargs) | own


def from_sentinel(target: Target, sentinel: Any, parse_url: Any, kwargs: dict[str, Any]) -> Any:
    """A client that asks the sentinels for the master each time it connects."""
    said = parse_sentinel_url(target)
    options = with_defaults(target, kwargs)
    with refused_as_invalid(target):
        options |= {name: value for name, value in parse_url(said.plain).items() if name not in ("host", "port")}
    options.pop("connection_class", None)
    if target.scheme.startswith("rediss"):
        options["ssl"] = True
    sentinel_options = {
        "password": options.pop("sentinel_password", None),
        "username": options.pop("sentinel_username", None),
    }
    # Who does not answer is not asked again: the next sentinel is.
    asked: dict[str, Any] = {"socket_timeout": CONNECT_TIMEOUT_S, "retry": None}
    asked |= {name: value for name, value in sentinel_options.items() if value}
    asked |= options.pop("sentinel_kwargs", {})
    with refused_as_invalid(target):
        connection = sentinel(list(said.sentinels), sentinel_kwargs=asked).master_for(said.master, **options)
        try_options(connection)
    return connection


@contextmanager
def refused_as_invalid(target: Target) -> Iterator[None]:
    """What redis-py refuses in the block, before anything is sent, is said of the URL."""
    try:
        yield
    except (ValueError, TypeError, redis.RedisError) as error:
        raise InvalidURL(f"{target}: {error}") from error


def try_options(connection: Any) -> None:
    """Make one connection, unconnected: redis-py looks at its options only then. The files that TLS needs it opens
    later still, and says of one that isn't there that it met no server."""
    options = connection.connection_pool.connection_kwargs
    connection.connection_pool.connection_class(**options)
    for name in TLS_FILES:
        try:
            if options.get(name):
                Path(options[name]).read_bytes()
        except OSError as error:
            raise ValueError(f"{name}={options[name]} can't be read: {error.strerror}") from error


def check_connection(connection: redis.Redis, tried: str = "") -> None:
    """Ask the server once for a sign of life, without the client's patient repeats.

    Args:
        connection: any redis.Redis.
        tried: where it leads and who said so; str() of a Target. Default: the connection's own address.

    Raises:
        ServerUnavailable: it refused or did not answer; says what was tried and how to do without a server. It is a
            redis.ConnectionError too.
        CredentialsRefused: it is there and wants another password or user.
        ServerError: it is there and has no such database.
    """
    pool = connection.connection_pool
    tried = tried or address_of(connection)
    try:
        ask_for_life(pool)
    except redis.AuthenticationError as error:
        raise BadLogin(f"{tried} {of_login(str(error))}") from error
    except redis.ResponseError as error:
        # Who can't write to its disk refuses even PING, but whatever only reads works.
        if not str(error).startswith("MISCONF"):
            raise translated(error, "PING", tried) from error
    except (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse, OSError) as error:
        raise Unavailable(unavailable_text(tried, error)) from error


def ask_for_life(pool: Any) -> None:
    """One PING on a connection of its own. Raises redis-py's errors; those that TLS explains say so."""
    kind, options = pool.connection_class, pool.connection_kwargs
    has_tls = issubclass(kind, redis.SSLConnection)
    if has_tls:
        hasty = probe(kind, {**options, "socket_timeout": HANDSHAKE_S})
        try:
            ping(hasty)
            return
        except redis.TimeoutError:
            # A server without TLS takes our greeting for the beginning of a command, and waits for its end.
            if speaks_plainly(hasty.host, hasty.port):
                raise redis.ConnectionError("it speaks without TLS, so its URL begins with redis://") from None
    try:
        ping(probe(kind, options))
    except redis.ConnectionError as error:
        if not has_tls and ("reset by peer" in str(error) or "closed by server" in str(error)):
            raise redis.ConnectionError(
                f"{str(error).rstrip('.')} (if it wants TLS, its URL begins with rediss://)"
            ) from error
        raise


def probe(kind: Any, options: dict[str, Any]) -> Any:
    """A connection for one PING: it tells nobody's name, and repeats nothing."""
    return kind(**{**options, **UNNAMED, "retry": Retry(NoBackoff(), 0)})


def ping(connection: Any) -> None:
    """One PING; closes the connection."""
    try:
        connection.connect()
        connection.send_command("PING")
        connection.read_response()
    finally:
        connection.disconnect()


def speaks_plainly(host: str, port: int) -> bool:
    """Whether a server answers there to a PING without TLS, be it with a refusal."""
    timeouts = {"socket_timeout": HANDSHAKE_S, "socket_connect_timeout": HANDSHAKE_S}
    try:
        ping(probe(redis.Connection, {"host": host, "port": port, **timeouts}))
    except (redis.AuthenticationError, redis.ResponseError):
        return True
    except (redis.RedisError, OSError):
        return False
    return True


def unavailable_text(tried: str, error: Exception) -> str:
    """What a person reads whose server isn't there, or can't be talked to."""
    # redis-py appends the representation of a whole connection pool when no sentinel knows the master.
    reason = str(error).partition(" : <")[0].rstrip(".")
    return tls_failure(tried, reason) or (
        f"no server at {tried}: {reason}. Start Redis or Valkey there, name another with --url or "
        "ATOMIQ_URL, or use the embedded server: --embedded on the command line, embedded:// as the URL, "
        "connect(embedded=True) in Python"
    )


REDIS_RUNTIME_CONNECTION_KWARGS = (
    "maint_notifications_config",
    "maint_notifications_pool_handler",
    "himport_registry",
    "event_dispatcher",
    "orig_host_address",
    "orig_socket_timeout",
    "orig_socket_connect_timeout",
)
"""What redis-py notes among a pool's arguments while it runs; it belongs to that process (RQ)."""


def get_connection_kwargs(connection: Any) -> dict[str, Any]:
    """The keyword arguments of a connection's pool, for making it anew, in another process if need be (RQ)."""
    found = connection.connection_pool.connection_kwargs
    return {name: value for name, value in found.items() if name not in REDIS_RUNTIME_CONNECTION_KWARGS}


def parse_connection(connection: Any) -> tuple[type[Any], type[Any], dict[str, Any]]:
    """Client class, connection class and pool arguments, for making a connection anew in another process (RQ)."""
    return type(connection), connection.connection_pool.connection_class, get_connection_kwargs(connection)
