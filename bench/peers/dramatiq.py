"""Dramatiq: two processes with eight threads each (its default), one, and one thread in each of two."""

from __future__ import annotations

from collections.abc import Callable

from bench.contenders import DRAIN, IDLE, LATENCY, PAIR, RECOVERY, Launch, Mode, Peer
from bench.peers.client import REDIS_PY


def worker(processes: int, threads: int) -> Callable[[Launch], list[str]]:
    """`dramatiq`."""
    return lambda launch: [
        *(launch.script("dramatiq"), "dramatiq_jobs", "-p", str(processes), "-t", str(threads), "--skip-logging"),
        *("-Q", *launch.queues),
    ]


MODES = (
    Mode("p1 t8", "-p 1 -t 8, Results", worker(1, 8), 3_000, frozenset({DRAIN, LATENCY, IDLE, RECOVERY})),
    Mode("p2 t8", "-p 2 -t 8 (default), Results", worker(2, 8), 5_000, frozenset({DRAIN}), width=2),
    Mode("p2 t1", "-p 2 -t 1, Results", worker(2, 1), 1_000, frozenset({PAIR}), width=2),
)
PEER = Peer(
    "dramatiq",
    ["dramatiq[redis]==2.2.1", *REDIS_PY],
    "dramatiq_jobs",
    MODES,
    "runs again after the worker's heartbeat timeout, when maintenance comes by",
    bulk=4_000,
)
