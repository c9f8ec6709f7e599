"""The lists of workers, written by hand (RQ's rq.worker_registration)."""

from __future__ import annotations

import pytest
import redis

from atomiq import Queue, connect
from atomiq._wire.sync import Store
from atomiq.exceptions import ServerUnavailable
from atomiq.worker import SimpleWorker
from atomiq.worker_registration import clean_worker_registry, get_keys, register, unregister


def listed(connection: redis.Redis, key: str) -> set[str]:
    return {raw.decode() for raw in connection.smembers(key)}


def test_a_worker_is_listed_with_all_and_with_each_of_its_queues(store: Store) -> None:
    connection = store.connection
    worker = SimpleWorker(["a", "b"], connection=connection, name="w")
    register(worker)
    for key in ("rq:workers", "rq:workers:a", "rq:workers:b"):
        assert listed(connection, key) == {"rq:worker:w"}
    unregister(worker)
    assert list(connection.scan_iter()) == []


def test_with_a_pipeline(store: Store) -> None:
    connection = store.connection
    worker = SimpleWorker(["a"], connection=connection, name="w")
    with connection.pipeline() as pipeline:
        register(worker, pipeline)
        assert listed(connection, "rq:workers") == set()
        assert pipeline.execute() == [1, 1]
    assert listed(connection, "rq:workers:a") == {"rq:worker:w"}


def test_workers_without_a_hash_are_forgotten(store: Store) -> None:
    connection, queue = store.connection, Queue("a", connection=store.connection)
    living = SimpleWorker(["a"], connection=connection, name="living")
    living.register_birth()
    try:
        register(SimpleWorker(["a"], connection=connection, name="gone"))
        clean_worker_registry(queue)
        assert listed(connection, "rq:workers:a") == listed(connection, "rq:workers") == {"rq:worker:living"}
        assert get_keys(queue) == get_keys(connection=connection) == {"rq:worker:living"}
    finally:
        living.register_death()


def test_without_a_server_it_is_said_in_our_words() -> None:
    """redis-py's error came through."""
    worker = SimpleWorker([Queue(connection=connect("redis://localhost:1"))])
    with pytest.raises(ServerUnavailable, match="localhost:1"):
        register(worker)
