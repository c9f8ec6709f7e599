"""The run itself: enqueue, start two workers, kill one, wait for the other, close the books."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from atomiq._core.errors import AtomiqError
from atomiq._core.ids import new_job_id
from atomiq._core.values import Retry
from atomiq.demo import jobs
from atomiq.demo.books import Books, Entry, balance
from atomiq.demo.crew import WorkerProcess
from atomiq.demo.show import View
from atomiq.job import Job
from atomiq.queue import Queue
from atomiq.registry import StartedJobRegistry

KEEP: Final = 86400
DELAY: Final = 4
RETRY_AFTER: Final = 2
LOOK_EVERY: Final = 0.02
AT_MOST: Final = 180.0
KILL_AFTER: Final = 1 / 3
"""Share of the files that is indexed when the worker is killed."""


class DemoFailed(AtomiqError):
    """The run did not come to its end."""


class Demo:
    """One run on one server, in a queue of its own."""

    def __init__(self, connection: Any, url: str, files: list[str], lease: float, view: View) -> None:
        self._run = new_job_id()[:8]
        self.queue = Queue(f"demo-{self._run}", connection=connection)
        self._url = url
        self._files = files
        self._lease = lease
        self._view = view
        self._expected: dict[str, Callable[[], Any]] = {}
        self._due: dict[str, float] = {}

    def play(self) -> Books:
        """Do it all.

        Raises:
            DemoFailed: a worker ended by itself, or nothing moves any more.
            ServerError: the server can't be reached.
        """
        self._enqueue()
        first, second = (WorkerProcess(f"{self.queue.name}-{n}", self._url, self.queue.name, self._lease) for n in "12")
        began = time.monotonic()
        self._view.start(len(self._expected))
        try:
            self._view.event(f"two workers started (pids {first.pid} and {second.pid}), lease {self._lease:g} s")
            self._wait(lambda finished: finished >= len(self._files) * KILL_AFTER, first, second)
            victim, killed, killed_at = self._kill(first, second)
            names = ", ".join(killed)
            self._view.event(f"worker {victim.name} and its children killed with SIGKILL while it ran {names}")
            survivor = second if victim is first else first
            self._wait(lambda finished: finished >= len(self._expected), survivor)
            seconds = time.monotonic() - began
            if survivor.stop() != 0:
                raise DemoFailed(f"the worker {survivor.name} ended with an error:\n{survivor.last_words()}")
        finally:
            self._view.stop()
            for worker in (first, second):
                worker.stop()
        self._view.event("computing every result again, here and directly...")
        expected = {job_id: compute() for job_id, compute in self._expected.items()}
        books = balance(expected, self._entries(), killed, killed_at, self._lease)
        books.seconds = seconds
        self._check_places(books)
        return books

    def tidy(self) -> None:
        """Leave nothing on the server."""
        for job_id in self._expected:
            Job(job_id, connection=self.queue.connection).delete()
        self.queue.delete()

    @contextmanager
    def tidied_if_broken_off(self) -> Iterator[None]:
        """By Ctrl+C, or by a worker that did not do its part."""
        try:
            yield
        except (KeyboardInterrupt, DemoFailed):
            self.tidy()
            raise

    # -- the jobs -----------------------------------------------------------------------------------------------------

    def _enqueue(self) -> None:
        began = time.monotonic()
        datas = []
        for number, path in enumerate(self._files):
            job_id = f"{self._run}-{number:04}-{Path(path).stem.strip('_')}"
            self._expected[job_id] = lambda path=path: jobs.index_source(path)  # type: ignore[misc]
            datas.append(Queue.prepare_data(jobs.index_source, (path,), job_id=job_id, result_ttl=KEEP))
        self.queue.enqueue_many(datas)
        indexes = list(self._expected)
        self._enqueue_one("merge", jobs.merge, self._merged, depends_on=indexes)
        self._enqueue_one("late", jobs.late, lambda: jobs.LATE, delay=DELAY)
        self._enqueue_one("stumble", jobs.stumble, lambda: jobs.SECOND_TIME, retry=Retry(1, RETRY_AFTER), at_front=True)
        took = time.monotonic() - began
        self._view.event(
            f"{len(self._expected)} jobs enqueued in {took:.2f} s: {len(indexes)} files of the standard library to "
            f"index, one merge that waits for them all, one delayed by {DELAY} s, one that fails and is retried after "
            f"{RETRY_AFTER} s"
        )

    def _enqueue_one(
        self, name: str, func: Callable[..., Any], compute: Callable[[], Any], delay: int = 0, **options: Any
    ) -> None:
        job_id = f"{self._run}-{name}"
        self._expected[job_id] = compute
        if delay:
            self._due[job_id] = self._server_time() + delay
            self.queue.enqueue_in(timedelta(seconds=delay), func, job_id=job_id, result_ttl=KEEP, **options)
        else:
            self.queue.enqueue(func, job_id=job_id, result_ttl=KEEP, **options)

    def _merged(self) -> Any:
        return jobs.summed(jobs.index_source(path) for path in self._files)

    def _entries(self) -> list[Entry]:
        entries = []
        for job in Job.fetch_many(list(self._expected), connection=self.queue.connection):
            if job is not None:
                started = job.started_at.timestamp() if job.started_at else 0.0
                status = job.get_status(refresh=False).value
                due = self._due.get(job.id, 0.0)
                value = job.return_value()
                entries.append(Entry(job.id, status, job.attempts, job.retries_done, value, started, due))
        return entries

    def _check_places(self, books: Books) -> None:
        """Every job in the one place that its status names."""
        counts = self.queue.counts()
        elsewhere = {
            name: getattr(counts, name) for name in ("queued", "started", "scheduled", "deferred", "failed", "canceled")
        }
        books.problems += [f"{count} jobs are still {name}" for name, count in elsewhere.items() if count]
        if counts.finished != books.enqueued:
            books.problems.append(f"{counts.finished} jobs are among the finished ones, {books.enqueued} were enqueued")

    # -- the run ------------------------------------------------------------------------------------------------------

    def _wait(self, enough: Callable[[int], bool], *workers: WorkerProcess) -> None:
        """Until so many jobs are finished."""
        deadline = time.monotonic() + AT_MOST
        while True:
            counts = self.queue.counts()
            self._view.counts(counts)
            if enough(counts.finished):
                return
            for worker in workers:
                if worker.exit_code is not None:
                    raise DemoFailed(f"the worker {worker.name} ended by itself:\n{worker.last_words()}")
            if time.monotonic() > deadline:
                raise DemoFailed(f"not done after {AT_MOST:g} s: {counts}")
            time.sleep(LOOK_EVERY)

    def _kill(self, *workers: WorkerProcess) -> tuple[WorkerProcess, list[str], float]:
        """Kill one of them while it runs a job: the first that is seen with one. Says which, its jobs, and the
        server's time."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for worker in filter(self._held_by, workers):
                with worker.frozen():
                    held = self._held_by(worker)
                    time.sleep(0.02)  # what it had sent before it froze arrives in this time
                    if held and held == self._held_by(worker):
                        worker.kill()
                        return worker, held, self._server_time()
            time.sleep(0.001)  # a worker that is frozen all the time gets nowhere
        raise DemoFailed(f"none of {', '.join(worker.name for worker in workers)} was ever seen with a job")

    def _held_by(self, worker: WorkerProcess) -> list[str]:
        ids = StartedJobRegistry(queue=self.queue).get_job_ids(cleanup=False)
        found = Job.fetch_many(ids, connection=self.queue.connection)
        return sorted(job.id for job in found if job is not None and job.worker_name == worker.name)

    def _server_time(self) -> float:
        seconds, microseconds = self.queue.connection.time()
        return float(seconds) + float(microseconds) / 1_000_000
