"""Which executors a worker has, and how many jobs at a time each of them runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from atomiq._core.settings import EXECUTORS
from atomiq.executors.memory import parse_size
from atomiq.stations.base import Recycling

CONCURRENCY: Final = {**dict.fromkeys(EXECUTORS, 1), "thread": 8, "async": 100}
"""Every executor, with the number of jobs at a time that it runs unless told otherwise."""
ALONE: Final = ("process", "spawn")
"""Kinds whose children run one job at a time."""
MOST: Final = 4096


@dataclass(frozen=True, slots=True)
class Engine:
    """`executors`: concurrency of each; the first is the one for jobs that don't name theirs. `memory_limit`: bytes."""

    executors: dict[str, int]
    recycling: Recycling
    memory_limit: int | None = None

    @classmethod
    def of(
        cls,
        executor: str | Mapping[str, int],
        concurrency: int | None = None,
        max_jobs_per_child: int | None = None,
        max_memory_per_child: int | str | None = None,
        memory_limit: int | str | None = None,
    ) -> Engine:
        """From a worker's arguments.

        Raises:
            ValueError: an unknown executor, a number below 1, a size that is none, or inline together with others.
        """
        executors = executors_of(executor, concurrency)
        if max_jobs_per_child is not None and max_jobs_per_child < 1:
            raise ValueError("max_jobs_per_child must be at least 1")
        memory = None if max_memory_per_child is None else parse_size(max_memory_per_child)
        limit = None if memory_limit is None else parse_size(memory_limit)
        return cls(executors, Recycling(max_jobs_per_child, memory), limit)

    @property
    def inline(self) -> bool:
        return "inline" in self.executors

    @property
    def first(self) -> str:
        return next(iter(self.executors))

    @property
    def claimant(self) -> str:
        """The executor whose children claim for all of them; fork or inline only if there is no other."""
        return next((kind for kind in self.executors if kind not in ("fork", "inline")), self.first)

    def home(self, named: bytes | None) -> str:
        """The executor of a job that names this one, or none."""
        kind = (named or b"").decode("utf-8", "replace")
        return kind if kind in self.executors else self.first

    @property
    def forks(self) -> int:
        """How many jobs at a time the supervisor claims itself, each for a fresh fork."""
        return self.executors["fork"] if self.claimant == "fork" else 0

    def stations(self) -> list[tuple[str, int, int]]:
        """(kind, jobs at a time in each child, children) of the warm kinds."""
        return [
            (kind, 1, count) if kind in ALONE else (kind, count, 1)
            for kind, count in self.executors.items()
            if kind not in ("fork", "inline")
        ]


def default_executor() -> str:
    """process where forking is safe; spawn on macOS, whose frameworks don't survive a fork."""
    return "spawn" if sys.platform == "darwin" else "process"


def executors_of(wanted: str | Mapping[str, int], concurrency: int | None) -> dict[str, int]:
    """'process', 'process:2,async:100' or a mapping, as a mapping. Raises ValueError for what makes no sense."""
    if isinstance(wanted, str):
        found: dict[str, int | None] = {}
        for part in wanted.split(","):
            kind, colon, count = (piece.strip() for piece in part.partition(":"))
            if kind in found:
                raise ValueError(f"executor {kind} is named twice in {wanted!r}")
            if colon and not count.isdecimal():
                raise ValueError(f"{part.strip()!r}: behind the colon stands a number of jobs at a time")
            found[kind] = int(count) if colon else None
    else:
        found = dict(wanted)
    unknown = [kind for kind in found if kind not in CONCURRENCY]
    if unknown or not found:
        raise ValueError(f"there is no executor {unknown[0] if unknown else ''!r}; there are {', '.join(CONCURRENCY)}")
    if concurrency is not None:
        if len(found) > 1 or any(count is not None for count in found.values()):
            raise ValueError("concurrency is for one executor; with several say e.g. 'process:2,async:100'")
        found = dict.fromkeys(found, concurrency)
    counts = {kind: CONCURRENCY[kind] if count is None else count for kind, count in found.items()}
    for kind, jobs in counts.items():
        if not 1 <= jobs <= MOST:
            raise ValueError(f"executor {kind}: {jobs} jobs at a time; it must be between 1 and {MOST}")
    if "inline" in counts and counts != {"inline": 1}:
        raise ValueError("inline runs one job at a time in the worker's own process, and goes with no other executor")
    return counts
