"""The duty of a container's first process: processes whose parents have died become its children, and stay zombies
until it asks for their exit status."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

EVERY: Final = 1.0
"""Seconds between two looks."""
MOST: Final = 100
"""At a time."""


class Orphans:
    """Buries adopted zombies, and leaves our own children to those who wait for them. Does nothing unless this process
    is the first one. `ours`: pids of our own children."""

    def __init__(self, ours: Callable[[], set[int]], first: bool | None = None) -> None:
        """`first`: whether orphans come to this process; default: its pid is 1."""
        self._ours = ours
        self._first = os.getpid() == 1 if first is None else first
        self._at = 0.0

    def wake_at(self) -> float | None:
        """When `check` wants to be called."""
        return self._at if self._first else None

    def check(self) -> None:
        """Bury whoever is dead and not ours."""
        now = time.monotonic()
        if not self._first or now < self._at:
            return
        self._at = now + EVERY
        ours = self._ours()
        for _ in range(MOST):
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in ours:  # the latter is waited for elsewhere, in a moment
                return
            os.waitpid(found.si_pid, 0)

    def fds(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        pass
