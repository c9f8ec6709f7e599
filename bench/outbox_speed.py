"""How quick a relay is, how soon a job starts after its COMMIT, and what an idle relay costs.

    python -m bench.outbox_speed [--database postgresql|mariadb] [--rows 20000] [--commits 300] [--idle 20]

The database waits for its disk at each COMMIT, as it does by default. Prints rows/s of one relay over rows that
wait; milliseconds from the return of COMMIT to the start of the job, in a warm worker, with the nudge of a SQLAlchemy
session; and the share of one CPU that an idle `atomiq relay` takes. Exits with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy
from sqlalchemy.orm import Session
from tests.databases import mariadb_server, postgresql_server
from tests.helpers import throwaway_server, wait_until

from atomiq import Queue, connect, outbox
from atomiq.outbox.drivers import connect as connect_to_database
from atomiq.outbox.relay import Relay
from bench.outbox_jobs import note_start
from bench.outbox_world import started

ROWS_PER_SECOND, MILLISECONDS, IDLE_PERCENT = 5000.0, 10.0, 0.2


def throughput(url: str, queue: Queue, rows: int) -> float:
    """Rows per second of one relay."""
    connection, _ = connect_to_database(url)
    outbox.enqueue_many(connection, queue, [Queue.prepare_data(note_start, ("/dev/null",)) for _ in range(rows)])
    connection.commit()
    connection.close()
    relay = Relay(url, queue.connection)
    began = time.perf_counter()
    sent = relay.drain().sent
    seconds = time.perf_counter() - began
    relay.close()
    assert sent == rows == len(queue)
    return rows / seconds


def latencies(url: str, queue: Queue, commits: int, path: str) -> list[float]:
    """Milliseconds from COMMIT to the start of the job."""
    scheme, _, rest = url.partition("://")
    engine = sqlalchemy.create_engine(f"{scheme}+{'psycopg' if scheme == 'postgresql' else 'pymysql'}://{rest}")
    found = []
    for number in range(commits):
        with Session(engine) as session:
            outbox.enqueue(session, queue, note_start, path)
            session.commit()
            committed = time.time_ns()
        wait_until(lambda wanted=number + 1: lines(path) == wanted, within=30, what="the job has started")
        found.append((int(Path(path).read_text().split()[-1]) - committed) / 1e6)
    outbox.finish()
    engine.dispose()
    return found[len(found) // 10 :]  # the first ones warm up


def lines(path: str) -> int:
    return Path(path).read_bytes().count(b"\n") if Path(path).exists() else 0


def idle_percent(url: str, redis_url: str, seconds: float, log: Any) -> float:
    """Share of one CPU."""
    relay = started("atomiq", "relay", "--database", url, "--url", redis_url, "--quiet", log=log)
    try:
        time.sleep(6)  # it has come to its longest pause
        process = psutil.Process(relay.pid)
        before = process.cpu_times()
        time.sleep(seconds)
        after = process.cpu_times()
    finally:
        relay.terminate()
        relay.wait(20)
    return 100 * (after.user + after.system - before.user - before.system) / seconds


def main() -> int:
    """Measure, print, compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("postgresql", "mariadb"), default="postgresql")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--commits", type=int, default=300)
    parser.add_argument("--idle", type=float, default=20.0)
    given = parser.parse_args()
    server = postgresql_server("-c", "fsync=on")
    if given.database == "mariadb":
        server = mariadb_server("--innodb-flush-log-at-trx-commit=1")
    with (
        server as database,
        throwaway_server() as (path, _pid),
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        tempfile.TemporaryFile() as log,
    ):
        url, redis_url = database.url, f"unix://{path}"
        outbox.create(url)
        queue = Queue("speed", connection=connect(redis_url))
        rate = throughput(url, queue, given.rows)
        queue.empty()
        idle = idle_percent(url, redis_url, given.idle, log)
        worker = started("atomiq", "worker", "speed", "--url", redis_url, "--quiet", log=log)
        try:
            found = sorted(latencies(url, queue, given.commits, f"{folder}/notes"))
        finally:
            worker.terminate()
            worker.wait(30)
    p50, p95 = statistics.median(found), found[len(found) * 95 // 100]
    print(f"{given.database}: relay {rate:,.0f} rows/s; COMMIT to job start p50 {p50:.1f} ms, p95 {p95:.1f} ms; "
          f"idle relay {idle:.2f} % CPU")  # fmt: skip
    return int(rate < ROWS_PER_SECOND or p50 >= MILLISECONDS or idle > IDLE_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
