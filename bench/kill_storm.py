"""Workers that drain six queues while they are killed at random.

    python -m bench.kill_storm [--executor process -c 2] [--jobs 5000] [--kills 200] [--workers 3] [--lease 2]
                               [--seed N] [--url URL]

Nothing may be lost, and every second run has its reason. Each kill is a SIGKILL for a supervisor, for its children, or
for both at once; a worker that is gone is started again. Most jobs are so short that they are read ahead, some take
20 ms. A tenth of the jobs is scheduled, a tenth waits for another job; none has a Retry: what was killed is abandoned
and runs again by itself. At every look the books have to hold: all containers together have as many jobs as were
enqueued. Exits with 1 when they don't, or when a job ran again without a reason.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from atomiq import Job, Queue, connect
from atomiq._commands.views import QueueCounts, view_queues
from atomiq._wire.sync import Store
from bench import storm_jobs

ROOT = Path(__file__).parents[1]
QUEUES = ("storm-a", "storm-b", "storm-c", "storm-d", "storm-e", "storm-f")
LONGEST_JOB = (0.0, 0.0, 0.002, 0.02)
"""Seconds; each job has one of them."""
TARGETS = ("supervisor", "child", "both")


@dataclass
class Outcome:
    """What came of it. `problems` is empty when nothing was lost and every second run has its reason."""

    jobs: int
    kills: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    runs: int = 0
    starts: int = 0
    started: int = 0
    looks: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Weather:
    """What kind of a storm. `lease`, `deadline` (for the whole of it) in seconds."""

    jobs: int
    kills: int
    workers: int
    lease: float
    seed: int
    deadline: float
    executor: str = "process"
    concurrency: int = 2


class Fleet:
    """The workers; one that is gone is replaced."""

    def __init__(self, url: str, weather: Weather, log: Any) -> None:
        self._options = ["--url", url, "--lease", str(weather.lease), "--max-abandoned", "50", "--quiet"]
        self._options += ["--executor", weather.executor, "-c", str(weather.concurrency)]
        self._log = log
        self.started = 0
        self.workers = [self._start() for _ in range(weather.workers)]

    def _start(self) -> subprocess.Popen[bytes]:
        self.started += 1
        return subprocess.Popen(
            [sys.executable, "-m", "atomiq", "worker", *QUEUES, *self._options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def replace_the_dead(self) -> None:
        self.workers = [worker if worker.poll() is None else self._start() for worker in self.workers]

    def kill_one(self, luck: random.Random) -> str:
        """Kill part of a worker; says which part, empty when there was nothing to kill."""
        worker, target = luck.choice(self.workers), luck.choice(TARGETS)
        try:
            children = psutil.Process(worker.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return ""
        if target != "supervisor" and not children:
            return ""
        victims = [worker.pid] if target != "child" else []
        victims += [child.pid for child in children] if target != "supervisor" else []
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                if target == "child":
                    return ""
        if target != "child":
            worker.wait()  # or it may still look alive, and is the one that ends in disorder, when the last job is done
        return target

    def stop(self) -> list[int]:
        """Ask all to end; exit codes."""
        for worker in self.workers:
            worker.terminate()
        codes = []
        for worker in self.workers:
            try:
                codes.append(worker.wait(30))
            except subprocess.TimeoutExpired:
                worker.kill()
                codes.append(worker.wait())
        return codes


def storm(url: str, weather: Weather) -> Outcome:
    """Enqueue, kill, wait, and close the books."""
    jobs, kills, deadline = weather.jobs, weather.kills, weather.deadline
    connection = connect(url)
    store, luck, outcome = Store.of(connection), random.Random(weather.seed), Outcome(jobs)
    ids = enqueue(connection, weather, luck)
    began = time.monotonic()
    with tempfile.TemporaryFile() as log:
        fleet = Fleet(url, weather, log)
        try:
            while True:
                counts = store.run(view_queues(store.keys, queues=QUEUES))
                outcome.looks += 1
                check_total(counts, outcome)
                done = sum(one.finished + one.failed + one.canceled for one in counts)
                if done >= jobs or outcome.problems:
                    break
                if time.monotonic() - began > deadline:
                    outcome.problems.append(f"not done after {deadline:g} s: {done} of {jobs}")
                    break
                # Spread over the whole run, so that the last jobs have their kills too.
                if outcome.kills.total() < kills and done >= jobs * outcome.kills.total() // (kills + 1):
                    outcome.kills.update(filter(None, [fleet.kill_one(luck)]))
                fleet.replace_the_dead()
                time.sleep(luck.uniform(0.0, 0.02))
        finally:
            codes = fleet.stop()
        outcome.seconds = time.monotonic() - began
        if any(code not in (0, -signal.SIGTERM) for code in codes):  # that one was about to come up
            log.seek(0)
            outcome.problems.append(f"exit codes {codes}:\n{log.read()[-2000:].decode(errors='replace')}")
    outcome.started = fleet.started
    close_the_books(connection, store, ids, outcome)
    again, most = outcome.starts - jobs, outcome.kills.total() * weather.concurrency
    if again > most:
        outcome.problems.append(f"{again} jobs started again, but the kills have met at most {most}")
    return outcome


def enqueue(connection: Any, weather: Weather, luck: random.Random) -> list[str]:
    """Jobs over all queues: most at once, a tenth scheduled, a tenth waiting for the one before."""
    queues = [Queue(name, connection=connection, default_timeout=60) for name in QUEUES]
    ids: list[str] = []
    batches: dict[str, list[Any]] = {name: [] for name in QUEUES}
    work = storm_jobs.work_in_loop if weather.executor == "async" else storm_jobs.work
    for number in range(weather.jobs):
        job_id, queue, kind, longest = f"storm-{number}", luck.choice(queues), luck.random(), luck.choice(LONGEST_JOB)
        given: dict[str, Any] = {"job_id": job_id, "result_ttl": 86400}
        if kind < 0.1:
            queue.enqueue_in(timedelta(seconds=luck.uniform(0.5, 5)), work, longest, **given)
        else:
            depends_on = ids[-1] if kind < 0.2 and ids else None
            data = Queue.prepare_data(work, (longest,), depends_on=depends_on, **given)
            batches[queue.name].append(data)
        ids.append(job_id)
    for queue in queues:
        queue.enqueue_many(batches[queue.name])
    return ids


def check_total(counts: list[QueueCounts], outcome: Outcome) -> None:
    """At one instant, for every job one place."""
    total = sum(
        one.queued + one.started + one.finished + one.failed + one.deferred + one.scheduled + one.canceled
        for one in counts
    )
    if total != outcome.jobs:
        outcome.problems.append(
            f"at look {outcome.looks} the containers hold {total} jobs, not {outcome.jobs}: {counts}"
        )


def close_the_books(connection: Any, store: Store, ids: list[str], outcome: Outcome) -> None:
    """Every job against its record and against its own note of having started."""
    started = {key.decode(): int(value) for key, value in connection.hgetall(storm_jobs.STARTED).items()}
    for start in range(0, len(ids), 1000):
        part = ids[start : start + 1000]
        for job_id, job in zip(part, Job.fetch_many(part, connection=connection), strict=True):
            if job is None:
                outcome.lost += 1
                outcome.problems.append(f"{job_id} is lost")
            else:
                enter(job, started.get(job_id, 0), outcome)
    for one in store.run(view_queues(store.keys, queues=QUEUES)):
        left = one.queued + one.started + one.deferred + one.scheduled + one.canceled
        if left:
            outcome.problems.append(f"left over: {one}")


def enter(job: Job, noted: int, outcome: Outcome) -> None:
    """One job into the books."""
    status = job.get_status(refresh=False).value
    outcome.counts[status] += 1
    outcome.runs += job.attempts
    outcome.starts += noted
    if status != "finished":
        outcome.problems.append(f"{job.id} is {status}")
    elif job.return_value() != job.id[::-1]:
        outcome.problems.append(f"{job.id} has the result {job.return_value()!r}")
    if not 1 <= noted <= job.attempts:
        outcome.problems.append(f"{job.id} started {noted} times in {job.attempts} attempts")


def balance_sheet(outcome: Outcome) -> str:
    """The outcome in lines."""
    kills = ", ".join(f"{count} {target}" for target, count in sorted(outcome.kills.items()))
    lines = [
        f"enqueued         {outcome.jobs} in {len(QUEUES)} queues",
        *(f"{status:<16} {count}" for status, count in sorted(outcome.counts.items())),
        f"lost             {outcome.lost}",
        f"SIGKILLs         {outcome.kills.total()} ({kills}); {outcome.started} workers started in all",
        f"attempts         {outcome.runs}: {outcome.runs - outcome.jobs} were claimed again after a kill",
        f"starts           {outcome.starts}: {outcome.starts - outcome.jobs} were under way when they were killed",
        f"looks            {outcome.looks}, each with every job in exactly one place"
        if not outcome.problems
        else f"looks            {outcome.looks}",
        f"time             {outcome.seconds:.1f} s, {outcome.jobs / max(outcome.seconds, 0.001):.0f} jobs/s",
        "the books balance" if not outcome.problems else "THE BOOKS DON'T BALANCE",
    ]
    return "\n".join([*lines, *outcome.problems[:20]])


def main() -> int:
    """Run the storm, print the balance; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--lease", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--deadline", type=float, default=900.0)
    parser.add_argument("--executor", default="process")
    parser.add_argument("-c", "--concurrency", type=int, default=2)
    parser.add_argument("--url", help="an empty server; default: the embedded server in a temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aq-storm-", ignore_cleanup_errors=True) as folder:
        url = given.url or f"embedded://{folder}/q?idle=1"
        print(f"seed {given.seed}")
        weather = Weather(**{name: value for name, value in vars(given).items() if name != "url"})
        outcome = storm(url, weather)
    print(balance_sheet(outcome))
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
