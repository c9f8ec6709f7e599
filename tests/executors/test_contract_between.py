"""What one job leaves behind, and what the next one in the same child finds."""

from __future__ import annotations

import logging
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests import tasks
from tests.executors import contract_jobs as jobs
from tests.executors import loop_jobs
from tests.executors.working import ALONE, CHILDREN, KINDS, WARM, attempts, calls, failure, on, run

from atomiq import Callback, Queue


@on(*KINDS)
def test_context_variables(queue: Queue, executor: str) -> None:
    made = [queue.enqueue(function, number) for number in range(4) for function in (jobs.swap, jobs.aswap)]
    run(queue, {executor: 1})
    assert [job.return_value() for job in made] == [None] * 8
    assert jobs.SWAPPED.get() is None


@pytest.mark.parametrize(
    ("executor", "function"),
    [("thread", jobs.meet), ("async", jobs.meet), ("async", jobs.ameet)],
    ids=["thread", "async, plain functions", "async, coroutines"],
)
def test_jobs_at_the_same_time_each_know_which_they_are(queue: Queue, executor: str, function: object) -> None:
    made = [queue.enqueue(function) for _ in range(jobs.TOGETHER)]
    run(queue, {executor: jobs.TOGETHER})
    assert [job.return_value() for job in made] == [[job.id, job.id] for job in made]


@on(*KINDS)
@pytest.mark.filterwarnings("ignore:job.result is deprecated")
def test_the_result_in_a_success_callback(queue: Queue, executor: str) -> None:
    """RQ's users find it in `job.result` too; here that was None there."""
    job = queue.enqueue(tasks.add, 1, 2, on_success=Callback(tasks.on_success_result))
    run(queue, {executor: 1})
    assert calls(job) == ["3 3"]


@on(*KINDS)
def test_a_fork_that_comes_back(queue: Queue, executor: str) -> None:
    """In a job, it would go on as a second worker."""
    job, after = queue.enqueue(tasks.fork_and_return), queue.enqueue(tasks.add, 1)
    run(queue, {executor: 1})
    assert job.return_value() > 0
    assert len(job.results()) == 1
    assert after.is_finished


@on(*CHILDREN)
def test_much_printed(queue: Queue, executor: str) -> None:
    job, after = queue.enqueue(jobs.flood), queue.enqueue(tasks.add, 1)
    run(queue, {executor: 1})
    assert job.return_value() == 200_000
    assert after.is_finished


@on(*KINDS)
def test_a_thread_that_goes_on(queue: Queue, executor: str) -> None:
    """It isn't a daemon; whoever waits for it, waits for ever. Inline, it is the caller's to wait."""
    made = [queue.enqueue(jobs.leave_a_thread) for _ in range(2)]
    after = queue.enqueue(tasks.add, 1)
    run(queue, {executor: 1})
    jobs.LEFT.set()
    assert all(job.is_finished for job in made)
    assert after.is_finished


@on(*ALONE)
def test_handlers_of_signals(queue: Queue, executor: str) -> None:
    """The next job has its time limit, and the supervisor's wishes are heard."""
    spoilt = queue.enqueue(jobs.replace_signal_handlers)
    limited = queue.enqueue(tasks.wait, 60, job_timeout=1)
    again = queue.enqueue(jobs.replace_signal_handlers)
    interrupted = queue.enqueue(jobs.first_shuts_down, "/dev/null")
    run(queue, {executor: 1}, {}, grace=0.05)
    assert spoilt.is_finished
    assert again.is_finished
    assert "JobTimeoutException" in failure(limited)
    assert [call.split()[0] for call in calls(interrupted)] == ["interrupted"]


@on("async")
def test_handlers_of_signals_on_a_loop(queue: Queue, executor: str) -> None:
    queue.enqueue(jobs.areplace_signal_handlers)
    stopped = queue.enqueue(jobs.astop_me, on_stopped=Callback(tasks.on_stopped))
    run(queue, {executor: 2})
    assert stopped.is_stopped
    assert [call.split()[0] for call in calls(stopped)] == ["stopped"]


@on(*CHILDREN)
def test_all_files_closed(queue: Queue, executor: str) -> None:
    """Nobody can settle such a job in its own child: it has ended its process. The next is not harmed."""
    job, after = queue.enqueue(jobs.close_all_files), queue.enqueue(jobs.take_a_socket)
    run(queue, {executor: 1}, lease=2)
    assert "Work-horse terminated unexpectedly" in failure(job)
    assert after.return_value() == 1
    assert attempts(after) == 1


@on(*CHILDREN)
def test_nothing_of_ours_is_written_into_a_jobs_own_files(queue: Queue, executor: str, tmp_path: Path) -> None:
    """It has closed ours, and opened its own under their numbers."""
    precious = tmp_path / "precious"
    job, after = queue.enqueue(jobs.close_all_files_and_open, str(precious)), queue.enqueue(tasks.add, 1)
    run(queue, {executor: 1}, lease=2)
    assert "Work-horse terminated unexpectedly" in failure(job)
    assert not precious.exists() or precious.read_bytes() == b""  # the child may notice, and die, before it is opened
    assert after.is_finished


@on("thread", "async")
def test_nor_while_it_runs(queue: Queue, executor: str, tmp_path: Path) -> None:
    """Another slot waits for work, and saw that the server had gone: its complaint was written into the job's file."""
    precious, log = tmp_path / "precious", logging.FileHandler(tmp_path / "log")
    job = queue.enqueue(jobs.close_all_files_open_and_stay, str(precious))
    logging.getLogger("atomiq.worker").addHandler(log)
    try:
        run(queue, {executor: 2}, lease=2)
    finally:
        logging.getLogger("atomiq.worker").removeHandler(log)
        log.close()
    assert "Work-horse terminated unexpectedly" in failure(job)
    # Without its files libuv aborts the process, and faulthandler knows no more of its file than the number.
    crashed = executor == "async" and find_spec("uvloop") is not None
    written = precious.read_bytes() if precious.exists() else b""
    assert written == b"" or (crashed and b"can't be reached" not in written)


@on(*WARM)
def test_a_warm_child_keeps_what_a_job_has_made(queue: Queue, executor: str) -> None:
    made = [queue.enqueue(jobs.count) for _ in range(3)]
    run(queue, {executor: 1})
    numbers = [job.return_value() for job in made]
    assert [number - numbers[0] for number in numbers] == [0, 1, 2]


@on("fork")
def test_a_fork_begins_anew(queue: Queue, executor: str) -> None:
    made = [queue.enqueue(jobs.count) for _ in range(3)]
    run(queue, executor)
    assert len({job.return_value() for job in made}) == 1


@on("async")
@pytest.mark.parametrize("does", [loop_jobs.child_exits, loop_jobs.child_interrupts, loop_jobs.leave_as_a_generator])
def test_what_ends_a_job_on_a_loop_ends_no_other(queue: Queue, executor: str, does: object) -> None:
    """asyncio lets a SystemExit of any task out of the loop. All that ran there was cancelled: jobs that had nothing to
    do with it had failed for good, with a CancelledError or the other's exception."""
    beside = [queue.enqueue(jobs.nap, 0.3), queue.enqueue(jobs.block, 0.3)]
    job = queue.enqueue(does)
    run(queue, {executor: 10})
    assert any(name in failure(job) for name in ("SystemExit: 3", "KeyboardInterrupt", "GeneratorExit"))
    assert [each.get_status() for each in beside] == ["finished"] * 2
    assert [attempts(each) for each in [job, *beside]] == [1] * 3


@on("async")
def test_a_job_that_stops_the_loop(queue: Queue, executor: str) -> None:
    """The loop's end was that of its child, and of all that ran in it."""
    beside = [queue.enqueue(jobs.nap, 0.3), queue.enqueue(jobs.block, 0.3)]
    job = queue.enqueue(loop_jobs.stop_loop)
    run(queue, {executor: 10})
    assert job.return_value() == "stopped"
    assert [each.get_status() for each in beside] == ["finished"] * 2
    assert [attempts(each) for each in [job, *beside]] == [1] * 3


@on("async")
def test_a_job_that_cancels_all_tasks(queue: Queue, executor: str) -> None:
    """As one does at the end of a program that has a loop for itself. Coroutines that run are cancelled; but not the
    child's own task, nor a plain function in its thread, nor a job that is about to begin."""
    plain = queue.enqueue(jobs.block, 0.3)
    job = queue.enqueue(loop_jobs.cancel_all_others)
    after = [queue.enqueue(jobs.nap, 0.01), queue.enqueue(tasks.add, 1)]
    run(queue, {executor: 10})
    assert job.return_value() == "cancelled"
    assert [each.get_status() for each in [plain, *after]] == ["finished"] * 3
    assert [attempts(each) for each in [job, plain, *after]] == [1] * 4


@on("async")
@pytest.mark.parametrize("leaves", [loop_jobs.leave_a_thread, loop_jobs.leave_a_deaf_task, loop_jobs.leave_a_generator])
def test_what_is_left_on_a_loop_holds_up_nobody(queue: Queue, executor: str, leaves: object) -> None:
    """A child that was to be replaced waited for all that its jobs had left, doing nothing, until after 30 s it was
    killed, and jobs that it had read ahead were lost until then; a worker that was told to end did the same."""
    made = [queue.enqueue(leaves), *[queue.enqueue(tasks.later, 1) for _ in range(5)]]
    began = time.monotonic()
    run(queue, {executor: 1}, max_jobs_per_child=2)
    assert time.monotonic() - began < 15
    assert [attempts(job) for job in made if job.is_finished] == [1] * 6
