"""Changed source files, looked for every second: `--reload`, for development."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

EVERY: Final = 1.0
NOT_SOURCES: Final = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})


class FileWatch:
    """Calls `changed()` when a Python file below one of `folders` was changed, made or deleted."""

    def __init__(self, folders: Sequence[str], changed: Callable[[], None]) -> None:
        self._folders = folders
        self._changed = changed
        self._at = time.monotonic() + EVERY
        self._seen = self._look()

    def wake_at(self) -> float | None:
        """When `check` wants to be called."""
        return self._at if self._folders else None

    def check(self) -> None:
        """Look again, if it is time."""
        if not self._folders or time.monotonic() < self._at:
            return
        self._at = time.monotonic() + EVERY
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._changed()

    def fds(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        pass

    def _look(self) -> dict[str, int]:
        return {path: time for folder in self._folders for path, time in _sources(folder)}


def _sources(folder: str) -> Iterator[tuple[str, int]]:
    for place, inner, files in os.walk(folder):
        inner[:] = [name for name in inner if name not in NOT_SOURCES and not name.startswith(".")]
        for name in files:
            if name.endswith(".py"):
                path = Path(place, name)
                try:
                    yield str(path), path.stat().st_mtime_ns
                except OSError:  # an editor replaces it at this moment, or it is a link to itself
                    continue
