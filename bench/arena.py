"""One server and one contender at a time: what every scenario does with them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from bench.contenders import Contender, Launch
from bench.environments import environment
from bench.measure import Record, count_records, read_records
from bench.processes import BenchError, Tree, last_line, running, wait_until
from bench.server import Work

WORK = Path(__file__).parent / "workload"
START = 45.0
"""Seconds that a worker may take until its first job has run."""


class Arena:
    """`folder` holds the records (in memory, where the machine has such a folder) and the logs."""

    def __init__(self, url: str, folder: Path, queues: Sequence[str] = ("bench",)) -> None:
        self.url = url
        self.queues = queues
        self.connection: Any = redis.Redis.from_url(url)
        self._folder = folder
        self._laps = 0
        self.records_file = folder / "records-0"
        self.log = folder / "log-0"

    def clear(self) -> None:
        """An empty server and no records."""
        self.connection.flushall()
        self._laps += 1
        self.records_file = self._folder / f"records-{self._laps}"
        self.log = self._folder / f"log-{self._laps}"

    def work(self) -> Work:
        """What the server has done so far."""
        return Work.of(self.connection)

    def records(self) -> list[Record]:
        """Of the jobs that count."""
        return read_records(self.records_file)

    def count(self) -> int:
        """Records so far, warm-ups too."""
        return count_records(self.records_file)

    def env(self, contender: Contender, jobs: int = 0) -> dict[str, str]:
        """What the contender's programs find in their environment."""
        path = os.pathsep.join(str(one) for one in (WORK, *contender.peer.pythonpath))
        ours = {
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "",
            "BENCH_URL": self.url,
            "BENCH_RECORDS": str(self.records_file),
            "BENCH_QUEUES": ",".join(self.queues),
            "BENCH_JOBS": str(jobs),
        }
        return {**os.environ, **ours, **contender.mode.env}

    def worker(self, contender: Contender, jobs: int = 0) -> contextlib.AbstractContextManager[Tree]:
        """Its worker, until the block is left."""
        launch = Launch(environment(contender.peer), self.url, self.queues)
        return running(contender.mode.command(launch), self.env(contender, jobs), WORK, self.log)

    def _producer(self, contender: Contender, arguments: Sequence[str]) -> subprocess.Popen[str]:
        python = environment(contender.peer) / "python"
        with self.log.open("ab") as errors:
            return subprocess.Popen(
                [str(python), "producer.py", contender.peer.module, *arguments],
                env=self.env(contender),
                cwd=WORK,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def fill(self, contender: Contender, plan: str) -> None:
        """Enqueue the jobs of a plan (see work/producer.py) the quickest way."""
        producer = self._producer(contender, ("fill", plan))
        try:
            out, _ = producer.communicate(timeout=180)
        except subprocess.TimeoutExpired as late:
            producer.kill()
            producer.communicate()
            raise BenchError("its producer took more than 180 s") from late
        if producer.returncode or not out.strip():
            raise BenchError(f"its producer failed: {last_line(self.log)}")

    @contextlib.contextmanager
    def produce(self, contender: Contender, *arguments: str) -> Iterator[Producer]:
        """A producer that has warmed up and waits for its `go`."""
        process = self._producer(contender, arguments)
        try:
            yield Producer(process, self.log)
        finally:
            process.kill()
            process.communicate()

    def first_job(self, tree: Tree) -> None:
        """Wait for the first record."""
        self.wait_for(1, tree, START)

    def wait_for(self, count: int, tree: Tree, seconds: float) -> None:
        """Until there are so many records; an error when the worker dies or time is over."""
        wait_until(lambda: self.count() >= count or not tree.alive(), seconds)
        if self.count() >= count:
            return
        happened = f"in {seconds:.0f} s" if tree.alive() else "when its worker ended"
        raise BenchError(f"{self.count()} of {count} jobs {happened}; it said last: {last_line(self.log)}")


class Producer:
    """A program that says `ready`, and figures once it was told to go."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self._expect("ready")

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise BenchError(f"its producer failed: {last_line(self._log)}")
        return line

    def _expect(self, word: str) -> None:
        line = self._line()
        if line != word:
            raise BenchError(f"its producer said {line!r} instead of {word!r}")

    def go(self) -> dict[str, Any]:
        """Let it enqueue; its figures."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        figures: dict[str, Any] = json.loads(self._line())
        return figures
