"""What a type checker tells a user of the API. It is never run: `mypy` reads it with the sources (see pyproject.toml).

An `assert_type` that doesn't hold is an error there, and so is a `type: ignore` behind which there is none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from atomiq import Callback, Dependency, Job, Queue, Repeat, Result, Retry, Webhook, aio, connect, get_current_job
from atomiq.backoff import Exponential
from atomiq.decorators import job
from atomiq.executions import Execution
from atomiq.group import Group
from atomiq.job import JobStatus
from atomiq.registry import FailedJobRegistry, ScheduledJobRegistry, StartedJobRegistry
from atomiq.requires import Ready


def add(a: int, b: int = 1) -> int:
    return a + b


def enqueueing(queue: Queue, other: Job) -> None:
    assert_type(queue.enqueue(add, 1, b=2, job_timeout="1h"), Job)
    assert_type(queue.enqueue_in(timedelta(hours=1), "operator.add", 1, 2), Job)
    assert_type(queue.create_job(add, (1,), timeout=timedelta(minutes=1)), Job)
    assert_type(queue.enqueue_many([queue.prepare_data(add, (1,), ttl="5m")]), list[Job])
    assert_type(
        queue.enqueue_call(
            add,
            (1,),
            depends_on=[other, "an-id", Dependency([other], allow_failure=True)],
            retry=Retry(3, backoff=Exponential(1)),
            repeat=Repeat(2, interval=[1, 2]),
            on_success=Callback("operator.add", timeout="10s"),
            on_failure=add,
            webhooks=[Webhook("http://localhost/", "failed")],
            requires=Ready(add, 1),
        ),
        Job,
    )
    queue.enqueue_call(add, (1,), timeout=[5])  # type: ignore[arg-type]
    queue.enqueue_call(add, (1,), depends_on=5)  # type: ignore[arg-type]
    queue.enqueue_call(add, (1,), retry=3)  # type: ignore[arg-type]
    queue.create_job(add, (1,), requires=5)  # type: ignore[arg-type]


def looking(queue: Queue, started: Job, group: Group, execution: Execution) -> None:
    assert_type(queue.jobs, list[Job])
    assert_type(queue.fetch_job("an-id"), Job | None)
    assert_type(queue.started_job_registry, StartedJobRegistry)
    assert_type(queue.failed_job_registry, FailedJobRegistry)
    assert_type(queue.scheduled_job_registry, ScheduledJobRegistry)
    assert_type(queue.failed_job_registry.requeue("an-id"), Job)
    assert_type(started.get_status(), JobStatus)
    assert_type(started.latest_result(timeout=1), Result | None)
    assert_type(started.return_value(), Any)
    assert_type(Job.fetch("an-id", connection=connect()), Job)
    assert_type(get_current_job(), Job | None)
    assert_type(group.get_jobs(), list[Job])
    assert_type(execution.job, Job)


@job("default", connection=None, timeout="5m", retry=Retry(3))
def twice(number: int, *, loud: bool = False) -> str:
    return str(2 * number) + "!" * loud


def decorated(other: Job) -> None:
    assert_type(twice(1), str)
    assert_type(twice.delay(1, loud=True), Job)
    assert_type(twice.enqueue(1, job_id="an-id"), Job)
    assert_type(twice.delay(1, depends_on=other, at_front=True), Job)
    twice.delay("1")  # type: ignore[call-overload]
    twice.delay(1, quiet=True)  # type: ignore[call-overload]


async def with_asyncio(queue: aio.Queue, execution: aio.Execution) -> None:
    assert_type(await queue.enqueue(add, 1), aio.Job)
    assert_type(queue.create_job(add, (1,)), aio.Job)
    assert_type(await queue.jobs(), list[aio.Job])
    assert_type(queue.failed_job_registry, aio.FailedJobRegistry)
    assert_type(await queue.failed_job_registry.requeue("an-id"), aio.Job)
    found = await aio.Job.fetch("an-id", connection=aio.connect())
    assert_type(await found.latest_result(timeout=1), aio.Result | None)
    assert_type(await found.is_finished(), bool)
    assert_type(await execution.job(), aio.Job)
    await queue.enqueue_call(add, (1,), timeout=[5])  # type: ignore[arg-type]


def constructing() -> None:
    Queue(5, connection=connect())  # type: ignore[arg-type]
    Queue("mail", connection=connect(), default_timeout=[5])  # type: ignore[arg-type]
    aio.Queue(5, connection=aio.connect())  # type: ignore[arg-type]
