"""The limit of memory for a child that runs a job: looked at often, because a job can fill a machine in a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from atomiq.executors.memory import resident_memory
from atomiq.worker import events as e
from atomiq.worker.settle import Holding, MemoryUse

EVERY: Final = 0.05
"""Seconds between two looks while jobs run."""


class MemoryWatch:
    """For one worker. `limit`: bytes that a child may use; None: it isn't watched."""

    def __init__(self, limit: int | None, holdings: dict[str, Holding], tell: Callable[[e.Event], None]) -> None:
        self._limit = limit
        self._holdings = holdings
        self._tell = tell
        self._at = 0.0

    def wake_at(self) -> float | None:
        """When `check` wants to be called."""
        return self._at if self._limit is not None and self._holdings else None

    def check(self) -> None:
        """See how much every child that runs a job uses. Where several jobs share one, the oldest is blamed."""
        now = time.monotonic()
        if self._limit is None or now < self._at:
            return
        self._at = now + EVERY
        seen: set[int] = set()
        for name, holding in self._oldest_first():
            child = holding.child
            if child is None or child.death is not None or child.pid in seen:
                continue
            seen.add(child.pid)
            used = resident_memory(child.pid)
            if used is not None and used > self._limit:
                holding.memory = MemoryUse(self._limit, used)
                self._tell(e.TooLarge(name, used))

    def _oldest_first(self) -> list[tuple[str, Holding]]:
        return sorted(self._holdings.items(), key=lambda pair: pair[1].started_at or pair[1].claimed_at)

    def fds(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        pass
