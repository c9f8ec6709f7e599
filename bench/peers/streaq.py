"""streaq: its default of 16 jobs at a time, in one process and in two."""

from __future__ import annotations

from collections.abc import Callable

from bench.contenders import DRAIN, EVERYTHING, PAIR, Launch, Mode, Peer
from bench.peers.client import UVLOOP


def worker(processes: int) -> Callable[[Launch], list[str]]:
    """`streaq run`."""
    return lambda launch: [launch.script("streaq"), "run", "streaq_jobs:worker", "--workers", str(processes)]


SIXTEEN = {"BENCH_CONCURRENCY": "16"}
MODES = (
    Mode("c16", "concurrency 16 (default), uvloop", worker(1), 1_500, EVERYTHING, SIXTEEN, many_queues=False),
    Mode("c16 w2", "concurrency 16, --workers 2, uvloop", worker(2), 2_500, frozenset({DRAIN}), SIXTEEN, width=2),
    Mode("c2", "concurrency 2, uvloop", worker(1), 1_500, frozenset({PAIR}), {"BENCH_CONCURRENCY": "2"}),
)
PEER = Peer(
    "streaq",
    ["streaq==7.2.0", "coredis==6.9.0", *UVLOOP],
    "streaq_jobs",
    MODES,
    "runs again after the idle timeout (60 s)",
    bulk=6_000,
    asyncio=True,
)
