"""A process with more than a thousand open files: select() knows no descriptor above 1023."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest
from tests import tasks
from tests.executors.working import KINDS, attempts, drive, make, on
from tests.worker import override_jobs, station_jobs

from atomiq import Queue, SimpleWorker, Worker


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """All that is opened from now on has a number above 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < 3000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < 1100:
        opened.append(os.dup(opened[0]))
    yield
    for fd in opened:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@on(*KINDS)
def test_every_executor(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 1, 2)
    drive(make(queue, executor), burst=True)
    assert job.return_value() == 3


@pytest.mark.parametrize("kind", [override_jobs.Loop, override_jobs.Simple], ids=lambda kind: kind.__name__)
def test_the_loop_of_rq(queue: Queue, kind: type[Worker]) -> None:
    """It broke off with a ValueError, in the middle of a job or while it waited for one."""
    job = queue.enqueue(tasks.add, 1, 2)
    drive(make(queue, None, kind), max_idle_time=1)
    assert job.return_value() == 3


def test_a_job_longer_than_its_lease(queue: Queue) -> None:
    """No keeper could live, so nobody extended the lease of a SimpleWorker's job."""
    job = queue.enqueue(station_jobs.slow, 2.5)
    drive(make(queue, "inline", SimpleWorker, lease=1.0), burst=True)
    assert (job.is_finished, attempts(job)) == (True, 1)
