"""What a job requires is looked for before it runs, whichever executor runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import tasks
from tests.executors import contract_hooks, contract_jobs
from tests.executors import requires_jobs as checks
from tests.executors.working import CHILDREN, KINDS, SHARED, calls, ended, failure, on, run

from atomiq import Callback, Job, Queue, Repeat, Retry, Worker, hooks
from atomiq.backoff import Constant
from atomiq.requires import Ready
from atomiq.results import Result

AT_ONCE: dict[str, Any] = {"backoff": Constant(0)}
"""Without a delay, so that a worker that ends when there is nothing to do sees it to its end."""


def looks(job: Job) -> int:
    return int(job.connection.llen(f"looks:{job.id}"))


@on(*KINDS)
@pytest.mark.parametrize("function", [tasks.add, tasks.later], ids=["plain", "coroutine"])
@pytest.mark.parametrize("check", [checks.there, checks.athere], ids=["plain check", "coroutine check"])
def test_it_runs_once_it_is_there(queue: Queue, executor: str, function: Any, check: Any) -> None:
    """Looks are neither attempts nor retries, and leave no result."""
    job = queue.enqueue(function, 7, retry=Retry(3), requires=Ready(check, 3, **AT_ONCE))
    other = queue.enqueue(tasks.add, 1)
    worker = run(queue, executor)
    end = ended(job)
    assert (end.status, end.value, end.attempts, looks(job)) == ("finished", 7, 1, 4)
    assert end.kinds == [Result.Type.SUCCESSFUL]
    assert end.fields["retries_left"] == b"3"
    assert len(job.waits) == 0, "an object that was not refreshed knows nothing of it"
    job.refresh()
    assert [(wait.seconds, wait.error) for wait in job.waits] == [(0.0, None)] * 3
    assert job.waits == sorted(job.waits)
    assert other.is_finished
    counted = queue.connection.hmget(worker.key, "successful_job_count", "failed_job_count")
    assert [int(count or 0) for count in counted] == [2, 0]


@on(*KINDS)
def test_it_is_never_there(queue: Queue, executor: str) -> None:
    """It fails at once as PreconditionNotMet, whatever its Retry says; its failure callback is called."""
    required = Ready(checks.never, what="the order", tries=3, **AT_ONCE)
    job = queue.enqueue(tasks.add, 1, retry=Retry(3), requires=required, on_failure=Callback(tasks.on_failure))
    run(queue, executor)
    assert "PreconditionNotMet: not there: the order; 3 looks in " in failure(job)
    end = ended(job)
    assert (end.status, end.attempts, looks(job), end.fields["retries_left"]) == ("failed", 1, 3, b"3")
    assert [call.split()[0] for call in end.calls] == ["failure"]
    assert end.kinds == [Result.Type.FAILED]


@on(*KINDS)
@pytest.mark.parametrize("check", [checks.broken, checks.abroken], ids=["plain", "coroutine"])
def test_an_error_is_no_absence(queue: Queue, executor: str, check: Any) -> None:
    job = queue.enqueue(tasks.add, 1, retry=Retry(3), requires=Ready(check, tries=1, error_retries=2, **AT_ONCE))
    run(queue, executor)
    text = failure(job)
    assert "PreconditionError: Refused: " in text
    assert "3 looks in " in text
    assert "3 of them failed" in text
    assert "requires_jobs.Refused" in text, "the traceback of the original is there"
    assert (ended(job).fields["retries_left"], looks(job)) == (b"3", 3)
    job.refresh()
    assert all(wait.error and wait.error.startswith("Refused: ") and "\n" not in wait.error for wait in job.waits)


@on("async")
def test_a_plain_check_that_raises_before_a_coroutine(queue: Queue, executor: str) -> None:
    """It runs in a thread, beside the loop."""
    required = Ready(checks.broken, tries=1, error_retries=2, **AT_ONCE)
    job, other = queue.enqueue(tasks.later, 1, requires=required), queue.enqueue(tasks.later, 2)
    run(queue, executor)
    assert "3 of them failed" in failure(job)
    assert "requires_jobs.Refused" in failure(job)
    assert other.return_value() == 2


@on(*KINDS)
def test_errors_that_pass(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 4, requires=Ready(checks.broken, 5, tries=1, **AT_ONCE))
    run(queue, executor)
    assert (job.return_value(), looks(job)) == (4, 6)


@on(*KINDS)
def test_one_that_exits_ends_neither_worker_nor_job(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 1, requires=Ready(checks.exits, error_retries=1, **AT_ONCE))
    after = queue.enqueue(tasks.add, 2)
    run(queue, executor)
    assert "PreconditionError: SystemExit: " in failure(job)
    assert after.return_value() == 2


@on(*KINDS)
def test_a_look_takes_too_long(queue: Queue, executor: str) -> None:
    """An error, with the job's own limit untouched."""
    required = Ready(checks.slow, timeout=0.3, error_retries=1, **AT_ONCE)
    job = queue.enqueue(tasks.add, 1, job_timeout=60, requires=required)
    run(queue, executor)
    assert "PreconditionError: JobTimeoutException: Task exceeded maximum timeout value (0.3 seconds)" in failure(job)
    assert looks(job) == 2


@on("process", "fork")
def test_a_look_that_ignores_its_limit_is_killed(queue: Queue, executor: str) -> None:
    """The failure named the job's own limit, which had not even begun."""
    job = queue.enqueue(tasks.add, 1, job_timeout=60, requires=Ready(checks.deaf, timeout=0.3, **AT_ONCE))
    run(queue, executor, kill_after=0.5)
    assert job.is_failed
    assert "exceeded maximum timeout value (0.3 seconds)" in failure(job)
    assert "killed" in failure(job)


@on(*CHILDREN)
def test_its_process_dies_while_it_looks(queue: Queue, executor: str) -> None:
    """As if it had died in the function: it runs again, and nothing is lost."""
    job = queue.enqueue(tasks.add, 5, requires=Ready(checks.first_dies, **AT_ONCE))
    run(queue, executor)
    assert (job.return_value(), looks(job)) == (5, 2)


@on(*CHILDREN)
def test_stopped_while_it_looks(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 1, requires=checks.stops_its_job, on_stopped=Callback(tasks.on_stopped))
    after = queue.enqueue(tasks.add, 1)
    run(queue, executor)
    assert job.is_stopped
    assert [call.split()[0] for call in calls(job)] == ["stopped"]
    assert after.is_finished


@on(*CHILDREN)
def test_a_shutdown_while_it_looks(queue: Queue, executor: str, tmp_path: Path) -> None:
    """It is given back, and is looked for again by the next worker."""
    job = queue.enqueue(tasks.add, 6, requires=Ready(checks.first_shuts_down, str(tmp_path / "notes")))
    run(queue, executor, {}, grace=0.1)
    assert job.is_queued
    run(queue, executor)
    assert (job.return_value(), ended(job).attempts) == (6, 1)


@on(*KINDS)
def test_while_it_waits_it_holds_no_worker(queue: Queue, executor: str) -> None:
    """It is in the schedule; a worker that ends when there is nothing to do ends."""
    job = queue.enqueue(tasks.add, 1, requires=Ready(checks.there, 1, backoff=Constant(60)))
    others = [queue.enqueue(tasks.add, number) for number in range(3)]
    run(queue, executor)
    assert job.is_scheduled
    assert job.id in queue.scheduled_job_registry
    assert [other.return_value() for other in others] == [0, 1, 2]
    queue.enqueue_job(Job.fetch(job.id, queue.connection))
    run(queue, executor)
    assert (job.return_value(), looks(job)) == (1, 2)


@on(*KINDS)
def test_a_worker_with_so_many_jobs_to_do_counts_those_that_ran(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 3, requires=Ready(checks.there, 3, backoff=Constant(0.01)))
    run(queue, {executor: 1}, {"max_jobs": 1})
    assert job.return_value() == 3


@on(*KINDS)
def test_each_run_is_looked_for_with_all_its_tries(queue: Queue, executor: str) -> None:
    """Retries and repetitions are runs: what was looked for before the last one does not count."""
    required = Ready(checks.there, 2, tries=3, **AT_ONCE)
    job = queue.enqueue(checks.first_raises, "refused", retry=Retry(1), repeat=Repeat(1), requires=required)
    run(queue, executor)
    assert (job.return_value(), looks(job), ended(job).attempts) == (3, 5, 3)


@on(*KINDS)
def test_dependants_wait_for_it(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 1, requires=Ready(checks.there, 2, **AT_ONCE))
    dependant = queue.enqueue(tasks.add, 2, depends_on=job, requires=Ready(checks.there, 1, **AT_ONCE))
    run(queue, executor)
    assert (job.is_finished, dependant.is_finished, looks(job), looks(dependant)) == (True, True, 3, 2)


@pytest.fixture
def hooked() -> Iterator[None]:
    contract_hooks.register()
    yield
    for hook in contract_hooks.ALL:
        hooks.remove(hook)


@on(*KINDS)
@pytest.mark.parametrize("function", [tasks.add, tasks.later], ids=["plain", "coroutine"])
@pytest.mark.usefixtures("hooked")
def test_hooks_are_around_each_look(
    queue: Queue, executor: str, function: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of the end is told that the job has not succeeded; the one of the start was called before the look."""
    notes = tmp_path / "notes"
    monkeypatch.setenv(contract_hooks.NOTES, str(notes))
    required = Ready(checks.there_noted, str(notes), 1, **AT_ONCE)
    job = queue.enqueue(function, 1, job_id="one", requires=required)
    run(queue, {executor: 1}, imports=["tests.executors.contract_hooks_here"])
    assert job.is_finished
    assert [line for line in notes.read_text().splitlines() if "child" not in line] == [
        *("one starts", "look", "one ends: PreconditionNotMet"),
        *("one starts", "look", "one ends: None"),
    ]


class Mine(Worker):
    """Overrides what RQ's users override."""

    def perform_job(self, job: Job, queue: Queue) -> bool:
        self.connection.rpush(f"calls:{job.id}", "before")
        done = super().perform_job(job, queue)
        self.connection.rpush(f"calls:{job.id}", f"after {done}")
        return bool(done)

    def handle_job_success(self, job: Job, queue: Queue, started_job_registry: Any) -> None:
        self.connection.rpush(f"calls:{job.id}", "success")
        super().handle_job_success(job, queue, started_job_registry)

    def handle_job_failure(self, job: Job, *args: Any, **kwargs: Any) -> None:
        self.connection.rpush(f"calls:{job.id}", "failure")
        super().handle_job_failure(job, *args, **kwargs)

    def handle_job_retry(self, job: Job, *args: Any, **kwargs: Any) -> None:
        self.connection.rpush(f"calls:{job.id}", "retry")
        super().handle_job_retry(job, *args, **kwargs)


@on(*KINDS)
def test_methods_of_a_subclass(queue: Queue, executor: str) -> None:
    """A look that finds nothing is the end of no job: no method of an end is called."""
    there = queue.enqueue(tasks.add, 4, requires=Ready(checks.there, 1, **AT_ONCE))
    never = queue.enqueue(tasks.add, 4, retry=Retry(2), requires=Ready(checks.never, tries=2, **AT_ONCE))
    refused = queue.enqueue(checks.raises, "value", retry=Retry(2, unless=ValueError))
    run(queue, executor, cls=Mine)
    assert (there.return_value(), ended(there).attempts) == (4, 1)
    assert calls(there) == ["before", "after False", "before", "success", "after True"]
    assert calls(never) == ["before", "after False", "before", "failure", "after False"]
    assert "PreconditionNotMet" in failure(never)
    assert (refused.is_failed, ended(refused).attempts) == (True, 1)


@on(*SHARED)
def test_neighbours_run_meanwhile(queue: Queue, executor: str, tmp_path: Path) -> None:
    """A slow look holds up nobody else in its child."""
    job = queue.enqueue(tasks.later, 1, requires=Ready(checks.slow, 1, **AT_ONCE))
    others = [queue.enqueue(contract_jobs.nap if executor == "async" else tasks.wait, 0.01) for _ in range(5)]
    run(queue, {executor: 3})
    job.refresh()
    assert job.is_finished
    assert all(other.ended_at < job.ended_at for other in [Job.fetch(o.id, queue.connection) for o in others])
    assert looks(job) == 1


@on(*KINDS)
@pytest.mark.parametrize(
    ("kind", "options", "runs"),
    [
        ("refused", {"on": checks.Refused}, 3),
        ("again", {"on": (checks.Refused,)}, 3),
        ("value", {"on": "tests.executors.requires_jobs.Refused"}, 1),
        ("again", {"unless": [checks.RefusedAgain]}, 1),
        ("refused", {"unless": [checks.RefusedAgain]}, 3),
        ("again", {"on": (checks.Refused,), "unless": (checks.RefusedAgain,)}, 1),
    ],
)
def test_which_exceptions_are_retried(
    queue: Queue, executor: str, kind: str, options: dict[str, Any], runs: int
) -> None:
    job = queue.enqueue(checks.raises, kind, retry=Retry(2, **options))
    run(queue, executor)
    assert (job.is_failed, ended(job).attempts) == (True, runs)


@on("process", "async")
@pytest.mark.parametrize(
    ("kinds", "runs"), [(("refused", "again"), 2), (("refused", "value"), 1), (("refused", "type"), 1)]
)
def test_a_group_of_exceptions(queue: Queue, executor: str, kinds: tuple[str, ...], runs: int) -> None:
    """It is one of those if all that it holds are, and it is refused if one of them is."""
    retry = Retry(1, on=(checks.Refused, TypeError), unless=TypeError)
    job = queue.enqueue(checks.raises_group, *kinds, retry=retry)
    run(queue, executor)
    assert ended(job).attempts == runs
