"""Callbacks of jobs whose process is gone: what is called, and that what goes wrong in them decides nothing."""

from __future__ import annotations

from typing import Any

import pytest
from tests import tasks

from atomiq import Callback, Job, Queue, Worker
from atomiq.executors.aside import call_abandoned, call_killed
from atomiq.executors.report import Report
from atomiq.job import JobStatus
from atomiq.timeouts import UnixSignalDeathPenalty


def abandoned(job: Job, *handlers: str) -> list[str]:
    """The calls for a job that has lost its worker for good."""
    worker = Worker(
        [job.origin], connection=job.connection, exception_handlers=[getattr(tasks, one) for one in handlers]
    )
    log, fetch = worker.log, lambda: Job.fetch(job.id, job.connection)
    limits: list[float | None] = []
    report = call_abandoned(fetch, UnixSignalDeathPenalty, worker.handle_exception, log, limits.append)
    assert report.succeeded
    job.connection.rpush(f"limits:{job.id}", *[str(limit) for limit in limits] or ["none"])
    return [line.decode() for line in job.connection.lrange(f"calls:{job.id}", 0, -1)]


def with_callbacks(queue: Queue, status: JobStatus, on_failure: Any = tasks.on_failure) -> Job:
    job = queue.enqueue(tasks.add, 1, on_failure=Callback(on_failure), on_stopped=Callback(tasks.on_stopped))
    queue.connection.hset(job.key, "status", status.value)
    return job


def test_one_that_failed_of_it(queue: Queue) -> None:
    calls = abandoned(with_callbacks(queue, JobStatus.FAILED), "handler_notes")
    assert [call.split()[:2] for call in calls] == [["failure", "PoisonJobError"], ["handler", "PoisonJobError"]]


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.STOPPED])
def test_each_part_says_what_time_it_has(queue: Queue, status: JobStatus) -> None:
    """Whatever limit the callback of an abandoned job had, it was killed after a minute, and nobody else was told."""
    stopped = Callback(tasks.on_stopped, timeout=80)
    job = queue.enqueue(tasks.add, 1, on_failure=Callback(tasks.on_failure, timeout=90), on_stopped=stopped)
    queue.connection.hset(job.key, "status", status.value)
    abandoned(job)
    limits = queue.connection.lrange(f"limits:{job.id}", 0, -1)
    assert limits == ([b"90", b"60"] if status is JobStatus.FAILED else [b"80"])


def test_a_failure_callback_that_raises_keeps_nobody_from_hearing(queue: Queue) -> None:
    calls = abandoned(with_callbacks(queue, JobStatus.FAILED, tasks.on_failure_boom), "handler_raises", "handler_notes")
    assert calls == ["handler PoisonJobError"]


def test_one_that_was_to_be_stopped(queue: Queue) -> None:
    """Its worker died before it came to stop it: that is no failure."""
    calls = abandoned(with_callbacks(queue, JobStatus.STOPPED), "handler_notes")
    assert [call.split()[0] for call in calls] == ["stopped"]


def test_one_that_is_gone(queue: Queue) -> None:
    job = with_callbacks(queue, JobStatus.FAILED)
    job.delete()
    assert abandoned(job, "handler_notes") == []


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("left", [0, 2])
def test_a_handler_for_killed_work_horses(queue: Queue, left: int, raises: bool) -> None:
    """One that takes the retries away is obeyed, whatever becomes of it then."""
    job = queue.enqueue(tasks.add, 1)
    job.retries_left = 2

    def handler(job: Job, *_arguments: Any) -> None:
        job.retries_left = left
        if raises:
            raise RuntimeError("the notifier is down")

    report: Report = call_killed(job, handler, (1, 9, None), Worker([queue]).log)
    assert (report.succeeded, report.retry) == (True, "auto" if left else "never")
