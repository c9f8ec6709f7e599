"""A pool as a process of its own: `python -m tests.worker.pool_jobs URL WORKERS burst|stay QUEUE...`."""

from __future__ import annotations

import sys
from typing import Any

import redis

from atomiq import Queue, Worker
from atomiq.worker_pool import WorkerPool


class OwnQueue(Queue):
    """Another class of queue."""


class Telling(Worker):
    """Says by which class of queue it was given its queues."""

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        names = [type(queue).__name__ for queue in self.queues]
        self.connection.rpush("classes", *names, self.queue_class.__name__)
        super().bootstrap(*args, **kwargs)


def main(url: str, workers: str, how: str, *queues: str) -> None:
    pool = WorkerPool(
        list(queues),
        redis.Redis.from_url(url),
        num_workers=int(workers),
        worker_class=Telling,
        queue_class=OwnQueue,
    )
    pool.start(burst=how == "burst")


if __name__ == "__main__":
    main(*sys.argv[1:])
