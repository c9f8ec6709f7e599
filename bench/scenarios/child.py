"""The process that runs a job is killed, one second into it; its worker lives. How soon does the job run again?"""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from bench.arena import Arena
from bench.contenders import CHILD, Contender
from bench.processes import BenchError, wait_until
from bench.scenarios.base import Scenario
from bench.scenarios.recovery import INTO, starts

CAP = 20


def measure(arena: Arena, contender: Contender, jobs: int | None) -> dict[str, Any]:
    """Seconds from the kill until the job has begun again; `jobs` is the cap in seconds here."""
    cap = jobs or CAP
    arena.clear()
    arena.fill(contender, "held:0:1")
    with arena.worker(contender) as tree:
        arena.first_job(tree)
        time.sleep(INTO)
        child = starts(arena)[0].pid
        if child not in {one.pid for one in tree.members()} or child == tree.pid:
            raise BenchError("the job did not run in a child of the worker")
        killed = time.time_ns()
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: len(starts(arena)) > 1 or not tree.alive(), cap, 0.01)
        runs = starts(arena)
    return {"cap_s": cap, "again_s": (runs[1].time_ns - killed) / 1e9 if len(runs) > 1 else None}


SCENARIO = Scenario("child", CHILD, measure)
