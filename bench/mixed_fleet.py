"""RQ 2.12's workers and atomiq's on the same queues, all of them killed at random.

    python -m bench.mixed_fleet [--jobs 3000] [--kills 60] [--theirs 2] [--ours 2] [--lease 5] [--seed N] [--url URL]

Half of the jobs is enqueued with rq, half with atomiq; a fifth is delayed, a fifth waits for other jobs (of either
side), a fifth fails at first and has retries with intervals; some are canceled or stopped on their way, by either side.
Both kinds of workers may take any of them. While they do, supervisors, their children, or both get SIGKILLs, and those
that are gone are started again. What RQ's workers lose when they are killed (docs/rq-faults.md, A1 and others)
`atomiq doctor --repair` brings back, every few seconds beside the running fleet.

At the end every job has ended, or waits for one that was canceled, stopped or failed (as in RQ), doctor finds nothing,
and the balance is printed. RQ fails a job whose work horse is
killed and that has no retry left: those are counted, and so is every second run. Exits with 1 when a job has not ended
or is lost, when one has failed that nobody killed, or when doctor still finds a fault.
"""

from __future__ import annotations

import argparse
import contextlib
import json
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
import redis
import rq
import rq.command
import rq.job

from atomiq import Job, Queue, Retry, connect
from atomiq.command import send_stop_job_command
from atomiq.exceptions import InvalidJobOperation, NoSuchJobError
from bench import mixed_jobs
from bench.server import bench_server

ROOT = Path(__file__).parents[1]
QUEUES = ("mixed-a", "mixed-b")
ENDED = {"finished", "failed", "canceled", "stopped"}
LONGEST_JOB = (0.0, 0.02, 0.1, 0.3)
"""Seconds; each job has one of them."""
FAILURES = 2
DOCTOR_EVERY = 5.0


@dataclass
class Books:
    """What came of it; `problems` is empty when all is well."""

    jobs: int
    kills: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    interventions: Counter[str] = field(default_factory=Counter)
    ran_again: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Crew:
    """Workers of one kind; those that are gone are replaced."""

    def __init__(self, kind: str, command: list[str], count: int, log: Any) -> None:
        self.kind = kind
        self._command = command
        self._log = log
        self._sessions: list[int] = []
        self.workers = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._sessions.append(worker.pid)
        return worker

    def replace_the_dead(self) -> None:
        self.workers = [worker if worker.poll() is None else self._start() for worker in self.workers]

    def kill_one(self, luck: random.Random) -> str:
        """SIGKILL for a supervisor, its children, or both. Says whose; '' when there was nothing to kill."""
        worker, target = luck.choice(self.workers), luck.choice(("supervisor", "child", "both"))
        try:
            children = psutil.Process(worker.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return ""
        victims = [child.pid for child in children] if target != "supervisor" else []
        victims += [worker.pid] if target != "child" else []
        hit = 0
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
                hit += 1
            except ProcessLookupError:
                continue  # it has ended by itself in this moment
        return f"{self.kind} {target}" if hit else ""

    def stop(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        for session in self._sessions:  # RQ's scheduler outlives its killed worker, for as long as there is a server
            with contextlib.suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)


def enqueue(connection: redis.Redis, folder: str, jobs: int, luck: random.Random) -> list[str]:
    """Jobs of all kinds, by either side's producer."""
    ids: list[str] = []
    for number in range(jobs):
        job_id, ours, kind = f"mixed-{number}", luck.random() < 0.5, luck.random()
        name = luck.choice(QUEUES)
        queue: Any = Queue(name, connection=connection) if ours else rq.Queue(name, connection=connection)
        options: dict[str, Any] = {"job_id": job_id, "result_ttl": 86400, "job_timeout": 60}
        failures = 0
        if kind < 0.2:
            failures = FAILURES
            # Three more than it needs: RQ uses one up for each work horse that is killed.
            options["retry"] = (Retry if ours else rq.Retry)(max=FAILURES + 3, interval=luck.choice([0, 1]))
        elif kind < 0.4 and ids:
            options["depends_on"] = luck.sample(ids[-20:], k=min(len(ids), luck.choice([1, 2])))
        arguments = (mixed_jobs.work, folder, job_id, luck.choice(LONGEST_JOB), failures)
        if 0.4 <= kind < 0.6:
            queue.enqueue_in(timedelta(seconds=luck.uniform(0.5, 10)), *arguments, **options)
        else:
            queue.enqueue(*arguments, **options)
        ids.append(job_id)
    return ids


def intervene(connection: redis.Redis, job_id: str, luck: random.Random) -> str:
    """Cancel or stop a job, by either side's library. Says which, or '' when it could not be any more."""
    way = luck.choice(("our cancel", "their cancel", "our stop", "their stop"))
    try:
        if way == "our cancel":
            Job.fetch(job_id, connection=connection).cancel(enqueue_dependents=True)
        elif way == "their cancel":
            rq.job.Job.fetch(job_id, connection=connection).cancel(enqueue_dependents=True)
        elif way == "our stop":
            send_stop_job_command(connection, job_id)
        else:
            rq.command.send_stop_job_command(connection, job_id)
    except (
        InvalidJobOperation,
        NoSuchJobError,
        rq.job.InvalidJobOperation,
        rq.job.NoSuchJobError,
        ValueError,  # RQ, when it cancels a job whose execution has just ended
        redis.WatchError,
    ):
        return ""
    return way


def behind_the_ended(connection: redis.Redis, statuses: dict[str, str]) -> set[str]:
    """Deferred jobs that wait for one that will not finish by itself, or for one of their kind."""
    found: set[str] = set()
    deferred = [job_id for job_id, status in statuses.items() if status == "deferred"]
    for job_id in deferred:  # a job is only enqueued after those it waits for
        parents = json.loads(connection.hget(f"rq:job:{job_id}", "dependency_ids") or b"[]")
        if any(statuses[parent] in ("failed", "canceled", "stopped") or parent in found for parent in parents):
            found.add(job_id)
    return found


def statuses_of(connection: redis.Redis, ids: list[str]) -> dict[str, str]:
    """Of all jobs; one whose hash is gone is lost."""
    pipe = connection.pipeline(transaction=False)
    for job_id in ids:
        pipe.hget(f"rq:job:{job_id}", "status")
    return {job_id: (raw or b"lost").decode() for job_id, raw in zip(ids, pipe.execute(), strict=True)}


class Doctor:
    """`atomiq doctor --repair --yes`, again and again, beside the run."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._process: subprocess.Popen[str] | None = None
        self._next = time.monotonic() + DOCTOR_EVERY

    def look(self, books: Books) -> None:
        """Note what one that has ended has repaired; send the next one when it is time."""
        if self._process is not None and self._process.poll() is not None:
            books.repairs.update(found["kind"] for found in faults(report_of(self._process)))
            self._process, self._next = None, time.monotonic() + DOCTOR_EVERY
        if self._process is None and time.monotonic() >= self._next:
            self._process = doctor(self._url, "--repair", "--yes")

    def finish(self, books: Books) -> None:
        if self._process is not None:
            books.repairs.update(found["kind"] for found in faults(report_of(self._process)))


def doctor(url: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "atomiq", "doctor", "--url", url, "--json", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def report_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Its report, once it has ended. Raises RuntimeError when it has none."""
    out, errors = process.communicate(timeout=300)
    if process.returncode not in (0, 1) or not out.startswith("{"):
        raise RuntimeError(f"doctor: exit code {process.returncode}\n{out}\n{errors}")
    report: dict[str, Any] = json.loads(out)
    return report


def faults(report: dict[str, Any]) -> list[dict[str, Any]]:
    """What the report calls a fault."""
    return [found for found in report["findings"] if found.get("severity", found.get("level")) == "fault"]


def run(url: str, given: argparse.Namespace, log: Any) -> Books:
    """Enqueue, kill, repair, wait, and close the books."""
    connection, luck, books = connect(url), random.Random(given.seed), Books(given.jobs)
    with tempfile.TemporaryDirectory(prefix="aq-mixed-") as folder:
        ids = enqueue(connection, folder, given.jobs, luck)
        began = time.monotonic()
        theirs = [str(Path(sys.executable).with_name("rq")), "worker", *QUEUES, "-u", url, "--quiet"]
        theirs += ["--with-scheduler", "--job-monitoring-interval", "1", "--maintenance-interval", "5"]
        ours = [sys.executable, "-m", "atomiq", "worker", *QUEUES, "--url", url, "--quiet"]
        ours += ["--lease", str(given.lease), "--max-abandoned", "50", "--maintenance-interval", "5"]
        crews = [Crew("their", theirs, given.theirs, log), Crew("our", ours, given.ours, log)]
        try:
            storm(connection, url, ids, crews, given, luck, books)
        finally:
            for crew in crews:
                crew.stop()
        books.seconds = time.monotonic() - began
        close_the_books(connection, url, ids, folder, books)
    return books


def storm(
    connection: redis.Redis,
    url: str,
    ids: list[str],
    crews: list[Crew],
    given: argparse.Namespace,
    luck: random.Random,
    books: Books,
) -> None:
    """Until all have ended."""
    began = time.monotonic()
    helper = Doctor(url)
    while True:
        statuses = statuses_of(connection, ids)
        done = sum(status in ENDED for status in statuses.values())
        if done + len(behind_the_ended(connection, statuses)) >= len(ids):
            done = len(ids)
        if done >= len(ids):
            helper.finish(books)
            return
        now = time.monotonic()
        if now - began > given.deadline:
            books.problems.append(f"not done after {given.deadline:g} s: {done} of {len(ids)}")
            return
        while books.kills.total() < given.kills and done >= len(ids) * books.kills.total() // (given.kills + 1):
            killed = luck.choice(crews).kill_one(luck)
            if not killed:
                break
            books.kills[killed] += 1
        if books.interventions.total() < len(ids) // 100:
            books.interventions.update(filter(None, [intervene(connection, luck.choice(ids), luck)]))
        for crew in crews:
            crew.replace_the_dead()
        helper.look(books)
        time.sleep(luck.uniform(0.0, 0.1))


def close_the_books(connection: redis.Redis, url: str, ids: list[str], folder: str, books: Books) -> None:
    """Every job against its own note of having started; and doctor."""
    nobody_works = ("--overdue", "0", "--overdue-rq", "0")
    left: list[dict[str, Any]] = []
    for _ in range(3):  # hashes of killed workers expire in the very moment between a repair and the look after it
        repaired = report_of(doctor(url, "--repair", "--yes", *nobody_works))
        books.repairs.update(found["kind"] for found in faults(repaired))
        left = faults(report_of(doctor(url, *nobody_works)))
        if not left:
            break
    books.problems += [f"doctor still finds {found}" for found in left]
    statuses = statuses_of(connection, ids)
    behind = behind_the_ended(connection, statuses)
    for job_id, status in statuses.items():
        books.statuses["deferred behind these" if job_id in behind else status] += 1
        note = Path(folder) / job_id
        runs = note.stat().st_size if note.exists() else 0
        job = Job.fetch(job_id, connection=connection) if status != "lost" else None
        wanted = 1 + (FAILURES if job is not None and job.retry_intervals is not None else 0)
        books.ran_again += max(0, runs - wanted)
        if status == "lost":
            books.problems.append(f"{job_id} is lost")
        elif status == "finished" and (job is None or job.return_value() != job_id[::-1]):
            books.problems.append(f"{job_id} has the result {job.return_value() if job else None!r}")
        elif status == "failed" and job is not None:
            result = job.latest_result()
            text = (result.exc_string or "").strip().splitlines()[-1:] if result else ["no result"]
            reason = " ".join("".join(text).split(";")[0].split()[:5])
            books.failures[reason] += 1
            if "NotYet" in reason:
                books.problems.append(f"{job_id} failed though it had retries: {text}")


def balance_sheet(books: Books) -> str:
    """The outcome in lines."""

    def listed(counted: Counter[str]) -> str:
        return ", ".join(f"{count} {name}" for name, count in sorted(counted.items())) or "none"

    lines = [
        f"enqueued         {books.jobs} in {len(QUEUES)} queues, by rq {rq.VERSION} and atomiq",
        f"ended            {listed(books.statuses)}",
        f"why failed       {listed(books.failures)}",
        f"SIGKILLs         {books.kills.total()}: {listed(books.kills)}",
        f"by hand          {listed(books.interventions)}",
        f"repaired         {listed(books.repairs)}",
        f"ran again        {books.ran_again} times, after a kill",
        f"time             {books.seconds:.1f} s",
        "the books balance" if not books.problems else "THE BOOKS DON'T BALANCE",
    ]
    return "\n".join([*lines, *books.problems[:20]])


def main() -> int:
    """Run it, print the balance; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--theirs", type=int, default=2)
    parser.add_argument("--ours", type=int, default=2)
    parser.add_argument("--lease", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--deadline", type=float, default=900.0)
    parser.add_argument("--url", help="an empty server; default: one of its own")
    given = parser.parse_args()
    print(f"seed {given.seed}")
    with tempfile.TemporaryFile() as log:
        if given.url:
            books = run(given.url, given, log)
        else:
            with bench_server() as url:
                books = run(url, given, log)
        if books.problems:
            log.seek(0)
            print(log.read()[-3000:].decode(errors="replace"))
    print(balance_sheet(books))
    return 1 if books.problems else 0


if __name__ == "__main__":
    sys.exit(main())
