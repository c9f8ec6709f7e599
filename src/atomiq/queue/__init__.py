"""Queues (RQ's rq.queue)."""

from __future__ import annotations

from typing import TypeAlias

from atomiq._core.settings import DEFAULT_RESULT_TTL
from atomiq._core.values import Dependency, EnqueueArgs, EnqueueData
from atomiq.job import Job
from atomiq.queue.queue import Queue

JobDependencyType: TypeAlias = "Dependency | Job | str | list[Dependency | Job | str]"
"""What depends_on may be (RQ); any other iterable of these is as good."""

__all__ = ["DEFAULT_RESULT_TTL", "EnqueueArgs", "EnqueueData", "JobDependencyType", "Queue"]
