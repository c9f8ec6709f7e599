"""Workers (RQ's rq.worker)."""

from __future__ import annotations

from atomiq._core.log import get_logger
from atomiq._core.settings import DEFAULT_RESULT_TTL
from atomiq.executors.death import signal_name
from atomiq.worker.base import SHUTDOWN_SIGNAL, BaseWorker
from atomiq.worker.status import DequeueStrategy, WorkerStatus
from atomiq.worker.worker_classes import (
    ForkWorker,
    HerokuWorker,
    RandomWorker,
    RoundRobinWorker,
    SimpleWorker,
    SpawnWorker,
    Worker,
)

logger = get_logger("worker")

__all__ = [
    "DEFAULT_RESULT_TTL",
    "SHUTDOWN_SIGNAL",
    "BaseWorker",
    "DequeueStrategy",
    "ForkWorker",
    "HerokuWorker",
    "RandomWorker",
    "RoundRobinWorker",
    "SimpleWorker",
    "SpawnWorker",
    "Worker",
    "WorkerStatus",
    "logger",
    "signal_name",
]
