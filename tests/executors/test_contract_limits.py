"""Limits that nobody can ignore: time and memory. What shares a child with a job that is killed is run again."""

from __future__ import annotations

from pathlib import Path

import psutil
from tests import tasks
from tests.executors import contract_jobs as jobs
from tests.executors.working import ALONE, CHILDREN, SHARED, attempts, failure, on, run

from atomiq import Callback, Queue

KILL_AFTER = 0.5


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@on(*CHILDREN)
def test_a_job_that_ignores_its_time_limit(queue: Queue, executor: str) -> None:
    """Its failure callback is not called: it would have to be called in the process that is gone."""
    job = queue.enqueue(tasks.ignore_limit, 60, job_timeout=1)
    after = queue.enqueue(tasks.add, 1)
    run(queue, {executor: 1}, kill_after=KILL_AFTER)
    assert "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)" in failure(job)
    assert "killed" in failure(job)
    assert after.is_finished


@on("fork", "process")
def test_a_callback_has_its_own_time_on_top(queue: Queue, executor: str) -> None:
    callback = Callback(tasks.on_success_slow, timeout=2)
    job = queue.enqueue(tasks.add, 1, job_timeout=1, on_success=callback)
    run(
        queue, {executor: 1}, kill_after=10
    )  # on a busy machine the exception may come late, and must come all the same
    assert "JobTimeoutException: Task exceeded maximum timeout value (2 seconds)" in failure(job)


@on(*SHARED)
def test_neighbours_of_a_job_that_blocks_run_again_and_it_does_not_count(
    queue: Queue, executor: str, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    neighbour = queue.enqueue(jobs.afirst_waits if executor == "async" else jobs.first_waits, str(notes))
    blocks = queue.enqueue(jobs.block_beside, str(notes), job_timeout=1)
    behind = [queue.enqueue(tasks.add, number) for number in range(3)]
    run(queue, {executor: 2}, kill_after=KILL_AFTER)
    assert "killed" in failure(blocks)
    assert neighbour.is_finished
    assert lines(notes) == 2
    assert attempts(neighbour) == 1
    assert [job.return_value() for job in behind] == [0, 1, 2]


@on("async")
def test_coroutines_that_hold_up_the_loop_or_swallow_everything(queue: Queue, executor: str, tmp_path: Path) -> None:
    notes, other = tmp_path / "notes", tmp_path / "other"
    neighbour = queue.enqueue(jobs.afirst_waits, str(notes))
    deaf = queue.enqueue(jobs.deaf, str(other), job_timeout=1)
    holds_up = queue.enqueue(jobs.ablock, job_timeout=1)
    run(queue, {executor: 2}, kill_after=KILL_AFTER)
    assert "killed" in failure(deaf)
    assert "killed" in failure(holds_up)
    assert neighbour.is_finished
    assert attempts(neighbour) == 1


@on(*ALONE)
def test_memory(queue: Queue, executor: str) -> None:
    greedy = queue.enqueue(jobs.allocate, 800 * 2**20)
    modest = queue.enqueue(tasks.add, 1)
    limit = psutil.Process().memory_info().rss // 2**20 + 150  # forks begin with all that this process holds
    run(queue, {executor: 1}, memory_limit=f"{limit}M")
    assert "MemoryLimitExceeded" in failure(greedy)
    assert f"the limit of a child is {limit} MiB" in failure(greedy)
    held = float(failure(greedy).partition("held ")[2].split()[0])
    assert limit < held < limit + 800
    assert modest.is_finished
    assert attempts(greedy) == 1
