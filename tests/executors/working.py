"""What the contract of the executors needs: workers of each kind that can't hang a test, and how jobs ended."""

from __future__ import annotations

import faulthandler
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.helpers import living_children, wait_until

from atomiq import Job, Queue
from atomiq.results import Result
from atomiq.worker import BaseWorker, Worker

KINDS = ("process", "fork", "spawn", "thread", "async", "inline")
CHILDREN = ("process", "fork", "spawn", "thread", "async")
"""Those that can kill what they run."""
ALONE = ("process", "fork", "spawn")
"""Those with one job at a time in each child."""
SHARED = ("thread", "async")
WARM = ("process", "spawn", "thread", "async")
PATIENCE = 45.0
"""Seconds. No worker of these tests has work for longer."""


def on(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("executor", kinds)


def make(queue: Queue, executor: Any, cls: type[BaseWorker] = Worker, **options: Any) -> BaseWorker:
    return cls([queue], connection=queue.connection, executor=executor, **options)


def run(queue: Queue, executor: Any, work: dict[str, Any] | None = None, **options: Any) -> BaseWorker:
    """A worker of this kind, from its start to its end; by default it ends when there is nothing to do."""
    worker = make(queue, executor, **options)
    drive(worker, **({"burst": True} if work is None else work))
    return worker


def drive(worker: BaseWorker, **work: Any) -> None:
    """`work(...)`. One that doesn't end is told to, and fails the test."""
    before = living_children()
    with _told_to_end(worker):
        worker.work(**work)
    wait_until(lambda: living_children() <= before, within=5, what="every process of the worker has ended")


@contextmanager
def _told_to_end(worker: BaseWorker) -> Iterator[None]:
    over, hung = threading.Event(), threading.Event()

    def watch() -> None:
        if over.wait(PATIENCE):
            return
        hung.set()
        faulthandler.dump_traceback(file=sys.__stderr__)
        worker.request_stop()
        over.wait(1.5)
        worker.request_stop()

    thread = threading.Thread(target=watch, name="patience")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not hung.is_set(), f"the worker did not end within {PATIENCE:g} s"


@dataclass(frozen=True)
class Ended:
    """How a job ended. `text`: of its failure; `kinds`: of its results, the newest first; `calls`: what its callbacks
    and handlers noted."""

    id: str
    status: str
    value: Any
    text: str
    kinds: list[Any]
    calls: list[str]
    attempts: int
    fields: dict[str, bytes]


def ended(job: Job) -> Ended:
    """As the server has it now."""
    raw = job.connection.hgetall(job.key)
    fields = {name.decode(): value for name, value in raw.items()}
    fields["ttl left"] = b"%d" % job.connection.ttl(job.key)
    results = job.results()
    latest = results[0] if results else None
    return Ended(
        job.id,
        fields.get("status", b"gone").decode(),
        None if latest is None else latest.return_value,
        "" if latest is None else str(latest.exc_string or ""),
        [result.type for result in results],
        [line.decode() for line in job.connection.lrange(f"calls:{job.id}", 0, -1)],
        int(fields.get("attempts", b"0")),
        fields,
    )


def failure(job: Job) -> str:
    result = job.latest_result()
    assert result is not None, f"job {job.id} has no result and is {job.get_status()}"
    assert result.type is Result.Type.FAILED, result.type
    assert result.exc_string is not None
    return str(result.exc_string)


def calls(job: Job) -> list[str]:
    return ended(job).calls


def attempts(job: Job) -> int:
    return int(job.connection.hget(job.key, "attempts") or 0)
