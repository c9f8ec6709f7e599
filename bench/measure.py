"""Arithmetic of the bench: records, rates, percentiles, what waits behind what. Pure but for reading a file."""

from __future__ import annotations

import statistics
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The same as in work/record.py, which imports nothing of this package: it runs in the peers' environments.
LAYOUT = struct.Struct("<qqii")
RAN, STARTED, ENDED, ENQUEUED = range(4)


@dataclass(frozen=True)
class Record:
    """What a job left behind."""

    time_ns: int
    number: int
    flag: int
    pid: int


def read_records(path: Path) -> list[Record]:
    """All records of jobs that count (warm-ups have numbers below zero), oldest first."""
    whole = path.read_bytes() if path.exists() else b""
    whole = whole[: len(whole) // LAYOUT.size * LAYOUT.size]
    rows = (Record(*row) for row in LAYOUT.iter_unpack(whole))
    return sorted((row for row in rows if row.number >= 0), key=lambda row: row.time_ns)


def count_records(path: Path) -> int:
    """How many there are, those of warm-ups too, without reading them."""
    return path.stat().st_size // LAYOUT.size if path.exists() else 0


def rate(records: Sequence[Record]) -> float:
    """Jobs per second from the first record to the last: start-up doesn't count."""
    span = records[-1].time_ns - records[0].time_ns
    return (len(records) - 1) / span * 1e9


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0..1) of all values don't exceed."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * round(share * 10_000) // 10_000))
    return ordered[rank - 1]


def latencies_ms(records: Iterable[Record]) -> list[float]:
    """Milliseconds from just before enqueue to the job's start, of each job that ran."""
    rows = list(records)
    asked = {row.number: row.time_ns for row in rows if row.flag == ENQUEUED}
    first: dict[int, int] = {}
    for row in rows:
        if row.flag != ENQUEUED:
            first.setdefault(row.number, row.time_ns)
    return [(first[number] - time_ns) / 1e6 for number, time_ns in asked.items() if number in first]


def longest_wait_ms(records: Iterable[Record], slow: int) -> float:
    """How long, at most, a fast job queued after job `slow` was held up, in milliseconds.

    A job's turn has come when a job queued after it has started, or when all queued before it have, whichever is
    earlier; what it starts later than that, it waited behind something that was not its queue.
    """
    started: dict[int, int] = {}
    for row in sorted(records, key=lambda row: row.time_ns):
        started.setdefault(row.number, row.time_ns)
    numbers = sorted(started)
    after: dict[int, int] = {}
    earliest = None
    for number in reversed(numbers):
        if earliest is not None:
            after[number] = earliest
        earliest = started[number] if earliest is None else min(earliest, started[number])
    longest, all_before = 0, None
    for number in numbers:
        turns = [turn for turn in (after.get(number), all_before) if turn is not None]
        if number > slow and turns:
            longest = max(longest, started[number] - min(turns))
        all_before = started[number] if all_before is None else max(all_before, started[number])
    return longest / 1e6


def median_rows(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of several rounds: the median of each figure, and the words of the first."""
    merged: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if name not in merged:
                values = [other[name] for other in rows if other.get(name) is not None]
                number = bool(values) and all(isinstance(one, int | float) for one in values)
                merged[name] = statistics.median(values) if number and not isinstance(values[0], bool) else value
    return merged
