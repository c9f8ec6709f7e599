"""Celery: prefork with its at-least-once settings and results."""

from __future__ import annotations

from collections.abc import Callable

from bench.contenders import CHILD, DRAIN, EVERYTHING, PAIR, Launch, Mode, Peer
from bench.peers.client import REDIS_PY


def worker(children: int) -> Callable[[Launch], list[str]]:
    """`celery worker`."""
    return lambda launch: [
        *(launch.script("celery"), "-A", "celery_jobs", "worker", "-c", str(children), "-l", "WARNING"),
        *("-Q", ",".join(launch.queues)),
    ]


LATE = "task_acks_late, task_reject_on_worker_lost, results on Redis"
MODES = (
    Mode("prefork 1", f"-c 1, {LATE}", worker(1), 1_000, EVERYTHING | {CHILD}),
    Mode("prefork 2", f"-c 2, {LATE}", worker(2), 1_200, frozenset({DRAIN, PAIR}), width=2),
)
PEER = Peer(
    "celery",
    ["celery[redis]==5.7.0", *REDIS_PY],
    "celery_jobs",
    MODES,
    "runs again after the visibility timeout (1 h)",
    bulk=1_500,
)
