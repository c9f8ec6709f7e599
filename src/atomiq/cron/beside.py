"""A cron scheduler beside something else, in a thread with a connection of its own: a worker's `--with-cron`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from atomiq._wire.prefixes import set_prefix
from atomiq._wire.siblings import fresh_like
from atomiq._wire.sync import Store
from atomiq.cron.scheduler import CronScheduler

PAUSE: Final = 5.0
"""Seconds between an error and the next try."""
LONGEST_GOODBYE: Final = 10.0
"""Seconds that the end of the process waits for the thread; the server may be away."""


def scheduler_beside(connection: Any, config_path: str, logging_level: str | int, **classes: Any) -> CronScheduler:
    """A scheduler of a config's entries, with a connection of its own. Raises what `load_config_from_file` raises."""
    fresh = fresh_like(connection)
    set_prefix(fresh, Store.of(connection).keys.prefix)
    scheduler = CronScheduler(fresh, logging_level, **classes)
    scheduler.load_config_from_file(config_path)
    return scheduler


@contextmanager
def working(scheduler: CronScheduler) -> Iterator[None]:
    """The scheduler at work in a thread, until the end of the block.

    A kill of the process at any instant is as good as an end: what was not decided, another one decides, or the next to
    start. An error in the thread is logged, and it begins anew; the rest of the process goes on in any case.
    """
    thread = threading.Thread(target=_run, args=(scheduler,), name="atomiq-cron", daemon=True)
    thread.start()
    try:
        yield
    finally:
        scheduler.request_stop()
        thread.join(LONGEST_GOODBYE)
        scheduler.connection.connection_pool.disconnect()


def _run(scheduler: CronScheduler) -> None:
    while not scheduler.stops_within(0):
        try:
            scheduler.start()
        except Exception:
            text = "CronScheduler %s: ended by an error, begins anew in %s seconds"
            scheduler.log.exception(text, scheduler.name, PAUSE)
            scheduler.stops_within(PAUSE)
