"""Job classes of users: what they override of RQ's Job is called where RQ calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import redis
from tests import tasks
from tests.contract.jobs import fail
from tests.executors.working import KINDS, on, run

from atomiq import Callback, Job, Queue, Retry


def note(job: Job, what: str) -> None:
    job.connection.rpush("notes", what)


class Noting(Job):
    """Notes what is called, and carries a field of its own."""

    tenant = "nobody"

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Any]:
        return {**super().to_dict(include_meta, include_result), "tenant": self.tenant}

    def restore(self, raw_data: Mapping[Any, Any]) -> None:
        super().restore(raw_data)
        self.tenant = self.raw.get(b"tenant", b"lost").decode()

    def perform(self) -> Any:
        note(self, f"perform for {self.tenant}")
        return super().perform()

    def save_meta(self) -> None:
        note(self, "save_meta")
        super().save_meta()

    def execute_success_callback(self, death_penalty_class: Any, result: Any) -> None:
        note(self, "success")
        super().execute_success_callback(death_penalty_class, result)

    def execute_failure_callback(self, death_penalty_class: Any, *exc_info: Any) -> None:
        note(self, "failure")
        super().execute_failure_callback(death_penalty_class, *exc_info)


class Executing(Job):
    """RQ's users override this one, private as it is."""

    def _execute(self) -> Any:
        note(self, "before")
        return (super()._execute(), "changed")


def notes(queue: Queue) -> list[bytes]:
    found: list[bytes] = queue.connection.lrange("notes", 0, -1)
    queue.connection.delete("notes")
    return found


@on(*KINDS)
@pytest.mark.parametrize("function", [tasks.add, tasks.later], ids=["plain", "coroutine"])
def test_overridden_methods_are_called(executor: str, redis_connection: redis.Redis, function: Any) -> None:
    """By a worker of any kind, whether the class is named by object or by path."""
    queue = Queue(connection=redis_connection, job_class="tests.executors.test_job_classes.Noting")
    job = queue.create_job(function, (1,), on_success=Callback(tasks.on_success))
    job.tenant = "acme"
    queue.enqueue_job(job)
    run(queue, executor, job_class=Noting)
    assert notes(queue) == [b"perform for acme", b"success"]
    assert job.is_finished
    queue.enqueue(fail, on_failure=Callback(tasks.on_failure), retry=Retry(1))
    run(queue, executor, job_class="tests.executors.test_job_classes.Noting")
    assert notes(queue) == [b"perform for nobody", b"failure"] * 2


@on(*KINDS)
def test_the_call_itself_is_overridden(executor: str, redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection, job_class=Executing)
    job = queue.enqueue(tasks.add, 1, 2)
    coroutine = queue.enqueue(tasks.later, 7)
    run(queue, executor, job_class=Executing)
    assert notes(queue) == [b"before"] * 2
    assert job.return_value() == (3, "changed")
    value = coroutine.return_value()
    assert value is not None
    assert value[1] == "changed"


def test_somebody_patches_job(redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools that watch do so: what they put in the place of a method is called, not what we remember."""
    ours = Job.perform

    def watched(self: Job) -> Any:
        note(self, "watched")
        return ours(self)

    monkeypatch.setattr(Job, "perform", watched)
    queue = Queue(connection=redis_connection)
    queue.enqueue(tasks.add, 1)
    run(queue, "process")
    assert notes(queue) == [b"watched"]
