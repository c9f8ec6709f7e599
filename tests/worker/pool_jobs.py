"""A pool as a process of its own: `python -m tests.worker.pool_jobs URL WORKERS HOW QUEUE...`.

HOW: burst, stay, signal, stay-asked-before, stay-asked-when.
"""

from __future__ import annotations

import os
import signal
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


class AskedEarly(WorkerPool):
    """Is asked to end while it starts its second worker: before that, or when it is there and not yet known."""

    moment = ""
    count = 0

    def get_worker_process(self, *args: Any, **kwargs: Any) -> Any:
        process = super().get_worker_process(*args, **kwargs)
        self.count += 1
        if self.count == 2 and self.moment == "before":
            os.kill(os.getpid(), signal.SIGTERM)
        elif self.count == 2:
            begin = process.start

            def start() -> None:
                begin()
                os.kill(os.getpid(), signal.SIGTERM)

            process.start = start
        return process


def main(url: str, workers: str, how: str, *queues: str) -> None:
    how, _, AskedEarly.moment = how.partition("-asked-")
    if how == "signal":  # each process gets its own as soon as it is there
        os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGINT))
    pool = (AskedEarly if AskedEarly.moment else WorkerPool)(
        list(queues),
        redis.Redis.from_url(url),
        num_workers=int(workers),
        worker_class=Telling,
        queue_class=OwnQueue,
    )
    pool.start(burst=how != "stay")


if __name__ == "__main__":
    main(*sys.argv[1:])
