"""The workers to be used: names for settings of one engine, and RQ's methods of those that fork for each job."""

from __future__ import annotations

import random
from typing import Any, ClassVar

from atomiq._core.settings import DEFAULT_WORKER_TTL
from atomiq.job import Job
from atomiq.worker.base import SHUTDOWN_SIGNAL, BaseWorker
from atomiq.worker.forking import Forking
from atomiq.worker.heroku import Imminent
from atomiq.worker.overrides import our_own

__all__ = [
    "DEFAULT_WORKER_TTL",
    "SHUTDOWN_SIGNAL",
    "BaseWorker",
    "ForkWorker",
    "HerokuWorker",
    "RandomWorker",
    "RoundRobinWorker",
    "SimpleWorker",
    "SpawnWorker",
    "Worker",
]


@our_own
class Worker(Forking, BaseWorker):
    """Runs jobs in warm child processes, one at a time in each, under a supervisor that runs no user code (RQ's Worker,
    whose fork for each job is `Worker(..., executor="fork")` or ForkWorker).

    A subclass that overrides `main_work_horse` gets a fork for each job, as with RQ; one that overrides a method of
    RQ's loop (`execute_job`, `fork_work_horse`, `monitor_work_horse` ...) is run by that loop, one job at a time.
    """


@our_own
class ForkWorker(Worker):
    """Runs each job in a freshly forked child: nothing that a job does outlives it."""

    executor: ClassVar[str | None] = "fork"


@our_own
class SimpleWorker(BaseWorker):
    """Runs jobs in its own process (RQ's SimpleWorker): quick to start, easy to debug, and with no protection against
    a job that crashes.

    The lease is extended by a keeper process, so a long job is safe. A running job can't be stopped or killed by
    command.
    """

    executor: ClassVar[str | None] = "inline"

    def execute_job(self, job: Job, queue: Any) -> None:
        """Run a job here and settle it (RQ)."""
        self.prepare_execution(job)
        if not self._perseveres:  # or a keeper would extend the lease
            self.maintain_heartbeats(job)
        self.perform_job(job, queue)

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Seconds that an execution lives, where no keeper extends its lease: its limit and a minute (RQ)."""
        if job.timeout is None:
            return self.worker_ttl + 60
        return self.worker_ttl if job.timeout < 0 else job.timeout + 60


@our_own
class SpawnWorker(Worker):
    """Runs jobs in warm child processes that are started as fresh interpreters, not forked (RQ's SpawnWorker): for code
    that doesn't survive a fork."""

    executor: ClassVar[str | None] = "spawn"


@our_own
class HerokuWorker(Imminent, Worker):
    """For machines that signal every process at once and then leave a few seconds (RQ's HerokuWorker): the work horse
    ignores SIGTERM and SIGINT; when the worker is asked to end, the job gets ShutDownImminentException, after
    `imminent_shutdown_delay` seconds."""


@our_own
class RoundRobinWorker(Worker):
    """Deprecated in RQ: the queue that was served last goes behind the others. Use `work(dequeue_strategy=...)`."""

    def reorder_queues(self, reference_queue: Any) -> None:
        """Put the queue that was just served behind the others (RQ)."""
        self._rotate_queues(reference_queue)


@our_own
class RandomWorker(Worker):
    """Deprecated in RQ: the next queue is any. Use `work(dequeue_strategy=...)`."""

    def reorder_queues(self, reference_queue: Any) -> None:
        """Shuffle the queues (RQ)."""
        random.shuffle(self._ordered_queues)
