"""Local times and instants, where the clocks are put forward and back.

A local time that doesn't exist (clocks put forward over it) stands for the first instant after the gap. One that there
is twice (clocks put back) stands for the first of the two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

_SECOND = timedelta(seconds=1)


def instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """The instant (aware, UTC) of a naive local time."""
    first = wall.replace(tzinfo=zone).astimezone(UTC)
    if wall_of(first, zone) == wall:
        return first
    # Read with the offset from after the gap it lies before the gap, and the other way round.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _change_between(before, first, zone)


def wall_of(instant: datetime, zone: tzinfo) -> datetime:
    """The naive local time of an instant; which one of two is not told any more."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def repetition_ahead(instant: datetime, zone: tzinfo) -> datetime | None:
    """When, within a day, clocks are put back to a local time that isn't later than that of `instant`; None if they
    aren't."""
    end = instant + timedelta(days=1)
    if not _offset(end, zone) < _offset(instant, zone):
        return None
    change = _change_between(instant, end, zone)
    return change if wall_of(change, zone) <= wall_of(instant, zone) else None


def _change_between(early: datetime, late: datetime, zone: tzinfo) -> datetime:
    """The first instant, to the second, that has the offset of `late` in its zone."""
    steps = int((late - early) / _SECOND)
    low, high, offset = 0, steps, _offset(late, zone)
    while low < high:
        middle = (low + high) // 2
        if _offset(early + middle * _SECOND, zone) == offset:
            high = middle
        else:
            low = middle + 1
    return early + low * _SECOND


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)
