"""Queues (RQ's rq.queue)."""

from __future__ import annotations

from atomiq._core.values import EnqueueArgs, EnqueueData
from atomiq.queue.queue import Queue

__all__ = ["EnqueueArgs", "EnqueueData", "Queue"]
