"""Suspending all workers of a server and letting them go on (RQ's `rq.suspension`).

While suspended, workers take no job; enqueuing goes on, and what runs runs to its end.
"""

from __future__ import annotations

from typing import Any

from atomiq._commands import queues
from atomiq._commands.views import view_suspended
from atomiq._core.errors import InvalidTime
from atomiq._core.keys import Keys
from atomiq._core.ttl import LONGEST_SECONDS
from atomiq._wire.sync import Store

WORKERS_SUSPENDED = Keys().suspended()


def check_duration(ttl: int | None) -> None:
    """Raises InvalidTime for a duration below one second, or above what a server can count."""
    if ttl is not None and not 1 <= ttl <= LONGEST_SECONDS:
        limit = "at least one second" if ttl < 1 else f"at most {LONGEST_SECONDS} seconds"
        raise InvalidTime(f"ttl={ttl!r}: a suspension lasts {limit}; leave it out to suspend until resumed")


def suspend(connection: Any, ttl: int | None = None) -> None:
    """Let no worker take a job, for `ttl` seconds, or until `resume`. One step: it can't be left without its end.

    Raises:
        InvalidTime: a ValueError; ttl below 1, or above a thousand years.
    """
    check_duration(ttl)
    store = Store.of(connection)
    store.run(queues.suspend(store.keys, ttl=ttl))


def resume(connection: Any) -> int:
    """Let workers take jobs again, and wake them. Says 1 if they were suspended, else 0."""
    store = Store.of(connection)
    return store.run(queues.resume(store.keys))


def is_suspended(connection: Any, worker: Any = None) -> int:
    """1 while workers are suspended, else 0 (RQ). A worker that is given also reports that it is alive."""
    if worker is not None:
        worker.heartbeat()
    store = Store.of(connection)
    return int(store.run(view_suspended(store.keys)))
