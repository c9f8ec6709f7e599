"""From enqueue to the start of the job, in a worker that has nothing else to do."""

from __future__ import annotations

from typing import Any

from bench.arena import Arena
from bench.contenders import LATENCY, Contender
from bench.measure import ENQUEUED, latencies_ms, percentile
from bench.processes import BenchError, wait_until
from bench.scenarios.base import Scenario

JOBS = 150
LAST = 10.0
"""Seconds that the last jobs may take."""


def measure(arena: Arena, contender: Contender, jobs: int | None) -> dict[str, Any]:
    """Jobs come one by one, so far apart that each finds an idle worker."""
    count, gap = jobs or JOBS, contender.mode.gap_ms
    arena.clear()
    with (
        arena.worker(contender) as tree,
        arena.produce(contender, "paced", f"noop:0:{count}", str(gap)) as producer,
    ):
        arena.first_job(tree)
        producer.go()
        # Two records a job, its enqueue and its run, and the warm-up's.
        wait_until(lambda: arena.count() >= 2 * count + 1 or not tree.alive(), LAST)
    records = arena.records()
    found = latencies_ms(records)
    if len(found) < count:
        asked = sum(row.flag == ENQUEUED for row in records)
        raise BenchError(f"{len(found)} of {asked} jobs ran")
    return {"jobs": count, "gap_ms": gap, "p50_ms": percentile(found, 0.5), "p99_ms": percentile(found, 0.99)}


SCENARIO = Scenario("latency", LATENCY, measure)
