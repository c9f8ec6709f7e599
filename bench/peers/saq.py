"""SAQ: its default of ten jobs at a time, and a hundred with uvloop."""

from __future__ import annotations

from bench.contenders import DRAIN, EVERYTHING, LATENCY, PAIR, Launch, Mode, Peer
from bench.peers.client import UVLOOP


def worker(launch: Launch) -> list[str]:
    """`saq`."""
    return [launch.script("saq"), "saq_jobs.settings_of_worker"]


MODES = (
    Mode("c10", "concurrency 10 (default)", worker, 1_500, EVERYTHING, {"BENCH_CONCURRENCY": "10"}, many_queues=False),
    Mode(
        "c100 uvloop",
        "concurrency 100, uvloop",
        worker,
        2_000,
        frozenset({DRAIN, LATENCY}),
        {"BENCH_CONCURRENCY": "100", "BENCH_FAST": "1"},
    ),
    Mode("c2", "concurrency 2", worker, 1_500, frozenset({PAIR}), {"BENCH_CONCURRENCY": "2"}),
)
PEER = Peer(
    "saq",
    ["saq[redis,hiredis]==0.26.4", "typing_extensions", *UVLOOP],
    "saq_jobs",
    MODES,
    "aborted when its timeout (10 s) is over; runs again only with retries",
    asyncio=True,
)
