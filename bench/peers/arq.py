"""arq: its defaults, and its polling made quick."""

from __future__ import annotations

from bench.contenders import DRAIN, EVERYTHING, IDLE, LATENCY, PAIR, Launch, Mode, Peer
from bench.peers.client import HIREDIS, UVLOOP


def worker(launch: Launch) -> list[str]:
    """`arq`."""
    return [launch.script("arq"), "arq_jobs.WorkerSettings"]


FAST = {"BENCH_CONCURRENCY": "100", "BENCH_FAST": "1"}
PAIRED = {"BENCH_CONCURRENCY": "2", "BENCH_FAST": "1"}
MODES = (
    Mode("default", "max_jobs 10, poll 0.5 s", worker, 600, EVERYTHING, {"BENCH_CONCURRENCY": "10"}, many_queues=False),
    Mode(
        "fast",
        "max_jobs 100, poll 10 ms, uvloop",
        worker,
        2_000,
        frozenset({DRAIN, LATENCY, IDLE}),
        FAST,
        many_queues=False,
    ),
    Mode("2 jobs", "max_jobs 2, poll 10 ms, uvloop", worker, 300, frozenset({PAIR}), PAIRED),
)
PEER = Peer(
    "arq",
    ["arq==0.28.0", *HIREDIS, *UVLOOP],
    "arq_jobs",
    MODES,
    "runs again after job_timeout and 10 s (310 s)",
    asyncio=True,
)
