"""How fast does one worker drain a queue of empty jobs, beside RQ on the same server in the same run?

    python -m bench.drain [--jobs 1000] [--rounds 3]

Jobs per second from the end of the first job to the end of the last, as their records say, so start-up doesn't count.
Commands are those that the server processed, scripts' own included as RQ's MULTI blocks include theirs. Results are
stored and leases kept. Medians; compare the ratios, not the figures: they belong to the machine and the minute.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import rq

from atomiq import Job, Queue
from bench.server import Account, bench_server

ROOT = Path(__file__).parents[1]
FUNCTION = "bench.noop.work"


@dataclass(frozen=True)
class Contender:
    """A worker command line, and how its jobs get into the queue."""

    name: str
    command: tuple[str, ...]
    enqueue: Callable[[Any, int], list[str]]
    share: float = 1.0


def enqueue_ours(connection: Any, count: int) -> list[str]:
    queue = Queue("bench", connection=connection)
    return [job.id for job in queue.enqueue_many([Queue.prepare_data(FUNCTION, (n,)) for n in range(count)])]


def enqueue_theirs(connection: Any, count: int) -> list[str]:
    queue = rq.Queue("bench", connection=connection)
    return [job.id for job in queue.enqueue_many([rq.Queue.prepare_data(FUNCTION, (n,)) for n in range(count)])]


ATOMIQ = ("-m", "atomiq", "worker", "bench", "--burst", "--quiet")
RQ = ("-m", "rq.cli", "worker", "bench", "--burst", "--quiet")
CONTENDERS = (
    Contender("atomiq inline", (*ATOMIQ, "--executor", "inline"), enqueue_ours),
    Contender("atomiq fork", (*ATOMIQ, "--executor", "fork"), enqueue_ours, 0.3),
    Contender("rq SimpleWorker", (*RQ, "-w", "rq.SimpleWorker"), enqueue_theirs),
    Contender("rq Worker (fork)", RQ, enqueue_theirs, 0.3),
)


def drain(url: str, connection: Any, contender: Contender, jobs: int) -> tuple[float, float]:
    """(jobs per second, commands from clients per job) of one worker."""
    connection.flushall()
    ids = contender.enqueue(connection, jobs)
    before = Account.of(connection)
    subprocess.run(
        [sys.executable, *contender.command, "--url", url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        check=True,
        timeout=300,
    )
    commands = Account.of(connection).since(before).commands
    ends = []
    for start in range(0, len(ids), 1000):
        for job in Job.fetch_many(ids[start : start + 1000], connection=connection):
            assert job is not None
            assert job.ended_at is not None
            ends.append(job.ended_at)
    return (len(ids) - 1) / (max(ends) - min(ends)).total_seconds(), commands / len(ids)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    figures: dict[str, list[tuple[float, float]]] = {one.name: [] for one in CONTENDERS}
    with bench_server() as url:
        connection = redis.Redis.from_url(url)
        for _ in range(given.rounds):
            for one in CONTENDERS:
                figures[one.name].append(drain(url, connection, one, int(given.jobs * one.share)))
        connection.close()
    rates = {name: statistics.median(rate for rate, _ in rows) for name, rows in figures.items()}
    print(f"{'worker':<18}{'jobs/s':>9}{'of RQ':>8}{'commands/job':>14}")
    for name, rows in figures.items():
        peer = rates["rq Worker (fork)" if "fork" in name else "rq SimpleWorker"]
        commands = statistics.median(count for _, count in rows)
        print(f"{name:<18}{rates[name]:>9,.0f}{rates[name] / peer:>7.1f}x{commands:>14.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
