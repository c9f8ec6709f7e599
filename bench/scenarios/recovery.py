"""A worker is killed, with all its processes, one second into a job of five; a new one is started at once."""

from __future__ import annotations

import time
from typing import Any

from bench.arena import Arena
from bench.contenders import RECOVERY, Contender
from bench.measure import ENDED, STARTED, Record
from bench.processes import BenchError, wait_until
from bench.scenarios.base import BUSY, Scenario

INTO = 1.0
CAP = 90


def starts(arena: Arena) -> list[Record]:
    """Each time the job has begun."""
    return [row for row in arena.records() if row.flag == STARTED]


def measure(arena: Arena, contender: Contender, jobs: int | None) -> dict[str, Any]:
    """Seconds from the kill until the job has begun again; `jobs` is the cap in seconds here."""
    cap = jobs or CAP
    arena.clear()
    with BUSY:
        arena.fill(contender, "held:0:1")
        with arena.worker(contender) as tree:
            arena.first_job(tree)
            time.sleep(INTO)
            killed = time.time_ns()
            tree.kill()
        again = arena.worker(contender)
        tree = again.__enter__()
        # Starting takes a core; the next one waits for it.
        wait_until(lambda: len(starts(arena)) > 1, 3.0, 0.05)
    try:
        wait_until(lambda: len(starts(arena)) > 1 or not tree.alive(), cap - 3.0, 0.05)
        if not tree.alive():
            raise BenchError("its new worker ended")
        runs = starts(arena)
        if len(runs) > 1:
            wait_until(lambda: arena.records()[-1].flag == ENDED, 8.0, 0.05)
    finally:
        again.__exit__(None, None, None)
    return {
        "cap_s": cap,
        "again_s": (runs[1].time_ns - killed) / 1e9 if len(runs) > 1 else None,
        "finished": any(row.flag == ENDED for row in arena.records()),
        "starts": len(runs),
    }


SCENARIO = Scenario("recovery", RECOVERY, measure, rounds=1, together=True)
