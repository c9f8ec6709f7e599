"""taskiq on Redis streams, results on Redis, acknowledged when the result is saved (its default)."""

from __future__ import annotations

from collections.abc import Callable

from bench.contenders import DRAIN, EVERYTHING, PAIR, Launch, Mode, Peer
from bench.peers.client import HIREDIS, UVLOOP


def worker(processes: int, *more: str) -> Callable[[Launch], list[str]]:
    """`taskiq worker`."""
    return lambda launch: [
        *(launch.script("taskiq"), "worker", "taskiq_jobs:broker", "--workers", str(processes)),
        *("--log-level", "WARNING", *more),
    ]


STREAM = "RedisStreamBroker, RedisAsyncResultBackend, uvloop"
MODES = (
    Mode("stream w1", f"--workers 1, {STREAM}", worker(1), 2_500, EVERYTHING),
    Mode("stream w2", f"--workers 2, {STREAM}", worker(2), 4_000, frozenset({DRAIN}), width=2),
    Mode(
        "stream w2, 1 task each",
        f"--workers 2 --max-async-tasks 1, {STREAM}",
        worker(2, "--max-async-tasks", "1"),
        2_000,
        frozenset({PAIR}),
        width=2,
    ),
)
PEER = Peer(
    "taskiq",
    ["taskiq==0.13.0", "taskiq-redis==1.2.4", *HIREDIS, *UVLOOP],
    "taskiq_jobs",
    MODES,
    "runs again after the idle timeout (600 s), if messages come",
    asyncio=True,
)
