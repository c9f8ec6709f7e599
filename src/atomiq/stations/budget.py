"""How many jobs the stations of one worker may still take (max_jobs), counted in memory that they share."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_COUNT: Final = struct.Struct("=q")


class Budget:
    """A number that several processes take from. The lock is freed by the kernel if its owner dies."""

    def __init__(self, total: int, file: int | None = None) -> None:
        """`file`: descriptor of an existing budget, for a process that didn't inherit the memory; `total` is then of no
        account."""
        made = file is None
        if file is None:
            with tempfile.TemporaryFile(prefix="atomiq-") as fresh:
                fresh.truncate(mmap.PAGESIZE)
                file = os.dup(fresh.fileno())
        self.file = file
        self._memory = mmap.mmap(file, mmap.PAGESIZE)
        if made:
            _COUNT.pack_into(self._memory, 0, total)

    @property
    def left(self) -> int:
        return int(_COUNT.unpack_from(self._memory, 0)[0])

    def take(self, count: int) -> int:
        """As many of `count` as there are left."""
        with self._locked():
            taken = max(0, min(count, self.left))
            _COUNT.pack_into(self._memory, 0, self.left - taken)
        return taken

    def put_back(self, count: int) -> None:
        """Some were not needed."""
        with self._locked():
            _COUNT.pack_into(self._memory, 0, self.left + count)

    def close(self) -> None:
        self._memory.close()
        os.close(self.file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self.file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN)
