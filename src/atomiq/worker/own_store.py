"""The worker's own line to the server: never shared with user code, with short patience and no silent repetitions.

The loop has to hear of a broken connection at once, because it has children and leases to look after meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from atomiq._commands.base import as_is, plain, text
from atomiq._commands.views import view_time
from atomiq._core.errors import SERVER_AWAY, PermissionDenied, ScriptError
from atomiq._wire.prefixes import set_prefix
from atomiq._wire.siblings import fresh_like
from atomiq._wire.sync import Store

LONGEST_PATIENCE: Final = 3.0
"""Seconds. Signals and children wait as long as the loop waits for an answer, however long the lease is; and a
connection that died silently is to be replaced within ten."""


def own_store(connection: Any, name: str, lease: float) -> Store:
    """A store with a pool of its own to the server of `connection`. A command may take a third of a lease (seconds), at
    most `LONGEST_PATIENCE`."""
    timeout = min(max(2.0, lease / 3), LONGEST_PATIENCE)
    options: dict[str, Any] = {"retry": None, "retry_on_error": []}
    options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    store = _store_like(connection, client_name=client_name(name), **options)
    try:
        ping(store)
    except PermissionDenied:  # nobody needs the name, and an ACL user may be without CLIENT
        close_store(store)
        return _store_like(connection, client_name=None, **options)
    except SERVER_AWAY:
        pass  # its first command will say so
    return store


def _store_like(connection: Any, **options: Any) -> Store:
    fresh = fresh_like(connection, **options)
    set_prefix(fresh, Store.of(connection).keys.prefix)
    return Store.of(fresh)


def client_name(name: str) -> str:
    """A worker's name as a server takes it for a connection's: without blanks, and in ASCII."""
    return "".join(letter if "!" <= letter <= "~" else "_" for letter in name)


def close_store(store: Store) -> None:
    """Close its connections."""
    store.connection.connection_pool.disconnect()


def address_seen(store: Store) -> str:
    """`ip:port` of our connection as the server sees it; 'unknown' when it doesn't say (RQ's word)."""
    fields = dict(part.split("=", 1) for part in text(_ask(store, "CLIENT", "INFO")).split() if "=" in part)
    return fields.get("addr", "unknown")


def cut_off_for(store: Store, lease: float) -> float:
    """Seconds for which nobody may judge leases yet: the server has just started, and who worked before finds back."""
    info = _ask(store, "INFO", "server")  # redis-py makes a dict of it
    up_for = info.get("uptime_in_seconds") if isinstance(info, dict) else None
    return 0.0 if up_for is None else max(0.0, lease - float(up_for))


def ping(store: Store) -> None:
    """Raises ServerUnavailable when there is nobody."""
    store.run(plain("PING", (), as_is))


def anything_open(store: Store, queues: Sequence[str]) -> bool:
    """Whether there may be a lease, a stuck job, dependants or a group to look after: one command, as an idle fleet
    asks again and again."""
    keys = store.keys
    places = [name for queue in queues for name in (keys.wip(queue), keys.intermediate(queue))]
    return store.run(plain("EXISTS", [*places, keys.freeing(), keys.watched()], int)) > 0


def any_lease(store: Store, queues: Sequence[str]) -> bool:
    """Whether anybody holds a job of one of these queues: one command, however many they are."""
    return store.run(plain("EXISTS", [store.keys.wip(queue) for queue in queues], int)) > 0


def any_stuck(store: Store, queues: Sequence[str]) -> bool:
    """Whether a worker of RQ's has taken a job of one of these queues and not started it."""
    return store.run(plain("EXISTS", [store.keys.intermediate(queue) for queue in queues], int)) > 0


def clock(store: Store) -> float:
    """Seconds of the server's clock."""
    return store.run(view_time())


def first_end(store: Store, queue: str) -> float | None:
    """When the first lease of a queue is over, in seconds of the server's clock; None without any."""

    def decode(reply: Any) -> float | None:
        flat = [part for item in reply for part in (item if isinstance(item, list | tuple) else (item,))]
        return float(flat[1]) if flat else None

    return store.run(plain("ZRANGE", (store.keys.wip(queue), 0, 0, "WITHSCORES"), decode))


def _ask(store: Store, command: str, *arguments: str) -> Any:
    try:
        return store.run(plain(command, arguments, as_is))
    except (PermissionDenied, ScriptError):
        return b""
