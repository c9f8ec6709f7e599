"""Which workers there are (RQ's `rq.worker_registration`, its reading side)."""

from __future__ import annotations

from typing import Any

from atomiq._commands.views import view_workers
from atomiq._commands.worker import clean_workers
from atomiq._core.keys import Keys
from atomiq._wire.sync import Store

REDIS_WORKER_KEYS = Keys().workers()
WORKERS_BY_QUEUE_KEY = Keys().worker_set("%s")
MAX_KEYS = 1000


def get_keys(queue: Any = None, connection: Any = None) -> set[str]:
    """Keys of the living workers of a queue, or of all (RQ). Workers that have vanished are forgotten on the way.

    Raises:
        ValueError: neither is given.
    """
    if queue is None and connection is None:
        raise ValueError('"Queue" or "connection" argument is required')
    store = Store.of(queue.connection if queue is not None else connection)
    command = view_workers(store.keys, queue=None if queue is None else queue.name)
    return {store.keys.worker(name) for name, _ in store.run(command)}


def clean_worker_registry(queue: Any) -> None:
    """Forget the workers of a queue that have vanished (RQ)."""
    store = Store.of(queue.connection)
    while store.run(clean_workers(store.keys, queue=queue.name, limit=MAX_KEYS)) == MAX_KEYS:
        pass
