"""atomiq: a background-job queue on Redis or Valkey with RQ's API; every change of a job's state is one atomic step."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from atomiq._core.classes import register
from atomiq._core.values import Callback, Dependency, Retry
from atomiq._core.version import __version__
from atomiq._wire.connect import connect
from atomiq.executions import ExecutionRegistry
from atomiq.group import Group
from atomiq.job import Job, JobStatus, cancel_job, get_current_job, requeue_job
from atomiq.queue import Queue
from atomiq.registry import (
    FailedJobRegistry,
    FinishedJobRegistry,
    StartedJobRegistry,
)
from atomiq.repeat import Repeat
from atomiq.results import Result
from atomiq.webhook import Webhook

if TYPE_CHECKING:
    from atomiq.worker import SimpleWorker, SpawnWorker, Worker

VERSION = __version__

register(ExecutionRegistry, FailedJobRegistry, FinishedJobRegistry, Job, Queue, StartedJobRegistry)

__all__ = [
    "VERSION",
    "Callback",
    "Dependency",
    "Group",
    "Job",
    "JobStatus",
    "Queue",
    "Repeat",
    "Result",
    "Retry",
    "SimpleWorker",
    "SpawnWorker",
    "Webhook",
    "Worker",
    "__version__",
    "cancel_job",
    "connect",
    "get_current_job",
    "requeue_job",
]

_OF_WORKERS = ("SimpleWorker", "SpawnWorker", "Worker")


def __getattr__(name: str) -> Any:
    """What producers don't need is imported when somebody asks for it: a third of what they would wait for."""
    if name != "worker" and name not in _OF_WORKERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module("atomiq.worker")
    return module if name == "worker" else getattr(module, name)


if os.environ.get("ATOMIQ_RQ_ALIAS"):  # a child of a process that runs under the alias
    importlib.import_module("atomiq.contrib.rq_alias").install()
