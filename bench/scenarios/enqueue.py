"""Putting jobs into a queue, one by one and in bulk, and what a waiting job weighs."""

from __future__ import annotations

from typing import Any

from bench.arena import Arena
from bench.contenders import Contender
from bench.scenarios.base import Scenario

ONE_BY_ONE = 4000


def measure(arena: Arena, contender: Contender, jobs: int | None) -> dict[str, Any]:
    """Both ways from a producer that has warmed up; no worker is there."""
    one = enqueue(arena, contender, "one", jobs or ONE_BY_ONE)
    many = enqueue(arena, contender, "many", jobs or contender.peer.bulk)
    return {**one, **{f"bulk_{name}": figure for name, figure in many.items()}}


def enqueue(arena: Arena, contender: Contender, how: str, count: int) -> dict[str, Any]:
    arena.clear()
    with arena.produce(contender, how, f"noop:0:{count}") as producer:
        before = arena.work()
        took = producer.go()
        if took.get("no_bulk"):
            return {"jobs_per_second": None}
        server = arena.work().since(before)
    return {
        "jobs": count,
        "jobs_per_second": count / took["seconds"],
        "producer_us": took["cpu"] / count * 1e6,
        "server_us": server.cpu / count * 1e6,
        "commands": server.total / count,
        "round_trips": server.reads / count,
        "bytes": server.memory / count,
    }


SCENARIO = Scenario("enqueue", None, measure)
