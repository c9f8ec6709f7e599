"""Leases that somebody keeps who isn't busy, whatever a job does to its interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers import wait_until
from tests.invariants import check_invariants
from tests.worker import station_jobs
from tests.worker.conftest import StartWorker
from tests.worker.test_stations_death import attempts

from atomiq import Queue


@pytest.mark.parametrize("executor", ["process", "fork", "spawn", "thread", "async", "inline"])
def test_a_job_that_holds_the_gil_for_three_leases(
    queue: Queue, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue(station_jobs.hog, str(notes), 3.2)
    worker = start_worker(executor=executor, options={"lease": 1})
    wait_until(notes.exists)
    other = start_worker(options={"lease": 1})
    wait_until(lambda: job.is_finished)
    assert notes.read_text().split() == ["start", "end"]
    assert attempts(job) == 1
    assert [result.worker_name for result in job.results()] == [worker.name]
    assert "lost its worker" not in other.log
    assert "no longer ours" not in worker.log
    assert check_invariants(queue.connection) == []
