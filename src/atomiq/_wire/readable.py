"""Waiting for file descriptors. Not by select(), which knows no number above 1023."""

from __future__ import annotations

import select
from collections.abc import Iterable


def readable(fds: Iterable[int], seconds: float | None) -> set[int]:
    """Those in which there is something to read, or whose other end is gone, after at most so many seconds; None: wait
    however long it takes."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(None if seconds is None else max(0.0, seconds) * 1000)}
