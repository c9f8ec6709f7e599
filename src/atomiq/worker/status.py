"""Names that RQ's users know: states of a worker and ways to choose the next queue."""

from __future__ import annotations

from enum import Enum


class WorkerStatus(str, Enum):
    """What a worker is doing (RQ)."""

    STARTED = "started"
    SUSPENDED = "suspended"
    BUSY = "busy"
    IDLE = "idle"


class DequeueStrategy(str, Enum):
    """Which queue is asked first (RQ): always the first one, the one after the last served, or any."""

    DEFAULT = "default"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
