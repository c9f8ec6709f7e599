"""Settlements that the worker's hash doesn't count yet: those of calls that were not full. A later call tells them."""

from __future__ import annotations

from dataclasses import replace

from atomiq._commands.claim import NO_TALLY, Tally
from atomiq._commands.settle import Settlement


class Uncounted:
    """Of one station."""

    def __init__(self) -> None:
        self._finished = self._failed = self._worked_ms = 0
        self._last: Settlement | None = None

    def add(self, end: Settlement) -> None:
        """The server has taken it, and has not counted it."""
        if end.outcome == "finished":
            self._finished += 1
        else:
            self._failed += 1
        self._worked_ms += max(0, end.ended_ms - end.started_ms)
        self._last = end

    def take(self) -> Tally:
        """What the next call that counts is to tell."""
        if not (self._finished or self._failed):
            return NO_TALLY
        tally = Tally(self._finished, self._failed, self._worked_ms)
        self._finished = self._failed = self._worked_ms = 0
        return tally

    def to_repeat(self) -> Settlement | None:
        """A settlement whose repetition can tell the rest when no other call will come; None: all is told."""
        if self._last is None or not (self._finished or self._failed):
            return None
        return replace(self._last, result=None, exc_string="")
