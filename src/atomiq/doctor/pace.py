"""Slices that keep the server free: as many items a command as it does within a millisecond."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from atomiq._commands.base import Command
from atomiq._core.keys import Keys

R = TypeVar("R")

TARGET: Final = 0.001
"""Seconds that the server may take for a slice."""
FORGETTING: Final = 1.05
"""How far the cost of an item may rise from one slice to the next. The least of the last ones counts: on a busy machine
most of what a command takes is waiting for a processor."""
SMALLEST: Final = 5


class Pace:
    """The size of the next slice of one kind of command."""

    __slots__ = ("_cost", "largest", "size")

    def __init__(self, size: int, largest: int) -> None:
        self.size = size
        self.largest = largest
        self._cost = float("inf")

    def took(self, seconds: float, items: int) -> None:
        """Learn from the last slice. One that was much smaller says little about the cost of an item."""
        if 2 * items >= self.size:
            self._cost = min(seconds / items, self._cost * FORGETTING)
            self.size = max(SMALLEST, min(self.largest, int(TARGET / self._cost), 2 * self.size))


class Asker:
    """Sends the doctor's commands, and keeps books on them."""

    def __init__(self, store: Any, tell: Callable[[int], None] | None = None) -> None:
        self.store = store
        self.tell = tell
        self.keys: Keys = store.keys
        self.commands = 0
        self.slowest = 0.0
        self.took = 0.0

    def ask(self, command: Command[R]) -> R:
        """The reply."""
        begun = time.perf_counter()
        reply: R = self.store.run(command)
        self.took = time.perf_counter() - begun
        self.commands += 1
        self.slowest = max(self.slowest, self.took)
        if self.tell is not None:
            self.tell(self.commands)
        return reply

    def ask_for(self, items: int, command: Command[R], pace: Pace) -> R:
        """The same for a slice of so many items, from which the pace learns."""
        reply = self.ask(command)
        pace.took(self.took, items)
        return reply
