"""Several executors in one worker: one of them claims, and hands over what names another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests import tasks
from tests.executors import contract_jobs as jobs
from tests.executors import requires_jobs as checks
from tests.executors.working import attempts, calls, drive, ended, failure, make, on, run

from atomiq import Callback, Job, Queue, Retry
from atomiq.backoff import Constant
from atomiq.requires import Ready

ALL = {"process": 1, "thread": 2, "async": 10, "fork": 1, "spawn": 1}
OTHERS = ("thread", "async", "fork", "spawn")


def enqueue(queue: Queue, executor: str, function: Any, *arguments: Any, **options: Any) -> Job:
    """A job that names its executor. Written to its hash before anybody can claim it: no worker runs yet."""
    job = queue.enqueue(function, *arguments, **options)
    queue.connection.hset(job.key, "executor", executor)
    return job


def test_each_job_runs_where_it_wants_to(queue: Queue) -> None:
    names = [*ALL, "inline", "of no kind"]
    plain = {name: enqueue(queue, name, jobs.where) for name in names}
    coroutines = {name: enqueue(queue, name, jobs.awhere) for name in names}
    failing = [enqueue(queue, name, tasks.fail_until, "/dev/null", 2, retry=Retry(max=1)) for name in ALL]
    called = [enqueue(queue, name, tasks.add, 1, on_success=Callback(tasks.on_success)) for name in ALL]
    worker = make(queue, ALL)
    drive(worker, burst=True)
    place = {name: job.return_value() for name, job in plain.items()}
    pids = {name: found["pid"] for name, found in place.items()}
    assert len({pids[name] for name in ALL} | {os.getpid()}) == len(ALL) + 1
    assert pids["inline"] == pids["of no kind"] == pids["process"]
    assert place["thread"]["thread"].startswith("atomiq-job")
    assert all(place[name]["main"] for name in ("process", "fork", "spawn"))
    looped = {name: job.return_value() for name, job in coroutines.items()}
    assert looped["async"]["pid"] == pids["async"]
    assert looped["async"]["main"]
    assert all("ValueError: run 0" in failure(job) for job in failing)
    assert all(attempts(job) == 2 for job in failing)
    assert [calls(job) for job in called] == [["success 1 finished"]] * len(ALL)


@pytest.mark.parametrize("first", ["fork", "thread", "async", "spawn"])
def test_any_of_them_may_be_the_first(queue: Queue, first: str) -> None:
    there = [enqueue(queue, "process", jobs.where) for _ in range(5)]
    here = [queue.enqueue(jobs.where) for _ in range(5)]
    run(queue, {first: 1, "process": 1})
    theirs = {job.return_value()["pid"] for job in there}
    assert len(theirs) == 1
    assert not theirs & {job.return_value()["pid"] for job in here}


def test_how_they_end(queue: Queue) -> None:
    """Errors, soft limits, hard limits, stops and deaths of jobs that were handed over."""
    soft = [enqueue(queue, name, tasks.wait, 60, job_timeout=1) for name in OTHERS]
    stopped = [enqueue(queue, name, jobs.stop_me, on_stopped=Callback(tasks.on_stopped)) for name in OTHERS]
    failed = [enqueue(queue, name, tasks.boom, on_failure=Callback(tasks.on_failure)) for name in OTHERS]
    after = [enqueue(queue, name, tasks.add, 1) for name in OTHERS]
    run(queue, ALL)
    text = "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"
    assert all(text in failure(job) for job in soft)
    assert [ended(job).status for job in stopped] == ["stopped"] * len(OTHERS)
    assert [[call.split()[0] for call in calls(job)] for job in stopped] == [["stopped"]] * len(OTHERS)
    assert [calls(job) for job in failed] == [["failure ValueError failed"]] * len(OTHERS)
    assert all(job.is_finished for job in after)


@on(*OTHERS)
def test_one_that_ignores_its_limit_or_dies(queue: Queue, executor: str) -> None:
    deaf = enqueue(queue, executor, tasks.ignore_limit, 60, job_timeout=1)
    killed = enqueue(queue, executor, tasks.kill_self)
    left = enqueue(queue, executor, tasks.hard_exit, 7)
    behind = [enqueue(queue, executor, tasks.add, number) for number in range(3)]
    run(queue, {"process": 1, executor: 1}, kill_after=0.5, max_abandoned=1)
    assert "killed" in failure(deaf)
    assert "PoisonJobError" in failure(killed)
    assert "exit code 7" in failure(left)
    assert [job.return_value() for job in behind] == [0, 1, 2]
    assert [attempts(job) for job in behind] == [1, 1, 1]


@on("thread", "async", "spawn")
def test_a_child_for_others_is_replaced_after_so_many_jobs(queue: Queue, executor: str) -> None:
    made = [enqueue(queue, executor, jobs.where) for _ in range(7)]
    run(queue, {"process": 1, executor: 1}, max_jobs_per_child=3)
    assert all(job.is_finished and attempts(job) == 1 for job in made)
    assert len({job.return_value()["pid"] for job in made}) == 3


def test_max_jobs(queue: Queue) -> None:
    names = [*ALL] * 2
    made = [enqueue(queue, name, tasks.add, 1) for name in names]
    run(queue, ALL, {"max_jobs": 7})
    assert sum(job.is_finished for job in made) == 7
    assert all(job.is_queued and attempts(job) == 0 for job in made if not job.is_finished)


@on("process", "thread")
def test_max_jobs_with_forks_first(queue: Queue, executor: str) -> None:
    """The supervisor claimed for its forks, and its children claimed beside it: each of them so many jobs."""
    made = [queue.enqueue(tasks.add, 1) for _ in range(9)]
    run(queue, {"fork": 1, executor: 1}, {"max_jobs": 4})
    assert [job.is_finished for job in made] == [True] * 4 + [False] * 5


@on("thread", "async", "fork", "spawn")
def test_max_jobs_does_not_count_one_that_waits(queue: Queue, executor: str) -> None:
    """It was counted when it was handed over, so that the worker had done its number without a single run."""
    job = enqueue(queue, executor, tasks.add, 3, requires=Ready(checks.there, 2, backoff=Constant(0.01)))
    run(queue, {"process": 1, executor: 1}, {"max_jobs": 1})
    assert job.return_value() == 3


@on("thread", "fork")
def test_a_shutdown_gives_back_what_waits_for_room(queue: Queue, tmp_path: Path, executor: str) -> None:
    notes = tmp_path / "notes"
    running = enqueue(queue, executor, jobs.first_shuts_down, str(notes))
    waiting = [enqueue(queue, executor, jobs.where) for _ in range(3)]
    drive(make(queue, {"process": 1, executor: 1}, name="w1", grace=0.2))
    assert calls(running) == ["interrupted"]
    assert all(job.is_queued and attempts(job) == 0 for job in (running, *waiting))
    run(queue, {"process": 1, "thread": 1})
    assert all(job.is_finished for job in (running, *waiting))


def test_a_child_that_takes_no_mail_holds_up_nobody_else(queue: Queue, tmp_path: Path) -> None:
    """A coroutine kept its loop busy for 50 s, and six jobs with 400 kB of arguments were handed over to it. The
    supervisor waited 10 s for each, then gave it up in the midst of a message: it heard and handed over nothing
    meanwhile, leases were over that it was to extend, so that it took two jobs back which had never begun; and the job
    whose message was cut off stayed started, and was not run, until its time limit would have killed the child."""
    note = tmp_path / "note"
    blocking = enqueue(queue, "async", jobs.block_until_seen, str(note))
    behind = [enqueue(queue, "async", jobs.length, os.urandom(400_000)) for _ in range(6)]
    other = enqueue(queue, "thread", tasks.note, str(note))
    run(queue, {"process": 1, "async": 10, "thread": 1})
    assert blocking.is_finished, failure(blocking)
    assert other.is_finished
    assert [(job.return_value(), attempts(job)) for job in behind] == [(400_000, 1)] * 6


def test_a_limit_counts_from_the_start_of_its_job(queue: Queue, tmp_path: Path) -> None:
    """It counted from the moment when the job was handed over. One whose child did not come to begin it for longer,
    as another job blocked the loop, or as it was still starting, failed for having overrun the limit, and the child
    was killed with all that it ran."""
    note = tmp_path / "note"
    blocking = enqueue(queue, "async", jobs.block_until_seen, str(note))
    behind = enqueue(queue, "async", jobs.length, b"four", job_timeout=1)
    enqueue(queue, "thread", jobs.note_after, 3, str(note))
    run(queue, {"process": 1, "async": 10, "thread": 1}, kill_after=0.5)
    assert behind.is_finished, failure(behind)
    assert [attempts(job) for job in (blocking, behind)] == [1, 1]


@on("thread", "async", "spawn", "fork")
def test_one_that_waits_for_room_is_stopped(queue: Queue, tmp_path: Path, executor: str) -> None:
    """It never runs; what runs in its place goes on to its end."""
    notes = tmp_path / "notes"
    running = enqueue(queue, executor, jobs.block_until_seen, str(notes), 30)
    waiting = enqueue(queue, executor, tasks.note, str(tmp_path / "never"), on_stopped=Callback(tasks.on_stopped))
    queue.enqueue(jobs.stop_another, waiting.id, str(notes))
    run(queue, {"process": 1, executor: 1})
    assert running.is_finished, failure(running)
    assert ended(waiting).status == "stopped"
    assert [call.split()[0] for call in calls(waiting)] == ["stopped"]
    assert not (tmp_path / "never").exists()


def test_a_child_is_killed_before_it_has_begun_what_it_was_handed(queue: Queue, tmp_path: Path) -> None:
    """What was in its mail, or on its way there, is for the next one, in as many runs as it needs: one."""
    note = tmp_path / "note"
    deaf = enqueue(queue, "async", jobs.anote_and_block, str(note))
    behind = [enqueue(queue, "async", jobs.length, os.urandom(300_000)) for _ in range(3)]
    queue.enqueue(jobs.stop_beside, deaf.id, str(note))
    run(queue, {"process": 1, "async": 4})
    assert ended(deaf).status == "stopped"
    assert [(job.return_value(), attempts(job)) for job in behind] == [(300_000, 1)] * 3
