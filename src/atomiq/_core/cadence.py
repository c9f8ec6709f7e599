"""When a job runs again: the intervals of Retry and Repeat, and the ticks of cron entries.

Intervals are used in forward order and the last one repeats: `[10, 60]` waits 10 s, then 60 s, then 60 s. (RQ aligns
retry lists to their end and consumes repeat lists backwards.)

Ticks are milliseconds of the server's clock. The same entry has the same ticks in every process, and the jitter of a
tick is the same everywhere too, so that processes that never talk to each other agree on what is next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

LATE_MS: Final = 60_000
"""A tick that nobody has decided for so long is a missed one; until then it is only late, and made up for."""
MOST_CAUGHT_UP: Final = 1000
"""Missed ticks that are made up for with missed='all': the newest so many."""


def interval_after(intervals: int | Sequence[int] | None, done: int) -> int:
    """Seconds to wait before the next run, when `done` retries or repeats have been made already."""
    if intervals is None:
        return 0
    if isinstance(intervals, int):
        return intervals
    if not intervals:
        return 0
    return intervals[min(done, len(intervals) - 1)]


class Cadence(Protocol):
    """A rule that says when ticks are. `anchor` is a tick that there was: intervals are counted from it."""

    def after(self, base: int, anchor: int) -> int:
        """The first tick later than `base`."""

    def latest(self, now: int, anchor: int) -> int:
        """The last tick not later than `now`."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many milliseconds of real time."""

    every: int

    def after(self, base: int, anchor: int) -> int:
        """The first tick later than `base`."""
        return anchor + ((base - anchor) // self.every + 1) * self.every

    def latest(self, now: int, anchor: int) -> int:
        """The last tick not later than `now`."""
        return anchor + (now - anchor) // self.every * self.every


def spread(name: str, tick: int, jitter: int) -> int:
    """Milliseconds by which a tick is put off, at least 0 and less than `jitter`; the same for everybody who asks."""
    if jitter <= 0:
        return 0
    digest = hashlib.blake2b(f"{name}\0{tick}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % jitter


@dataclass(frozen=True, slots=True)
class Rule:
    """The schedule of one entry: its ticks, by how much each is put off (`jitter`, ms), and what becomes of missed ones
    (`missed`: skip, once, all)."""

    name: str
    cadence: Cadence
    jitter: int = 0
    missed: str = "once"

    def due(self, tick: int) -> int:
        """When a tick's job is enqueued, at the earliest."""
        return tick + spread(self.name, tick, self.jitter)

    def is_missed(self, tick: int, now: int) -> bool:
        """Whether a tick that is not decided yet was missed. All of the jitter is granted: where it is longer than the
        time between two ticks, one that is put off for long holds up those after it."""
        return tick + self.jitter <= now - LATE_MS

    def first(self, last: int | None, since: int, floor: int = 0) -> int:
        """The tick that follows `last`, or the first one from `since` on; in any case later than `floor`. The first one
        of an interval is `since` itself."""
        if last is None and floor < since and isinstance(self.cadence, Interval):
            return since
        base = max(since, floor) if last is None else max(last, since, floor)
        return self.cadence.after(base, since if last is None else last)

    def choose(self, last: int | None, since: int, now: int, floor: int = 0) -> int:
        """The tick to be decided next, in the past or to come, by the rule for missed ones."""
        tick = self.first(last, since, floor)
        if not self.is_missed(tick, now):
            return tick
        anchor = since if last is None else last
        newest = self.cadence.latest(now, anchor)
        if self.missed == "all":
            return self._earliest_caught_up(tick, newest, anchor)
        if self.missed == "skip" and self.is_missed(newest, now):
            return self.cadence.after(newest, anchor)
        return newest

    def _earliest_caught_up(self, tick: int, newest: int, anchor: int) -> int:
        for _ in range(MOST_CAUGHT_UP - 1):
            if newest <= tick:
                break
            newest = self.cadence.latest(newest - 1, anchor)
        return newest
