"""Workers (RQ's rq.worker)."""

from __future__ import annotations

from atomiq.executors.death import signal_name
from atomiq.worker.base import BaseWorker
from atomiq.worker.classes import ForkWorker, SimpleWorker, SpawnWorker, Worker
from atomiq.worker.signals import SHUTDOWN_SIGNALS
from atomiq.worker.status import DequeueStrategy, WorkerStatus

SHUTDOWN_SIGNAL = SHUTDOWN_SIGNALS[0]
"""The signal that asks a worker to finish what it runs and end (RQ)."""

__all__ = [
    "SHUTDOWN_SIGNAL",
    "BaseWorker",
    "DequeueStrategy",
    "ForkWorker",
    "SimpleWorker",
    "SpawnWorker",
    "Worker",
    "WorkerStatus",
    "signal_name",
]
