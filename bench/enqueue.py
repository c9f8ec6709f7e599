"""What does a producer pay, and what does a queued job weigh, beside RQ on the same server in the same run?

    python -m bench.enqueue [--jobs 10000] [--rounds 3] [--server redis|valkey|PATH] [--unix]

Over TCP on this machine, or a unix socket (the embedded server). One call of `bench.noop.work` with a small number as
its argument. Client CPU is that of this process, server CPU the server's own account; bytes are what `used_memory` grew
by. The medians of all rounds, the contenders taking turns. Compare the ratios, not the figures: they belong to the
machine and the minute.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
import rq

from atomiq import Queue, connect
from bench.server import Account, bench_server, named_binary, tcp_server

FUNCTION = "bench.noop.work"


@dataclass(frozen=True)
class Contender:
    """One way to enqueue `count` jobs; `share` of the jobs asked for is enough to measure it."""

    name: str
    peer: str
    enqueue: Callable[[redis.Redis, int], Any]
    share: float


@dataclass(frozen=True)
class Figures:
    """Per second, and microseconds, bytes and commands per job."""

    rate: float
    client: float
    server: float
    memory: float
    commands: float


def ours_one_by_one(connection: redis.Redis, count: int) -> None:
    queue = Queue("bench", connection=connection)
    for number in range(count):
        queue.enqueue(FUNCTION, number)


def ours_at_once(connection: redis.Redis, count: int) -> None:
    queue = Queue("bench", connection=connection)
    queue.enqueue_many([Queue.prepare_data(FUNCTION, (number,)) for number in range(count)])


def theirs_one_by_one(connection: redis.Redis, count: int) -> None:
    queue = rq.Queue("bench", connection=connection)
    for number in range(count):
        queue.enqueue(FUNCTION, number)


def theirs_at_once(connection: redis.Redis, count: int) -> None:
    queue = rq.Queue("bench", connection=connection)
    queue.enqueue_many([rq.Queue.prepare_data(FUNCTION, (number,)) for number in range(count)])


CONTENDERS = (
    Contender("atomiq enqueue", "rq enqueue", ours_one_by_one, 0.3),
    Contender("rq enqueue", "rq enqueue", theirs_one_by_one, 0.3),
    Contender("atomiq enqueue_many", "rq enqueue_many", ours_at_once, 1.0),
    Contender("rq enqueue_many", "rq enqueue_many", theirs_at_once, 1.0),
)


def measure(connection: redis.Redis, contender: Contender, jobs: int) -> Figures:
    """One round: an empty server, then `jobs` jobs."""
    connection.flushall()
    contender.enqueue(connection, 1)
    gc.collect()
    memory, before = used_memory(connection), Account.of(connection)
    cpu, start = time.process_time(), time.perf_counter()
    contender.enqueue(connection, jobs)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    used = Account.of(connection).since(before)
    grown = used_memory(connection) - memory
    waiting = connection.llen("rq:queue:bench")
    assert waiting == jobs + 1, f"{contender.name}: {waiting} jobs wait, {jobs + 1} were enqueued"
    return Figures(jobs / took, cpu / jobs * 1e6, used.cpu / jobs * 1e6, grown / jobs, used.commands / jobs)


def used_memory(connection: Any) -> int:
    return int(connection.info("memory")["used_memory"])


def main() -> int:
    """Print the table; exit code 1 when a queued job weighs more than RQ's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", default="redis", help="redis, valkey or the path of a server")
    parser.add_argument("--unix", action="store_true", help="a unix socket of the embedded server")
    given = parser.parse_args()
    rounds: dict[str, list[Figures]] = {one.name: [] for one in CONTENDERS}
    with bench_server() if given.unix else tcp_server(named_binary(given.server)) as url:
        connection = connect(url)
        for _ in range(given.rounds):
            for one in CONTENDERS:
                rounds[one.name].append(measure(connection, one, int(given.jobs * one.share)))
        connection.close()
    return report(rounds)


def report(rounds: dict[str, list[Figures]]) -> int:
    """The table, and whether the bar of memory is met."""
    medians = {name: median_of(rows) for name, rows in rounds.items()}
    print(f"{'':<22}{'jobs/s':>9}{'of RQ':>7}{'client us':>11}{'server us':>11}{'bytes/job':>11}{'commands/job':>14}")
    for one in CONTENDERS:
        mine, peer = medians[one.name], medians[one.peer]
        print(
            f"{one.name:<22}{mine.rate:>9,.0f}{mine.rate / peer.rate:>6.1f}x{mine.client:>11.1f}{mine.server:>11.1f}"
            f"{mine.memory:>11.0f}{mine.commands:>14.2f}"
        )
    heavier = any(medians[one.name].memory > medians[one.peer].memory for one in CONTENDERS)
    if heavier:
        print("a queued job of ours weighs MORE than RQ's")
    return int(heavier)


def median_of(rows: list[Figures]) -> Figures:
    return Figures(*(statistics.median(values) for values in zip(*map(figures_of, rows), strict=True)))


def figures_of(row: Figures) -> tuple[float, ...]:
    return (row.rate, row.client, row.server, row.memory, row.commands)


if __name__ == "__main__":
    sys.exit(main())
