"""Django's database connections where jobs run: what Django does around a request is done around a job.

Nothing happens unless the application has imported django.db and settings are configured; Django itself is never
imported from here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, ParamSpec

from atomiq._core.log import get_logger

_log: Final = get_logger("worker")
P = ParamSpec("P")


class _Place:
    """Where this process runs jobs."""

    inline = False


def before_fork() -> None:
    """Close connections and pools, so that no child has the supervisor's. One inside a transaction is left alone."""
    for connection in _open(spare_transactions=True):
        _try(connection, connection.close)
        # The wrapper makes a pool for whoever asks it; only one that exists is to be closed.
        if connection.alias in getattr(connection, "_connection_pools", ()):
            _try(connection, connection.close_pool)


def start_child(inline: bool = False) -> None:
    """Close what was inherited. `inline`: connections inside a transaction are the caller's, now and later."""
    _Place.inline = inline
    _close_all()


def stop_child() -> None:
    _close_all()
    _Place.inline = False


def around_job() -> None:
    """Forget queries that were noted, and close connections that are broken or older than CONN_MAX_AGE."""
    for connection in _open(_Place.inline):
        connection.queries_log.clear()
        if connection.in_atomic_block:
            _abandon(connection)
        else:
            _try(connection, connection.close_if_unusable_or_obsolete)


async def aside(function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call it in the thread in which Django's synchronous parts run for coroutines; connections belong to threads."""
    if _database() is None:
        function(*args, **kwargs)
    else:
        to_thread = importlib.import_module("asgiref.sync").sync_to_async
        await to_thread(function, thread_sensitive=True)(*args, **kwargs)


def _abandon(connection: Any) -> None:
    """A job that was interrupted has left its transaction open. Django would refuse this connection for ever."""
    _log.warning("Django's database connection %r was left inside a transaction; it is closed", connection.alias)
    _try(connection, connection.close)
    del _database().connections[connection.alias]


def _close_all() -> None:
    for connection in _open(_Place.inline):
        _try(connection, connection.close)


def _open(spare_transactions: bool) -> Iterator[Any]:
    """The connections of this thread."""
    database = _database()
    if database is None:
        return
    for connection in database.connections.all(initialized_only=True):
        if not (spare_transactions and connection.in_atomic_block):
            yield connection


def _database() -> Any:
    """django.db, once it is there as a whole and configured."""
    database, conf = sys.modules.get("django.db"), sys.modules.get("django.conf")
    whole = hasattr(database, "close_old_connections")
    return database if whole and getattr(getattr(conf, "settings", None), "configured", False) else None


def _try(connection: Any, act: Callable[[], object]) -> None:
    """A database that can't even be left says so in the log; a job that needs it will fail by itself."""
    try:
        act()
    except Exception:  # noqa: BLE001  whatever a database's driver raises
        _log.exception("Django's database connection %r could not be closed", connection.alias)
