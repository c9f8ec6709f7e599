"""What a worker costs that has nothing to do: commands and CPU. It serves 20 queues where one process can."""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench.arena import Arena
from bench.contenders import IDLE, Contender
from bench.scenarios.base import BUSY, Scenario

SETTLE, WINDOW, WINDOWS = 5.0, 15.0, 3


def measure(arena: Arena, contender: Contender, jobs: int | None) -> dict[str, Any]:
    """Medians of three windows, after one job has run."""
    if not contender.mode.many_queues:
        arena.queues = arena.queues[:1]
    arena.clear()
    with BUSY:
        arena.fill(contender, "noop:0:1")
    with arena.worker(contender) as tree:
        arena.first_job(tree)
        time.sleep(SETTLE)
        windows, begun, used = [], time.monotonic(), tree.cpu()
        for _ in range(WINDOWS):
            started, before = time.monotonic(), arena.work()
            time.sleep(jobs or WINDOW)
            server, seconds = arena.work().since(before), time.monotonic() - started
            windows.append((server.total / seconds, server.cpu / seconds * 100, server.commands))
        # Over all windows: the kernel counts CPU in ticks of 10 ms.
        used, seconds = tree.cpu() - used, time.monotonic() - begun
        processes, resident = len(tree.members()), tree.memory()
    busiest = sorted(windows[-1][2].items(), key=lambda item: -item[1])[:4]
    return {
        "queues": len(arena.queues),
        "commands_per_second": statistics.median(window[0] for window in windows),
        "cpu_percent": used / seconds * 100,
        "server_cpu_percent": statistics.median(window[1] for window in windows),
        "processes": processes,
        "resident_mb": resident / 2**20,
        "which": ", ".join(f"{name} {calls}" for name, calls in busiest),
    }


SCENARIO = Scenario("idle", IDLE, measure, rounds=1, together=True, queues=20)
