"""What is asked of a worker, whichever executor it has: how long it works, in which order, with which methods."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import tasks
from tests.executors import contract_hooks, contract_jobs
from tests.executors.working import KINDS, WARM, Ended, attempts, calls, ended, failure, make, on, run
from tests.worker import station_jobs

from atomiq import Job, Queue, hooks
from atomiq.worker import ForkWorker, SimpleWorker, SpawnWorker, Worker


@on(*KINDS)
def test_json(redis_connection: Any, executor: str) -> None:
    queue = Queue("default", connection=redis_connection, serializer="json")
    job, bad = queue.enqueue(tasks.echo, {"a": [1]}), queue.enqueue(tasks.boom)
    run(queue, executor, serializer="json")
    assert job.return_value() == {"a": [1]}
    assert "ValueError: boom" in failure(bad)


@on(*KINDS)
def test_max_jobs(queue: Queue, executor: str) -> None:
    made = [queue.enqueue(tasks.add, number) for number in range(9)]
    run(queue, {executor: 1}, {"max_jobs": 5})
    assert [job.is_finished for job in made] == [True] * 5 + [False] * 4
    assert queue.job_ids == [job.id for job in made[5:]]
    assert all(attempts(job) == 0 for job in made[5:])
    run(queue, executor, {"max_jobs": 4})
    assert all(job.is_finished for job in made)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere shared memory needs a folder for it")
@on(*WARM)
def test_a_file_system_that_is_read_only(queue: Queue, monkeypatch: pytest.MonkeyPatch, executor: str) -> None:
    """As containers have it for safety: what supervisor and children share was a temporary file, so that no child could
    be started."""
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    job = queue.enqueue(tasks.add, 1, 2)
    run(queue, executor, {"max_jobs": 1})
    assert job.return_value() == 3


@on("process")
def test_a_worker_with_max_jobs_leaves_no_descriptor_open(queue: Queue, executor: str) -> None:
    """Those who work through a few jobs in a process of theirs, again and again, ran out of them."""
    opened = []
    for _ in range(3):
        queue.enqueue(tasks.nothing)
        run(queue, executor, {"max_jobs": 1})
        opened.append(psutil.Process().num_fds())
    assert opened[1] == opened[2]


@on(*WARM)
def test_max_jobs_is_reached_although_a_child_dies(queue: Queue, tmp_path: Path, executor: str) -> None:
    """What the child had taken in advance went back to the queue, but was still counted: the worker ended up to 32
    jobs too early."""
    before = [queue.enqueue(tasks.nothing) for _ in range(40)]
    deadly = queue.enqueue(station_jobs.die_once, str(tmp_path / "notes"))
    behind = [queue.enqueue(tasks.nothing) for _ in range(60)]
    run(queue, {executor: 1}, {"max_jobs": 92})
    assert attempts(deadly) == 2
    assert sum(job.is_finished for job in (*before, deadly, *behind)) == 91


@on(*KINDS)
def test_more_dependants_than_one_step_frees(queue: Queue, executor: str) -> None:
    """Warm children didn't go on with the rest, and no worker did that ended by itself: it left all but the first
    hundred or two, and others began with them up to a third of a lease later."""
    parent = queue.enqueue(tasks.nothing)
    other = Queue("other", connection=queue.connection)
    made = [other.enqueue(tasks.nothing, depends_on=parent) for _ in range(350)]
    run(queue, executor)
    assert len(other) == len(made)


@on(*KINDS)
def test_idle_for_so_long(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 1)
    run(queue, executor, {"max_idle_time": 1})
    assert job.is_finished


@on(*KINDS)
def test_nothing_to_do(queue: Queue, executor: str) -> None:
    assert not make(queue, executor).work(burst=True)
    queue.enqueue(tasks.boom)
    assert make(queue, executor).work(burst=True)


@on(*KINDS)
def test_order_of_queues(redis_connection: Any, executor: str) -> None:
    queues = [Queue(name, connection=redis_connection) for name in ("a", "b", "c")]
    orders = {"default": "aaabbbccc", "round_robin": "abcabcabc"}
    for strategy, expected in orders.items():
        redis_connection.delete("order")
        for queue in queues:
            for _ in range(3):
                queue.enqueue(contract_jobs.push_queue, "order")
        worker = Worker(queues, connection=redis_connection, executor={executor: 1})
        worker.work(burst=True, dequeue_strategy=strategy)
        assert b"".join(redis_connection.lrange("order", 0, -1)).decode() == expected, strategy


@pytest.fixture
def hooked() -> Iterator[None]:
    contract_hooks.register()
    yield
    for hook in contract_hooks.ALL:
        hooks.remove(hook)


@on(*KINDS)
@pytest.mark.usefixtures("hooked")
def test_hooks(queue: Queue, executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv(contract_hooks.NOTES, str(notes))
    good, bad = queue.enqueue(tasks.echo, 1, job_id="good"), queue.enqueue(tasks.boom, job_id="bad")
    slow = queue.enqueue(tasks.later, 2, job_id="later")
    run(queue, {executor: 1}, imports=["tests.executors.contract_hooks_here"])
    assert good.is_finished
    assert slow.is_finished
    assert "boom" in failure(bad)
    jobs = [_around(job) for job in ("good None", "bad ValueError", "later None")]
    lives = jobs if executor == "fork" else [[line for job in jobs for line in job]]
    assert notes.read_text().splitlines() == [line for life in lives for line in ("child starts", *life, "child stops")]


def _around(job: str) -> list[str]:
    name, error = job.split()
    return [f"{name} starts", f"{name} ends: {error}"]


class Mine(Worker):
    """Overrides what RQ's users override."""

    def perform_job(self, job: Job, queue: Queue) -> bool:
        self.connection.rpush(f"calls:{job.id}", f"before on {queue.name}")
        if job.func_name == "tests.tasks.nothing":
            raise RuntimeError("no application context")
        done = super().perform_job(job, queue)
        self.connection.rpush(f"calls:{job.id}", f"after {done}")
        return bool(done)


@on(*KINDS)
def test_methods_of_a_subclass(queue: Queue, executor: str) -> None:
    job, raises = queue.enqueue(tasks.add, 1), queue.enqueue(tasks.nothing)
    run(queue, {executor: 1}, cls=Mine)
    assert calls(job) == ["before on default", "after True"]
    assert job.is_finished
    assert "no application context" in failure(raises)


@on(*KINDS)
def test_a_payload_that_is_mended_can_be_run_again(queue: Queue, executor: str) -> None:
    job = queue.enqueue(tasks.add, 1)
    good = queue.connection.hget(job.key, "data")
    queue.connection.hset(job.key, "data", b"no pickle")
    run(queue, executor)
    assert "DeserializationError" in failure(job)
    queue.connection.hset(job.key, "data", good)
    job.requeue()
    run(queue, executor)
    assert job.is_finished


@on("inline")
def test_errors_are_logged_with_what_error_trackers_look_for(
    queue: Queue, executor: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In children, too; but there no test can look."""
    job = queue.enqueue(tasks.boom, "seen")
    with caplog.at_level(logging.ERROR):
        run(queue, executor, exception_handlers=tasks.handler_notes)
    (record,) = [record for record in caplog.records if "exception raised" in record.getMessage()]
    assert record.__dict__["job_id"] == job.id
    assert record.__dict__["func"] == "tests.tasks.boom"
    assert tuple(record.__dict__["arguments"]) == ("seen",)
    assert calls(job) == ["handler ValueError"]


@on("inline")
def test_a_result_that_can_not_be_stored_is_logged_with_its_job(
    queue: Queue, executor: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The line named the worker and the type, and with several jobs at a time nobody knew whose it was."""
    job = queue.enqueue(tasks.unpicklable)
    with caplog.at_level(logging.WARNING):
        run(queue, executor)
    assert f"job {job.id}: the result can't be serialized: " in caplog.text


@on(*WARM)
def test_a_child_that_has_run_so_many_jobs_is_replaced(queue: Queue, executor: str) -> None:
    made = [queue.enqueue(contract_jobs.where) for _ in range(20)]
    run(queue, {executor: 1}, max_jobs_per_child=6)
    ends = [ended(job) for job in made]
    assert all(_counted_once(end) for end in ends)
    assert sorted(Counter(end.value["pid"] for end in ends).values()) == [2, 6, 6, 6]


@on(*WARM)
def test_a_child_that_has_become_large_is_replaced(queue: Queue, executor: str) -> None:
    made = [queue.enqueue(contract_jobs.allocate_and_return, 100 * 2**20) for _ in range(3)]
    run(queue, {executor: 1}, max_memory_per_child="150M")
    ends = [ended(job) for job in made]
    assert all(_counted_once(end) for end in ends)
    assert len({end.value for end in ends}) >= 2


def _counted_once(end: Ended) -> bool:
    return end.status == "finished" and end.attempts == 1


@pytest.mark.parametrize("cls", [Worker, ForkWorker, SimpleWorker, SpawnWorker])
def test_the_classes_have_an_executor_each(queue: Queue, cls: Any) -> None:
    first, second = (queue.enqueue(contract_jobs.where) for _ in range(2))
    cls([queue], connection=queue.connection).work(burst=True)
    pids = {first.return_value()["pid"], second.return_value()["pid"]}
    assert len(pids) == (2 if cls is ForkWorker else 1)
