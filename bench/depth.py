"""Does a job cost more when many wait?

    python -m bench.depth [--depths 10,10000,1000000] [--calls 2000]

Times claim, finish and settle_and_claim with a queue of each depth. Time inside the script, as the server counts it, is
what is compared: it has no socket and no scheduler in it. Rounds of the depths are taken in turn, and the median of
each is kept. The bar: within 1.5 times of each other. Exits with 1 when it is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from typing import Any

import redis

from atomiq import Queue, connect
from atomiq._commands.claim import Claimed, claim
from atomiq._commands.queues import empty_queue
from atomiq._commands.settle import Settlement, settle, settle_and_claim
from atomiq._core.ids import new_execution_id
from atomiq._wire.sync import Store
from bench.server import Account, bench_server

BAR = 1.5
ROUNDS = 5
WORKER = "bench"


def fill(connection: redis.Redis, name: str, depth: int) -> None:
    """Bring the queue to `depth` waiting jobs."""
    queue = Queue(name, connection=connection)
    missing = depth - queue.count
    while missing > 0:
        count = min(missing, 10_000)
        queue.enqueue_many([Queue.prepare_data("bench.noop.work", (number,)) for number in range(count)])
        missing -= count


def take(store: Store, name: str) -> Claimed:
    ids = [new_execution_id()]
    return store.run(claim(store.keys, queues=[name], worker=WORKER, executions=ids, lease_ms=60_000)).jobs[0]


def ended(job: Claimed) -> Settlement:
    return Settlement(job.job_id, job.queue, job.execution_id, WORKER, "finished", started_ms=1, ended_ms=2)


def time_inside(connection: Any, calls: int, act: Callable[[int], Any]) -> float:
    """Microseconds inside the script, per call."""
    before = Account.of(connection)
    for number in range(calls):
        act(number)
    used = Account.of(connection).since(before)
    return used.script_us / used.script_calls


def one_round(connection: redis.Redis, name: str, depth: int, calls: int) -> dict[str, float]:
    """Claim and finish `calls` jobs, then as many through settle_and_claim; the queue is full again before each."""
    store = Store.of(connection)
    calls = min(calls, depth)
    fill(connection, name, depth)
    taken: list[Claimed] = []
    figures = {"claim": time_inside(connection, calls, lambda _: taken.append(take(store, name)))}
    figures["finish"] = time_inside(
        connection, calls, lambda number: store.run(settle(store.keys, settlement=ended(taken[number])))
    )
    fill(connection, name, depth)
    held = [take(store, name)]

    def swap(_number: int) -> None:
        command = settle_and_claim(
            store.keys,
            settlement=ended(held[0]),
            queues=[name],
            worker=WORKER,
            executions=[new_execution_id()],
            lease_ms=60_000,
        )
        held[0] = store.run(command)[1].jobs[0]

    figures["settle_and_claim"] = time_inside(connection, calls - 1, swap)
    store.run(settle(store.keys, settlement=ended(held[0])))
    return figures


def main() -> int:
    """Print the table; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", default="10,10000,1000000")
    parser.add_argument("--calls", type=int, default=2000, help="timed calls at each depth and round")
    given = parser.parse_args()
    depths = [int(depth) for depth in given.depths.split(",")]
    with bench_server() as url:
        connection = connect(url)
        names = {depth: f"depth-{depth}" for depth in depths}
        for depth in depths:
            fill(connection, names[depth], depth)
        rounds: dict[int, list[dict[str, float]]] = {depth: [] for depth in depths}
        for _ in range(ROUNDS):
            for depth in depths:
                # A shallow queue allows few calls a round: it gets more rounds.
                repeats = max(1, min(given.calls, 1000) // depth)
                rounds[depth] += [one_round(connection, names[depth], depth, given.calls) for _ in range(repeats)]
        store = Store.of(connection)
        for name in names.values():
            while store.run(empty_queue(store.keys, queue=name, limit=1000))[1]:
                pass
        connection.close()
    return report(depths, rounds)


def report(depths: list[int], rounds: dict[int, list[dict[str, float]]]) -> int:
    """The table, and whether the bar is met."""
    print(f"{'us inside the script':<22}" + "".join(f"{depth:>12,}" for depth in depths) + f"{'ratio':>8}")
    missed = False
    for transition in ("claim", "finish", "settle_and_claim"):
        medians = [statistics.median(figures[transition] for figures in rounds[depth]) for depth in depths]
        ratio = max(medians) / min(medians)
        missed |= ratio > BAR
        print(f"{transition:<22}" + "".join(f"{median:>12.1f}" for median in medians) + f"{ratio:>8.2f}")
    print(f"the bar of {BAR} is " + ("MISSED" if missed else "met"))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
