"""Jobs that end the process they run in, and what becomes of those beside them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from tests import tasks
from tests.executors import contract_jobs as jobs
from tests.executors import death_jobs
from tests.executors.working import ALONE, SHARED, WARM, attempts, calls, failure, on, run

from atomiq import Queue, Retry

SENTENCE = "Work-horse terminated unexpectedly; waitpid returned"


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@on(*ALONE, *SHARED)
def test_killed(queue: Queue, executor: str) -> None:
    """It runs again, since it may have been no fault of its own, but not for ever."""
    killed, crashed = queue.enqueue(tasks.kill_self), queue.enqueue(tasks.kill_self, signal.SIGSEGV)
    said = queue.enqueue(jobs.say_and_die, "famous last words")
    read_from_nowhere = queue.enqueue(death_jobs.crash)
    left = [queue.enqueue(tasks.hard_exit, code) for code in (0, 7)]
    after = queue.enqueue(tasks.add, 1)
    run(queue, {executor: 1}, max_abandoned=1)
    for job, number in ((killed, 9), (crashed, 11)):
        assert "PoisonJobError: the process running this job was killed 2 times in a row" in failure(job)
        assert f"{SENTENCE} {number} (signal {number}); " in failure(job)
        assert signal.Signals(number).name in failure(job)
        assert attempts(job) == 2
    assert "famous last words" in failure(said)
    assert "about to read from nowhere" in failure(read_from_nowhere)
    assert "Its stack:" in failure(read_from_nowhere)
    assert "in crash" in failure(read_from_nowhere)
    for job, status, code in zip(left, (0, 1792), (0, 7), strict=True):
        assert f"{SENTENCE} {status}; " in failure(job)
        assert f"exit code {code}" in failure(job)
    assert after.is_finished


@on("fork", *WARM)
@pytest.mark.parametrize(("own", "runs"), [(None, 3), ("retry", 4)])
def test_by_rqs_policy_a_killed_job_is_retried_as_its_retry_says(
    queue: Queue, executor: str, tmp_path: Path, own: Any, runs: int
) -> None:
    """The worker says 'fail'; a job whose queue says 'retry' is run again all the same."""
    there = Queue(queue.name, connection=queue.connection, abandoned=own)
    job = there.enqueue(tasks.note_and_kill_self, str(tmp_path / "runs"), retry=Retry(max=2))
    run(queue, {executor: 1}, abandoned="fail")
    assert job.is_failed
    assert lines(tmp_path / "runs") == runs


@on("fork", "process")
def test_the_handler_of_killed_work_horses(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.kill_self, retry=Retry(max=2))
    run(queue, executor, work_horse_killed_handler=tasks.killed_handler)
    assert calls(job) == ["killed 9"]
    assert job.is_failed


@on(*SHARED)
@pytest.mark.parametrize("murderer", [jobs.kill_beside, jobs.exit_beside], ids=["killed", "left"])
def test_neighbours_of_a_job_that_ends_the_child_run_again(
    queue: Queue, executor: str, tmp_path: Path, murderer: Any
) -> None:
    """Nobody knows which of them did it, so each is abandoned; what was not started is not counted at all."""
    notes = tmp_path / "notes"
    neighbour = queue.enqueue(jobs.afirst_waits if executor == "async" else jobs.first_waits, str(notes))
    job = queue.enqueue(murderer, str(notes))
    behind = [queue.enqueue(tasks.add, number) for number in range(3)]
    run(queue, {executor: 2}, max_abandoned=1)
    assert neighbour.is_finished
    assert attempts(neighbour) == 2
    assert SENTENCE in failure(job)
    assert [other.return_value() for other in behind] == [0, 1, 2]
    assert [attempts(other) for other in behind] == [1, 1, 1]


@on("fork")
def test_terminated(queue: Queue, executor: str) -> None:
    """A fork has SIGTERM's default: it dies of it. A warm child leaves that to its supervisor: see below."""
    job = queue.enqueue(tasks.kill_self, signal.SIGTERM)
    run(queue, executor, max_abandoned=0)
    assert "killed by SIGTERM" in failure(job)


@on(*WARM)
def test_a_warm_child_takes_no_sigterm_from_its_jobs(queue: Queue, executor: str) -> None:
    """The supervisor uses SIGTERM to say that it has written down a wish. Without a wish it means nothing; whoever
    signals a whole group means the supervisor."""
    job = queue.enqueue(jobs.terminate_self)
    run(queue, executor)
    assert job.return_value() == "went on"
    assert attempts(job) == 1
