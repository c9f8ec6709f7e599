"""Huey: threads, its default, and processes."""

from __future__ import annotations

from collections.abc import Callable

from bench.contenders import DRAIN, EVERYTHING, PAIR, Launch, Mode, Peer
from bench.peers.client import REDIS_PY


def worker(kind: str, count: int) -> Callable[[Launch], list[str]]:
    """`huey_consumer`."""
    return lambda launch: [launch.script("huey_consumer"), "huey_jobs.huey", "-k", kind, "-w", str(count), "-q"]


MODES = (
    Mode("thread", "-k thread -w 1 (default)", worker("thread", 1), 3_000, EVERYTHING, many_queues=False),
    Mode("process 2", "-k process -w 2", worker("process", 2), 5_000, frozenset({DRAIN, PAIR}), width=2),
)
PEER = Peer("huey", ["huey==3.5.4", *REDIS_PY], "huey_jobs", MODES, "lost: at most once")
