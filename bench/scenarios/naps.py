"""Jobs that sleep a millisecond, two at a time, beside two processes that do the same without any queue."""

from __future__ import annotations

from typing import Any

from bench.arena import Arena
from bench.contenders import PAIR, Contender
from bench.scenarios.base import Scenario
from bench.scenarios.drain import drain

JOBS = 3000


def measure(arena: Arena, contender: Contender, jobs: int | None) -> dict[str, Any]:
    return drain(arena, contender, jobs or min(JOBS, contender.mode.jobs), "nap")


SCENARIO = Scenario("naps", PAIR, measure, ideal=True)
