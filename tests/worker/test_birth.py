"""The first moments of a worker."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import redis
from tests import tasks
from tests.worker import override_jobs

from atomiq import Queue, SimpleWorker
from atomiq._core.errors import ServerTooOld, ServerUnavailable
from atomiq.worker import Worker, driver, steps


class StoppedAtBirth(Worker):
    """A worker that is told to stop after it has introduced itself and before it has begun to work."""

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        super().bootstrap(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_right_after_the_birth_leaves_no_name_behind(queue: Queue) -> None:
    """The signal handlers were installed after the birth: a SIGTERM in between ended the process, and its name stayed
    taken until its hash expired."""
    assert StoppedAtBirth([queue], connection=queue.connection).work() is False
    assert Worker.count(connection=queue.connection) == 0


class OldServer(redis.Redis):
    """A connection whose server says it is older than atomiq can work with."""

    def info(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"redis_version": "5.0.14"}


def test_a_worker_refuses_a_server_that_is_too_old(redis_url: str, redis_connection: redis.Redis) -> None:
    connection = OldServer(connection_pool=redis_connection.connection_pool)
    with pytest.raises(ServerTooOld, match=r"the server is Redis 5\.0\.14; atomiq needs Redis 6\.2"):
        Worker(["default"], connection=connection).work(burst=True)
    assert Worker.count(connection=redis_connection) == 0


@pytest.mark.parametrize("kind", [Worker, SimpleWorker, override_jobs.Loop])
def test_a_connection_that_is_cut_between_birth_and_work(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, kind: type[Worker]
) -> None:
    """Whoever cut connections in a tight loop ended one worker in so many with 1, a moment after it had been born: what
    it asks before its loop was not asked again."""
    job = queue.enqueue(tasks.add, 1, 2)
    asked = []

    def cut_once(store: Any, lease: float) -> float:
        asked.append(lease)
        if len(asked) == 1:
            raise ServerUnavailable("the connection was closed")
        return 0.0

    monkeypatch.setattr(driver, "cut_off_for", cut_once)
    monkeypatch.setattr(steps, "cut_off_for", cut_once)
    assert kind([queue], connection=queue.connection).work(burst=True)
    assert asked
    assert job.return_value() == 3
