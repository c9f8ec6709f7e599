"""How many jobs the stations of one worker may still take (max_jobs), counted in memory that they share."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

from atomiq.executors.nameless import nameless_file
from atomiq.stations.ledger import Ledger


class Budget:
    """A number that several processes take from. The lock is freed by the kernel if its owner dies."""

    def __init__(self, total: int, file: int | None = None) -> None:
        """`file`: descriptor of an existing budget, for a process that didn't inherit the memory; `total` is then of no
        account."""
        self.file = nameless_file("budget", mmap.PAGESIZE) if file is None else file
        self._memory = mmap.mmap(self.file, mmap.PAGESIZE)
        self._counts = memoryview(self._memory).cast("q")  # written at once; struct would write zeros first
        if file is None:
            self._counts[0] = total

    @property
    def left(self) -> int:
        return self._counts[0]

    def take(self, count: int) -> int:
        """As many of `count` as there are left."""
        with self._locked():
            taken = max(0, min(count, self.left))
            self._counts[0] -= taken
        return taken

    def put_back(self, count: int) -> None:
        """Some were not needed."""
        with self._locked():
            self._counts[0] += count

    def close(self) -> None:
        self._counts.release()
        self._memory.close()
        os.close(self.file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self.file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN)


class Share:
    """What one station takes from it. Its ledger says what is not used yet: if it dies, others may run so many."""

    def __init__(self, budget: Budget | None, ledger: Ledger) -> None:
        self._budget = budget
        self._ledger = ledger

    def take(self, count: int) -> int:
        """Leave to run as many of `count` jobs as there is."""
        if self._budget is None or count <= 0:
            return max(count, 0)
        taken = self._budget.take(count)
        self._ledger.reserve(taken)
        return taken

    def use(self) -> None:
        """For a job that starts, or is passed on."""
        if self._budget is not None:
            self._ledger.reserve(-1)

    def put_back(self, count: int) -> None:
        """For so many jobs that were not started."""
        if self._budget is not None and count > 0:
            self._ledger.reserve(-count)
            self._budget.put_back(count)

    def refund(self) -> None:
        """For a job that was started, and is not one of max_jobs."""
        if self._budget is not None:
            self._budget.put_back(1)
