"""What does a look at everything cost, and is it ever wrong about a busy system?

    python -m bench.doctor [--jobs 1000000] [--fleet-jobs 60000] [--runs 10]

First a database of so many jobs, in all states and with all that stands beside them, a thousandth of them broken: the
time of one look, its memory, and the longest command as the server's SLOWLOG has it. Then a fleet that drains queues
with retries, delays and dependencies, and looks beside it: not one of them may find a fault. The bars: 60 s, no command
over 10 ms, no false alarm. Exits with 1 when one is missed.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from atomiq import Queue, Retry, connect
from atomiq.doctor import Report, examine, repair
from bench.server import bench_server

ROOT = Path(__file__).parents[1]
LONGEST_S, SLOWEST_US = 60.0, 10_000
STATUSES = (
    ("queued",) * 60 + ("finished",) * 20 + ("failed",) * 8 + ("scheduled",) * 6 + ("canceled",) * 4 + ("deferred",) * 2
)
QUEUES = ("long", "long", "long", "short")
DATA = zlib.compress(b"x" * 40 + os.urandom(60))


def fill(connection: Any, jobs: int) -> int:
    """Write so many jobs as RQ and atomiq lay them out; says how many of them are broken."""
    now, broken = time.time(), 0
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(now))
    connection.sadd("rq:queues", *(f"rq:queue:{queue}" for queue in set(QUEUES)))
    pipeline = connection.pipeline(transaction=False)
    for number in range(jobs):
        job_id = f"{number:08x}-aaaa-4bbb-8ccc-{number * 7919 % 2**48:012x}"
        status, queue = STATUSES[number % 100], QUEUES[number // 100 % 4]
        spoilt = number % 1000 == 500
        broken += spoilt
        fields = {
            "status": status,
            "origin": queue,
            "data": DATA,
            "created_at": stamp,
            "description": "bench.noop.work()",
        }
        if spoilt and number % 3000 == 500:
            fields.pop("data")
        write(pipeline, job_id, fields, now, placed=not spoilt or "data" not in fields)
        if number % 2000 == 1999:
            pipeline.execute()
    pipeline.execute()
    return broken


def write(pipeline: Any, job_id: str, fields: dict[str, Any], now: float, placed: bool) -> None:
    """One job, in the place that its status names unless it is to be broken."""
    key, status, queue = f"rq:job:{job_id}", fields["status"], fields["origin"]
    pipeline.hset(key, mapping={**fields, "timeout": 180, "enqueued_at": fields["created_at"], "worker_name": ""})
    if status in ("finished", "failed", "canceled"):
        pipeline.expire(key, 500_000)
    if status in ("finished", "failed"):
        pipeline.xadd(f"rq:results:{job_id}", {"type": 1, "worker_name": "w"})
        pipeline.expire(f"rq:results:{job_id}", 500_000)
    if status == "deferred":
        pipeline.sadd("rq:job:first:dependents", job_id)
        pipeline.sadd(f"rq:job::{job_id}:dependencies", "first")
        pipeline.sadd(f"rq:atomiq:unmet:{job_id}", "first")
        pipeline.expire(f"rq:atomiq:unmet:{job_id}", 31_536_000)
    if not placed:
        return
    if status == "queued":
        pipeline.rpush(f"rq:queue:{queue}", job_id)
    else:
        pipeline.zadd(f"rq:{status}:{queue}", {job_id: int(now) + 500_000})


def look_at_many(jobs: int) -> bool:
    """The first part; says whether its bars are met."""
    with bench_server() as url:
        connection = redis.Redis.from_url(url)
        begun = time.monotonic()
        connection.hset("rq:job:first", mapping={"status": "scheduled", "origin": "short", "data": DATA})
        connection.zadd("rq:scheduled:short", {"first": time.time() + 500_000})
        broken = fill(connection, jobs)
        keys, size = connection.dbsize(), connection.info("memory")["used_memory"] / 1e6
        print(f"{jobs:,} jobs, {keys:,} keys, {size:,.0f} MB, written in {time.monotonic() - begun:.0f} s")
        connection.config_set("slowlog-log-slower-than", 1000)
        connection.config_set("slowlog-max-len", 100_000)
        connection.slowlog_reset()
        before = resource.getrusage(resource.RUSAGE_SELF)
        report = examine(connection)
        after = resource.getrusage(resource.RUSAGE_SELF)
        slow, noise = slowest(connection)
        print(f"looked at in {report.seconds:.1f} s ({report.waited:.1f} s of it waited), {report.commands:,} commands")
        print(f"CPU of the doctor {after.ru_utime - before.ru_utime:.1f} s, its memory {after.ru_maxrss / 1000:.0f} MB")
        print(f"it took {slow / 1000:.1f} ms", end=" ")
        print(f"(slowest look at one field of one hash: {noise / 1000:.1f} ms, which is the machine's doing)")
        print(f"broken {broken}, found {len(report.faults)}: {report.to_dict()['counts']}")
        begun = time.monotonic()
        mended = repair(connection, report, dry_run=False)
        print(
            f"repaired {sum(done.outcome == 'mended' for done in mended)} in {time.monotonic() - begun:.1f} s", end=", "
        )
        left = examine(connection).faults
        print(f"{len(left)} faults left")
        connection.close()
    return report.seconds < LONGEST_S and slow < SLOWEST_US and len(report.faults) == broken and not left


def slowest(connection: Any) -> tuple[int, int]:
    """Microseconds of the slowest command that was sent, and of the slowest trivial one inside a script: a server that
    has to wait for a processor shows it there as well."""
    sent, trivial = (0, b""), 0
    for row in connection.slowlog_get(100_000):
        if row["command"].split()[0] in (b"HMGET", b"HGET", b"HEXISTS", b"PTTL", b"EXISTS", b"ZSCORE"):
            trivial = max(trivial, row["duration"])
        else:
            sent = max(sent, (row["duration"], row["command"]))
    print(f"slowest command on the server: {sent[1][:90].decode('utf-8', 'replace')}")
    return sent[0], trivial


def enqueue_all(connection: redis.Redis, jobs: int) -> None:
    """A mixture of everything that moves."""
    queues = [Queue(name, connection=connection) for name in ("one", "two")]
    dice = random.Random(1)
    while jobs > 0:
        queue = dice.choice(queues)
        batch = [Queue.prepare_data("bench.doctor_jobs.work", (), retry=Retry(2)) for _ in range(200)]
        parents = queue.enqueue_many(batch)
        queue.enqueue_many(
            [
                Queue.prepare_data("bench.doctor_jobs.fail_at_first", (number,), retry=Retry(3, [0, 1, 1]))
                for number in range(20)
            ]
        )
        for parent in dice.sample(parents, 20):
            dice.choice(queues).enqueue("bench.doctor_jobs.work", depends_on=[parent, dice.choice(parents)])
        for _ in range(10):
            queue.enqueue_in(timedelta(seconds=dice.choice([1, 2, 3])), "bench.doctor_jobs.work")
        jobs -= 250


@contextmanager
def fleet(url: str, workers: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many workers, ended at the end."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    command = [sys.executable, "-m", "atomiq", "worker", "--quiet", "--url", url, "-c", "2", "one", "two"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(command, cwd=ROOT, env=environ, **quiet) for _ in range(workers)]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def look_beside_a_fleet(jobs: int, runs: int) -> bool:
    """The second part; says whether there was no false alarm."""
    alarms = 0
    with bench_server() as url:
        connection = connect(url)
        enqueue_all(connection, jobs)
        with fleet(url, 2):
            while not connection.exists("rq:finished:one"):
                time.sleep(0.1)
            for number in range(1, runs + 1):
                enqueue_all(connection, jobs // runs)
                before = Counter(ended(connection))
                report = examine(connection, grace=2)
                alarms += len(report.faults)
                print(
                    f"run {number}: {summary(report)}, {(Counter(ended(connection)) - before).total()} ended meanwhile"
                )
        connection.close()
    return alarms == 0


def ended(connection: Any) -> dict[str, int]:
    """How many jobs each queue's registries hold."""
    keys = [f"rq:{registry}:{queue}" for registry in ("finished", "failed") for queue in ("one", "two")]
    return {key: connection.zcard(key) for key in keys}


def summary(report: Report) -> str:
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(report.statuses.items()))
    kinds = {finding.kind: finding.text for finding in report.faults}
    return f"{len(report.faults)} faults {kinds or ''} in {report.seconds:.1f} s ({statuses})"


def main() -> int:
    """Print the figures; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--fleet-jobs", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    met = not given.jobs or look_at_many(given.jobs)
    calm = not given.runs or look_beside_a_fleet(given.fleet_jobs, given.runs)
    print("the bars are " + ("met" if met and calm else "MISSED"))
    return int(not (met and calm))


if __name__ == "__main__":
    sys.exit(main())
