"""How fast does a worker that starts cold empty a queue, and what does a job cost?"""

from __future__ import annotations

from typing import Any

from bench.arena import Arena
from bench.contenders import DRAIN, Contender
from bench.measure import rate
from bench.scenarios.base import Scenario

LONGEST = 120.0


def drain(arena: Arena, contender: Contender, count: int, function: str) -> dict[str, Any]:
    """Rates are by the jobs' own records; CPU and the server's account from about the first to about the last."""
    arena.clear()
    if contender.peer.module:
        arena.fill(contender, f"{function}:0:{count}")
    with arena.worker(contender, count) as tree:
        arena.first_job(tree)
        cpu, before, first = tree.cpu(), arena.work(), arena.count()
        arena.wait_for(count, tree, LONGEST)
        cpu, after, last = tree.cpu() - cpu, arena.work(), arena.count()
        resident = tree.memory()
    records, done, server = arena.records(), max(1, last - first), after.since(before)
    return {
        "jobs": count,
        "jobs_per_second": rate(records),
        "worker_us": cpu / done * 1e6,
        "server_us": server.cpu / done * 1e6,
        "commands": server.total / done,
        "round_trips": server.reads / done,
        "ran_twice": len(records) - len({row.number for row in records}),
        "resident_mb": resident / 2**20,
    }


def measure(arena: Arena, contender: Contender, jobs: int | None) -> dict[str, Any]:
    return drain(arena, contender, jobs or contender.mode.jobs, "noop")


SCENARIO = Scenario("drain", DRAIN, measure)
