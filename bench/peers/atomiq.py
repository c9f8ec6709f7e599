"""atomiq, from this working copy, in each of its executors."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

from bench.contenders import CHILD, DRAIN, IDLE, LATENCY, PAIR, RECOVERY, Launch, Mode, Peer
from bench.peers.client import REDIS_PY, UVLOOP

ROOT = Path(__file__).parents[2]
DEPENDENCIES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def worker(executor: str, concurrency: int = 1) -> Callable[[Launch], list[str]]:
    """`atomiq worker`."""

    def command(launch: Launch) -> list[str]:
        python = [launch.script("python"), "-m", "atomiq", "worker", *launch.queues, "--url", launch.url, "--quiet"]
        more = ["--concurrency", str(concurrency)] if concurrency > 1 else []
        return [*python, "--executor", executor, *more]

    return command


MODES = (
    Mode(
        "process", "--executor process", worker("process"), 20_000, frozenset({DRAIN, LATENCY, IDLE, RECOVERY, CHILD})
    ),
    Mode("process -c 2", "--executor process -c 2", worker("process", 2), 30_000, frozenset({DRAIN, PAIR}), width=2),
    Mode("fork", "--executor fork", worker("fork"), 300, frozenset({DRAIN, LATENCY, RECOVERY, CHILD}), gap_ms=100),
    Mode("spawn", "--executor spawn", worker("spawn"), 20_000, frozenset({DRAIN, RECOVERY, CHILD})),
    Mode("thread -c 8", "--executor thread -c 8", worker("thread", 8), 10_000, frozenset({DRAIN, LATENCY})),
    Mode(
        "async -c 100",
        "--executor async -c 100, coroutine functions, uvloop",
        worker("async", 100),
        20_000,
        frozenset({DRAIN, LATENCY, RECOVERY}),
        env={"BENCH_COROUTINES": "1"},
    ),
    Mode("inline", "--executor inline", worker("inline"), 8_000, frozenset({DRAIN, LATENCY, RECOVERY})),
)
PEER = Peer(
    "atomiq",
    [*DEPENDENCIES, *REDIS_PY, *UVLOOP],
    "atomiq_jobs",
    MODES,
    "runs again after the lease (30 s)",
    bulk=20_000,
    pythonpath=[ROOT / "src"],
)
