"""A station that has little to do starts each job as it comes."""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest
from tests import tasks
from tests.helpers import wait_until
from tests.worker.conftest import StartWorker

from atomiq import Queue

AT_ONCE = 0.2
"""Seconds. It takes some milliseconds; a station that has missed its moment looks again after up to a second, so that
the jobs of a second wait for half of it."""


def seconds_waited(job: Any) -> float:
    job.refresh()
    return float((job.started_at - job.enqueued_at).total_seconds())


@pytest.mark.parametrize("executor", ["process", "thread", "async"])
def test_one_job_now_and_then(queue: Queue, start_worker: StartWorker, executor: str) -> None:
    """A thread that took the answer 'there is nothing' from the line left the main thread waiting for it for a second,
    and nobody listened to the bell meanwhile: jobs that came every 20 ms began half a second late on the average."""
    start_worker(options={"executor": executor})
    assert queue.enqueue(tasks.add, 1).latest_result(timeout=20) is not None
    jobs = []
    for number in range(60):
        jobs.append(queue.enqueue(tasks.add, number))
        tasks.pause()
    wait_until(lambda: all(job.is_finished for job in jobs), what="all are done")
    assert median(seconds_waited(job) for job in jobs) < AT_ONCE
