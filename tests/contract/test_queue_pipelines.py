"""Pipelines of the caller: whatever is in them already, and in whatever order; RQ refuses most mixtures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from tests.contract.jobs import add
from tests.invariants import check_invariants

from atomiq import Job, JobStatus, Queue

STEPS: dict[str, Callable[[Queue, Any], Any]] = {
    "a command of the user's": lambda queue, pipeline: pipeline.set("rq:suspended", "1"),
    "enqueue": lambda queue, pipeline: queue.enqueue(add, 1, pipeline=pipeline),
    "with a dependency": lambda queue, pipeline: queue.enqueue(add, 1, depends_on="open", pipeline=pipeline),
    "later": lambda queue, pipeline: queue.enqueue_in(timedelta(hours=1), add, 1, pipeline=pipeline),
    "many": lambda queue, pipeline: queue.enqueue_many(
        [Queue.prepare_data(add, (1,), job_id="a"), Queue.prepare_data(add, (2,), depends_on="a")], pipeline=pipeline
    ),
    "enqueue_job": lambda queue, pipeline: queue.enqueue_job(queue.create_job(add, (1,)), pipeline=pipeline),
    "schedule_job": lambda queue, pipeline: queue.schedule_job(
        queue.create_job(add, (1,)), datetime.now(UTC) + timedelta(hours=1), pipeline=pipeline
    ),
}  # fmt: skip


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Any:
    queue = Queue(connection=redis_connection)
    queue.enqueue(add, 0, job_id="open")
    yield queue
    assert check_invariants(redis_connection) == []


@pytest.mark.parametrize("second", STEPS)
@pytest.mark.parametrize("first", STEPS)
def test_any_step_after_any_other(first: str, second: str, queue: Queue, redis_connection: redis.Redis) -> None:
    """RQ: 'Commands without an initial WATCH have already been issued', 'Cannot issue a WATCH after a MULTI'."""
    before = redis_connection.dbsize()
    with redis_connection.pipeline() as pipeline:
        made = [STEPS[name](queue, pipeline) for name in (first, second)]
        assert redis_connection.dbsize() == before
        pipeline.execute()
    jobs = [job for each in made for job in (each if isinstance(each, list) else [each]) if isinstance(job, Job)]
    for job in jobs:
        assert job.get_status(refresh=False) is job.get_status(), job
    redis_connection.delete("rq:suspended")


def test_a_watched_pipeline(queue: Queue, redis_connection: redis.Redis) -> None:
    with redis_connection.pipeline() as pipeline:
        pipeline.watch("balance")
        job = queue.enqueue(add, 1, pipeline=pipeline)
        redis_connection.set("balance", 5)
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert not Job.exists(job.id, redis_connection)
    redis_connection.delete("balance")


def test_a_pipeline_without_a_transaction(queue: Queue, redis_connection: redis.Redis) -> None:
    with redis_connection.pipeline(transaction=False) as pipeline:
        jobs = [queue.enqueue(add, number, pipeline=pipeline) for number in range(3)]
        pipeline.execute()
    assert queue.jobs[1:] == jobs
    assert all(job.get_status() is JobStatus.QUEUED for job in jobs)


def test_a_pipeline_that_is_dropped(queue: Queue, redis_connection: redis.Redis) -> None:
    with redis_connection.pipeline() as pipeline:
        queue.enqueue(add, 1, pipeline=pipeline)
        queue.remove("open", pipeline=pipeline)
        pipeline.reset()
    assert queue.job_ids == ["open"]


def test_unique_does_not_wait_for_the_pipeline(queue: Queue, redis_connection: redis.Redis) -> None:
    """As in RQ: the caller has to learn at once whether the id was free."""
    with redis_connection.pipeline() as pipeline:
        queue.enqueue(add, 1, job_id="once", unique=True, pipeline=pipeline)
        assert queue.job_ids == ["open", "once"]
        assert len(pipeline) == 0


@pytest.mark.parametrize("wrong", [5, "pipeline", object()])
def test_what_is_no_pipeline(wrong: Any, queue: Queue) -> None:
    with pytest.raises(TypeError, match="pipeline"):
        queue.enqueue(add, 1, pipeline=wrong)
