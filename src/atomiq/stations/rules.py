"""What one run of a worker is to keep to: every number and switch that the brain decides by. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atomiq._core.settings import (
    CALLBACK_TIMEOUT,
    DEFAULT_LEASE,
    DEFAULT_MAINTENANCE_TASK_INTERVAL,
    HARD_LIMIT_MARGIN,
    QUICK_SAFETY_CHECK,
    SAFETY_CHECK,
)

QUICK_PERIOD: Final = 60.0
"""How long producers that don't ring the bell (RQ's) are reckoned with after work of theirs was met."""
SUSPENDED_CHECK: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """`slots`: jobs at a time, of those that the worker claims itself. `stations`: warm children; with any, these
    claim. `killable`: calls run in children. `extends`: leases are extended by the loop itself, not by a keeper.
    `killed_handler`: there is one to call when a child dies. `kill_after`: how long a call that ignores its time limit,
    an exception in the job, may go on before its child is killed."""

    queues: tuple[str, ...]
    lease: float = DEFAULT_LEASE
    slots: int = 1
    stations: int = 0
    burst: bool = False
    max_jobs: int | None = None
    max_idle_time: float | None = None
    grace: float | None = None
    kill_after: float = HARD_LIMIT_MARGIN
    upkeep_interval: float = DEFAULT_MAINTENANCE_TASK_INTERVAL
    safety_check: float = SAFETY_CHECK
    quick_check: float = QUICK_SAFETY_CHECK
    quick_period: float = QUICK_PERIOD
    suspended_check: float = SUSPENDED_CHECK
    aside_limit: float = CALLBACK_TIMEOUT
    killable: bool = True
    extends: bool = True
    killed_handler: bool = False
