"""One job of ten seconds among quick ones, two at a time: how long does a quick one wait behind it?"""

from __future__ import annotations

from typing import Any

from bench.arena import Arena
from bench.contenders import PAIR, Contender
from bench.measure import RAN, longest_wait_ms
from bench.processes import BenchError, wait_until
from bench.scenarios.base import Scenario

JOBS = 1000
LONGEST = 60.0


def measure(arena: Arena, contender: Contender, jobs: int | None) -> dict[str, Any]:
    """The slow one is at a tenth of the queue: read-ahead has had the time to grow."""
    count = jobs or min(JOBS, contender.mode.jobs)
    slow = count // 10
    arena.clear()
    arena.fill(contender, f"noop:0:{slow},slow:{slow}:1,noop:{slow + 1}:{count - slow}")
    with arena.worker(contender) as tree:
        arena.first_job(tree)
        # The records: one of each quick job, and the start of the slow one; when it ends makes no difference.
        wait_until(lambda: quick(arena) >= count or not tree.alive(), LONGEST, 0.05)
    records = arena.records()
    if (ran := quick(arena)) < count:
        raise BenchError(f"{ran} of {count} quick jobs ran in {LONGEST:.0f} s")
    return {
        "jobs": count,
        "wait_ms": longest_wait_ms(records, slow),
        "all_quick_s": (max(row.time_ns for row in records if row.flag == RAN) - records[0].time_ns) / 1e9,
    }


def quick(arena: Arena) -> int:
    return sum(row.flag == RAN for row in arena.records())


SCENARIO = Scenario("slow", PAIR, measure)
