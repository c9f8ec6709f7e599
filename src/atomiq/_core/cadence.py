"""When a job runs again: the intervals of Retry and Repeat.

Intervals are used in forward order and the last one repeats: `[10, 60]` waits 10 s, then 60 s, then 60 s. (RQ aligns
retry lists to their end and consumes repeat lists backwards.)
"""

from __future__ import annotations

from collections.abc import Sequence


def interval_after(intervals: int | Sequence[int] | None, done: int) -> int:
    """Seconds to wait before the next run, when `done` retries or repeats have been made already."""
    if intervals is None:
        return 0
    if isinstance(intervals, int):
        return intervals
    if not intervals:
        return 0
    return intervals[min(done, len(intervals) - 1)]
