"""BullMQ's Python port. It has no command line: the worker is its documented few lines."""

from __future__ import annotations

from bench.contenders import EVERYTHING, PAIR, Launch, Mode, Peer
from bench.peers.client import HIREDIS, UVLOOP


def worker(launch: Launch) -> list[str]:
    """A program of a few lines."""
    return [launch.script("python"), "bullmq_jobs.py"]


MODES = (
    Mode("c10", "concurrency 10", worker, 2_500, EVERYTHING, {"BENCH_CONCURRENCY": "10"}),
    Mode("c2", "concurrency 2", worker, 2_000, frozenset({PAIR}), {"BENCH_CONCURRENCY": "2"}),
)
PEER = Peer(
    "bullmq",
    ["bullmq==3.4.4", *HIREDIS, *UVLOOP],
    "bullmq_jobs",
    MODES,
    "runs again when found stalled (30 s checks)",
    asyncio=True,
)
