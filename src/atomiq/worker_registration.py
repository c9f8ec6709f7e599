"""Which workers there are (RQ's `rq.worker_registration`)."""

from __future__ import annotations

from typing import Any

from atomiq._commands.base import plain
from atomiq._commands.views import view_workers
from atomiq._commands.worker import clean_workers
from atomiq._core.keys import Keys
from atomiq._wire.sync import Store

REDIS_WORKER_KEYS = Keys().workers()
WORKERS_BY_QUEUE_KEY = Keys().worker_set("%s")
MAX_KEYS = 1000


def register(worker: Any, pipeline: Any = None) -> None:
    """Add a worker to the lists of all workers and of its queues' (RQ). At its birth a worker does so by itself."""
    _write("SADD", worker, pipeline)


def unregister(worker: Any, pipeline: Any = None) -> None:
    """Take a worker out of these lists (RQ). At its death a worker does so by itself."""
    _write("SREM", worker, pipeline)


def _write(verb: str, worker: Any, pipeline: Any) -> None:
    store = Store.of(worker.connection)
    lists = [store.keys.workers(), *(store.keys.worker_set(name) for name in worker.queue_names())]
    given = worker.connection.pipeline() if pipeline is None else pipeline
    for name in lists:
        store.queue_in(given, plain(verb, (name, worker.key), int))
    if pipeline is None:
        store.execute(given)


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
