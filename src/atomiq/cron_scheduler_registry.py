"""Which cron schedulers there are (RQ's `rq.cron_scheduler_registry`)."""

from __future__ import annotations

import time
from typing import Any

from atomiq._commands.base import Command, plain
from atomiq._commands.cron import view_cron_schedulers
from atomiq._commands.views import view_time
from atomiq._core.errors import DuplicateSchedulerError, SchedulerNotFound
from atomiq._core.keys import Keys
from atomiq._core.settings import DEFAULT_CRON_SCHEDULER_TTL
from atomiq._wire.sync import Store


def get_registry_key() -> str:
    """Key of the sorted set of names, score = last sign of life, under RQ's prefix (RQ)."""
    return Keys().cron_schedulers()


def register(cron_scheduler: Any, pipeline: Any = None) -> None:
    """List a cron scheduler, as alive now (RQ). With a pipeline nobody can tell whether it is listed already.

    Raises:
        DuplicateSchedulerError: it is listed already.
    """
    store = Store.of(cron_scheduler.connection)
    command = plain("ZADD", (store.keys.cron_schedulers(), "NX", time.time(), cron_scheduler.name), int)
    if store.send(command, pipeline) == 0:
        raise DuplicateSchedulerError(f"CronScheduler '{cron_scheduler.name}' is already registered")


def unregister(cron_scheduler: Any, pipeline: Any = None) -> None:
    """List a cron scheduler no more (RQ).

    Raises:
        SchedulerNotFound: it is not listed.
    """
    store = Store.of(cron_scheduler.connection)
    if store.send(forget(store.keys, cron_scheduler.name), pipeline) == 0:
        raise SchedulerNotFound(f"CronScheduler '{cron_scheduler.name}' not found in registry")


def get_keys(connection: Any) -> list[str]:
    """Names of the cron schedulers, those silent for longest first (RQ)."""
    store = Store.of(connection)
    return store.run(view_cron_schedulers(store.keys))


def cleanup(connection: Any, threshold: int = DEFAULT_CRON_SCHEDULER_TTL) -> int:
    """Forget cron schedulers that have been silent for `threshold` seconds. Says how many (RQ)."""
    store = Store.of(connection)
    args = (store.keys.cron_schedulers(), "-inf", f"({store.run(view_time()) - threshold}")
    return store.run(plain("ZREMRANGEBYSCORE", args, int))


def forget(keys: Keys, name: str) -> Command[int]:
    """Take a name off the list."""
    return plain("ZREM", (keys.cron_schedulers(), name), int)
