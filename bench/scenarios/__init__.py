"""One file a measurement."""

from __future__ import annotations

from bench.scenarios import child, drain, enqueue, idle, latency, naps, recovery, slow
from bench.scenarios.base import Scenario

SCENARIOS: dict[str, Scenario] = {
    one.name: one
    for one in (
        drain.SCENARIO,
        enqueue.SCENARIO,
        latency.SCENARIO,
        naps.SCENARIO,
        slow.SCENARIO,
        idle.SCENARIO,
        child.SCENARIO,
        recovery.SCENARIO,
    )
}
