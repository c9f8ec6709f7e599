"""RQ: its default worker that forks for each job, SimpleWorker, and pools of two."""

from __future__ import annotations

from collections.abc import Callable

from bench.contenders import CHILD, DRAIN, EVERYTHING, PAIR, Launch, Mode, Peer
from bench.peers.client import REDIS_PY


def worker(*options: str) -> Callable[[Launch], list[str]]:
    """`rq worker`, or `rq worker-pool` when that is the first option."""
    verb, rest = ("worker-pool", options[1:]) if options[:1] == ("worker-pool",) else ("worker", options)
    return lambda launch: [launch.script("rq"), verb, *launch.queues, "--url", launch.url, "--quiet", *rest]


SIMPLE = ("-w", "rq.worker.SimpleWorker")
MODES = (
    Mode("fork", "rq worker (default)", worker(), 150, EVERYTHING | {CHILD}, gap_ms=100),
    Mode("simple", "-w rq.worker.SimpleWorker", worker(*SIMPLE), 500, EVERYTHING),
    Mode(
        "fork pool of 2",
        "rq worker-pool -n 2",
        worker("worker-pool", "-n", "2"),
        250,
        frozenset({DRAIN, PAIR}),
        width=2,
    ),
    Mode(
        "simple pool of 2",
        "rq worker-pool -n 2 -w rq.worker.SimpleWorker",
        worker("worker-pool", "-n", "2", *SIMPLE),
        900,
        frozenset({DRAIN, PAIR}),
        width=2,
    ),
)
PEER = Peer("rq", ["rq==2.12.0", *REDIS_PY], "rq_jobs", MODES, "fails it as abandoned; runs again only with Retry")
