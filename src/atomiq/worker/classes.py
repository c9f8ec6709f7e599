"""The workers to be used: names for settings of one engine."""

from __future__ import annotations

from typing import ClassVar

from atomiq.worker.base import BaseWorker


class Worker(BaseWorker):
    """Runs jobs in warm child processes, one at a time in each, under a supervisor that runs no user code (RQ's Worker,
    whose fork for each job is `Worker(..., executor="fork")` or ForkWorker).

    A subclass that overrides `main_work_horse` gets a fork for each job, as with RQ.
    """


class ForkWorker(BaseWorker):
    """Runs each job in a freshly forked child: nothing that a job does outlives it."""

    executor: ClassVar[str | None] = "fork"


class SimpleWorker(BaseWorker):
    """Runs jobs in its own process (RQ's SimpleWorker): quick to start, easy to debug, and with no protection against
    a job that crashes.

    The lease is extended by a keeper process, so a long job is safe. A running job can't be stopped or killed by
    command.
    """

    executor: ClassVar[str | None] = "inline"


class SpawnWorker(BaseWorker):
    """Runs jobs in warm child processes that are started as fresh interpreters, not forked (RQ's SpawnWorker): for code
    that doesn't survive a fork."""

    executor: ClassVar[str | None] = "spawn"
