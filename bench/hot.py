"""What one job costs the server on the hot path: settled, and the next one claimed, in one call, many calls in flight.

    python -m bench.hot [--jobs 20000] [--in-flight 32] [--rounds 3] [--full] [--url redis://...]

The jobs are enqueued as users do. One connection; the next call is sent when the reply to an earlier one has come, as
a station does. Server CPU is what INFO says; script time is from its command statistics; commands are those that the
scripts run. Medians. `--url`: another server than the embedded one; it is flushed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

from atomiq import Queue
from atomiq._commands.base import Command
from atomiq._commands.claim import Claimed, claim
from atomiq._commands.settle import Settlement, settle_and_claim
from atomiq._core.keys import Keys
from bench.server import Account, bench_server

KEYS = Keys()
LEASE = 30_000
FULL_EVERY = 256
"""A call in so many is a full one; at 5,000 jobs a second that is one in 50 ms."""


@dataclass(frozen=True)
class Figures:
    """Of one drain, for each job: microseconds, commands that the scripts ran."""

    server: float
    script: float
    commands: float
    client: float


def inner_commands(connection: Any) -> int:
    """Commands run so far, those inside scripts included, the calls of scripts not."""
    stats = connection.info("commandstats")
    return sum(row["calls"] for name, row in stats.items() if name not in ("cmdstat_evalsha", "cmdstat_info"))


class Line:
    """One connection with many calls in flight."""

    def __init__(self, client: Any) -> None:
        self._connection = client.connection_pool.get_connection()
        self._open: deque[Command[Any]] = deque()

    def send(self, command: Command[Any]) -> None:
        script = command.script
        assert script is not None
        packed = self._connection.pack_command("EVALSHA", script.sha, len(command.keys), *command.keys, *command.args)
        self._connection.send_packed_command(packed, check_health=False)
        self._open.append(command)

    def receive(self) -> Any:
        reply = self._connection.read_response()
        return self._open.popleft().decode(reply)


def execution_ids() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"0123456789abcdef{number:08x}"


def settled(job: Claimed, now_ms: int) -> Settlement:
    end = Settlement(job.job_id, job.queue, job.execution_id, "w", "finished", b"\x80\x05N.")
    end.started_ms, end.ended_ms = now_ms, now_ms + 1
    return end


def drain(client: Any, jobs: int, in_flight: int, always_full: bool) -> Figures:
    """Run `jobs` empty jobs past the server."""
    client.flushall()
    queue = Queue("bench", connection=client)
    for start in range(0, jobs, 500):
        size = min(500, jobs - start)
        queue.enqueue_many([Queue.prepare_data("bench.noop.work", (n,)) for n in range(start, start + size)])
    line, ids = Line(client), execution_ids()
    first = claim(KEYS, queues=["bench"], worker="w", executions=[next(ids) for _ in range(in_flight)], lease_ms=LEASE)
    client.script_load(first.script.body)
    line.send(first)
    answer = line.receive()
    held: deque[Claimed] = deque(answer.jobs)
    warm = settle_and_claim(
        KEYS, settlement=settled(held[0], 1), queues=["bench"], worker="w", executions=["x"], lease_ms=1
    )
    client.script_load(warm.script.body)
    before, inner, started = Account.of(client), inner_commands(client), time.process_time()
    done = waiting = 0
    while done < jobs:
        while held:
            extra = {} if always_full or not (done + waiting) % FULL_EVERY else {"full": False}
            end = settled(held.popleft(), answer.now_ms)
            line.send(
                settle_and_claim(
                    KEYS, settlement=end, queues=["bench"], worker="w", executions=[next(ids)], lease_ms=LEASE, **extra
                )
            )
            waiting += 1
        said, answer = line.receive()
        assert said.word == "ok"
        held.extend(answer.jobs)
        waiting -= 1
        done += 1
    client_us = (time.process_time() - started) * 1e6
    used, commands = Account.of(client).since(before), inner_commands(client) - inner
    assert client.zcard(KEYS.finished("bench")) == jobs
    assert client.zcard(KEYS.wip("bench")) == 0
    return Figures(used.cpu * 1e6 / jobs, used.script_us / jobs, commands / jobs, client_us / jobs)


def packing(repeats: int = 20_000) -> tuple[float, float]:
    """Microseconds that Python needs to build a command, and to decode its reply."""
    job = Claimed("bench", "0b6d1a52-4a8e-4a4c-9d0e-8a5a6d3e0a11", "e1", 1, {})
    flat = [part for n in range(8) for part in (b"field%d" % n, b"value")]
    reply = [b"ok", 1_795_225_028_574, 0, 1, [*flat, b"bench", job.job_id.encode(), b"e2", 1], b"finished"]
    end = settled(job, 1_795_225_028_574)

    def build() -> Command[Any]:
        return settle_and_claim(KEYS, settlement=end, queues=["bench"], worker="w", executions=["e2"], lease_ms=LEASE)

    decode, spent = build().decode, []
    for step in (build, lambda: decode(reply)):
        started = time.process_time()
        for _ in range(repeats):
            step()
        spent.append((time.process_time() - started) * 1e6 / repeats)
    return spent[0], spent[1]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="every call does everything")
    parser.add_argument("--url")
    given = parser.parse_args()
    if given.url:
        report(given.url, given)
    else:
        with bench_server() as url:
            report(url, given)
    return 0


def report(url: str, given: argparse.Namespace) -> None:
    client = redis.Redis.from_url(url)
    rows = [drain(client, given.jobs, given.in_flight, given.full) for _ in range(given.rounds)]
    client.close()
    names = ("server us", "script us", "commands", "client us", "build us", "decode us")
    print("".join(f"{name:>11}" for name in names), " each per job")
    middle = [statistics.median(getattr(row, name) for row in rows) for name in Figures.__dataclass_fields__]
    print("".join(f"{figure:>11.1f}" for figure in (*middle, *packing())))


if __name__ == "__main__":
    sys.exit(main())
