"""Which cron entries have enqueued something (RQ's `rq.cron_job_registry`)."""

from __future__ import annotations

import time
from typing import Any

from atomiq._commands.base import plain, texts
from atomiq._commands.views import view_time
from atomiq._core.keys import Keys
from atomiq._core.settings import DEFAULT_CRON_JOB_HISTORY_TTL
from atomiq._wire.sync import Store


def get_registry_key() -> str:
    """Key of the sorted set of names, score = last enqueue, under RQ's prefix (RQ)."""
    return Keys().cron_jobs()


def add(name: str, connection: Any, enqueue_timestamp: float | None = None) -> None:
    """Note that an entry has enqueued something, now or at a time in seconds (RQ). `connection` may be a pipeline."""
    store = Store.of(connection)
    when = time.time() if enqueue_timestamp is None else enqueue_timestamp  # a pipeline can't ask the server first
    command = plain("ZADD", (store.keys.cron_jobs(), when, name), int)
    if hasattr(connection, "command_stack"):
        store.queue_in(connection, command)
    else:
        store.run(command)


def get_names(connection: Any, cleanup: bool = True) -> list[str]:
    """Names of entries that have enqueued something, the one that has waited longest first (RQ). `cleanup`: forget
    those that have enqueued nothing for a year."""
    if cleanup:
        remove_stale_entries(connection)
    store = Store.of(connection)
    return store.run(plain("ZRANGE", (store.keys.cron_jobs(), 0, -1), texts))


def remove_stale_entries(connection: Any, threshold: int = DEFAULT_CRON_JOB_HISTORY_TTL) -> int:
    """Forget entries that have enqueued nothing for `threshold` seconds. Says how many (RQ)."""
    store = Store.of(connection)
    args = (store.keys.cron_jobs(), "-inf", f"({store.run(view_time()) - threshold}")
    return store.run(plain("ZREMRANGEBYSCORE", args, int))
