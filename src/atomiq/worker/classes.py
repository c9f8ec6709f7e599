"""The workers to be used."""

from __future__ import annotations

from typing import ClassVar

from atomiq.worker.base import BaseWorker


class Worker(BaseWorker):
    """Runs each job in a freshly forked child, under a supervisor that runs no user code (RQ's Worker)."""

    forks: ClassVar[bool] = True


class SimpleWorker(BaseWorker):
    """Runs jobs in its own process (RQ's SimpleWorker): quick to start, easy to debug, and with no protection against
    a job that crashes.

    The lease is extended by a keeper process, so a long job is safe. A running job can't be stopped or killed by
    command.
    """

    forks: ClassVar[bool] = False
