"""Jobs that are stopped by a user, given back at a shutdown, or no longer ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import tasks
from tests.executors import contract_jobs as jobs
from tests.executors.working import CHILDREN, KINDS, SHARED, attempts, calls, drive, ended, failure, make, on, run

from atomiq import Callback, Queue
from atomiq.results import Result

STOPPED = "Job stopped by user, work-horse terminated."


@on(*CHILDREN)
@pytest.mark.parametrize("function", [jobs.stop_me, jobs.astop_me], ids=["plain", "coroutine"])
def test_stopped(queue: Queue, executor: str, function: object) -> None:
    job = queue.enqueue(function, on_stopped=Callback(tasks.on_stopped), on_failure=Callback(tasks.on_failure))
    after = queue.enqueue(tasks.add, 1)
    run(queue, executor)
    end = ended(job)
    assert end.status == "stopped"
    assert end.text == STOPPED
    assert [call.split()[0] for call in end.calls] == ["stopped"]
    assert after.is_finished
    assert attempts(after) == 1


@on(*SHARED)
def test_one_that_does_not_listen_is_stopped_by_the_death_of_its_child(
    queue: Queue, executor: str, tmp_path: Path
) -> None:
    """Its stopped callback is called elsewhere; its neighbour runs again, uncounted."""
    notes = tmp_path / "notes"
    neighbour = queue.enqueue(jobs.afirst_waits if executor == "async" else jobs.first_waits, str(notes))
    job = queue.enqueue(jobs.stop_me_in_vain, on_stopped=Callback(tasks.on_stopped))
    run(queue, {executor: 2})
    assert ended(job).status == "stopped"
    assert [call.split()[0] for call in calls(job)] == ["stopped"]
    assert neighbour.is_finished
    assert attempts(neighbour) == 1


@on(*KINDS)
def test_an_outcome_that_comes_when_the_job_is_no_longer_ours(queue: Queue, executor: str) -> None:
    """It is dropped: the server's word is not_yours."""
    job, after = queue.enqueue(jobs.lose_me), queue.enqueue(tasks.add, 1)
    run(queue, executor)
    assert job.latest_result() is None
    assert job.is_started
    assert after.is_finished


@on(*CHILDREN)
@pytest.mark.parametrize("function", [jobs.first_shuts_down, jobs.afirst_shuts_down], ids=["plain", "coroutine"])
def test_a_shutdown_whose_grace_is_over_gives_back_what_runs(
    queue: Queue, executor: str, tmp_path: Path, function: object
) -> None:
    notes = tmp_path / "notes"
    job = queue.enqueue(function, str(notes), meta={"worker": "w1"})
    drive(make(queue, executor, name="w1", grace=0.05))
    assert job.is_queued
    assert attempts(job) == 0
    assert calls(job) == ["interrupted"]
    run(queue, executor)
    assert job.is_finished


@on(*CHILDREN)
def test_a_shutdown_waits_for_what_runs_and_leaves_the_rest(queue: Queue, executor: str, tmp_path: Path) -> None:
    made = [queue.enqueue(jobs.shut_down_worker, "w1") for _ in range(30)]
    drive(make(queue, {executor: 1}, name="w1"))
    done = [job for job in made if job.is_finished]
    assert len(done) >= 1
    assert all(job.is_queued and attempts(job) == 0 for job in made if job not in done)
    assert [job.id for job in made if job not in done] == queue.job_ids


@on(*CHILDREN)
def test_kill_horse(queue: Queue, executor: str) -> None:
    """RQ's command: the job fails, and the worker goes on."""
    job = queue.enqueue(jobs.kill_my_horse, "w1")
    after = queue.enqueue(tasks.add, 1)
    run(queue, {executor: 1}, name="w1")
    assert "Work-horse terminated unexpectedly" in failure(job)
    assert after.is_finished


def test_results_of_stopped_jobs_are_failures(queue: Queue) -> None:
    job = queue.enqueue(jobs.stop_me)
    run(queue, "thread")
    assert ended(job).kinds == [Result.Type.FAILED]
