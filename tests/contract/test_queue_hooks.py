"""Hooks of RQ's Queue: whoever overrides or patches one is called, in RQ's order, and the job is enqueued all the same.

Sentry's integration replaces `Queue.enqueue_job`; others subclass. Without a hook `enqueue` goes the short way.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
import redis
from tests.contract.jobs import add, take

from atomiq import Job, JobStatus, Queue, aio
from atomiq._wire.sync import Store
from atomiq.decorators import job as job_decorator
from atomiq.exceptions import DuplicateJobError, JobIsRunning

HOOKS = (
    "parse_args", "enqueue", "enqueue_call", "create_job", "enqueue_job", "setup_dependencies", "push_job_id",
    "enqueue_at", "enqueue_in", "schedule_job", "run_sync", "run_job",
)  # fmt: skip


def tracing(base: Any, *names: str) -> tuple[Any, list[str]]:
    """A subclass that overrides these methods, and the list of what is called."""
    called: list[str] = []

    def override(name: str) -> Any:
        original = getattr(base, name)
        plain = getattr(original, "__func__", original)

        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            called.append(name)
            return plain(self, *args, **kwargs)

        return classmethod(method) if hasattr(original, "__func__") else method

    return type("Traced", (base,), {name: override(name) for name in names}), called


@pytest.fixture
def plain(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


AT_ONCE = ["enqueue", "parse_args", "enqueue_call", "create_job", "enqueue_job", "setup_dependencies", "push_job_id"]
MAKING = {
    "enqueue": (lambda queue: queue.enqueue(add, 1), AT_ONCE),
    "enqueue_call": (lambda queue: queue.enqueue_call(add, (1,)), AT_ONCE[2:]),
    "enqueue_job": (lambda queue: queue.enqueue_job(Job.create(add, (1,), connection=queue.connection)), AT_ONCE[4:]),
    "unique": (lambda queue: queue.enqueue(add, 1, unique=True, job_id="u"), AT_ONCE[:-1]),
    "in": (
        lambda queue: queue.enqueue_in(timedelta(1), add, 1),
        ["enqueue_in", "enqueue_at", "parse_args", "create_job", "schedule_job"],
    ),
    "at": (
        lambda queue: queue.enqueue_at(datetime(2030, 1, 1, tzinfo=UTC), add, 1),
        ["enqueue_at", "parse_args", "create_job", "schedule_job"],
    ),
    "many": (lambda queue: queue.enqueue_many([Queue.prepare_data(add, (1,))])[0], ["create_job", "push_job_id"]),
    "decorator": (lambda queue: job_decorator(queue, queue.connection)(add).delay(1), AT_ONCE[2:]),
}


@pytest.mark.parametrize("how", MAKING)
def test_all_are_called_in_order(how: str, redis_connection: redis.Redis, store: Store) -> None:
    kind, called = tracing(Queue, *HOOKS)
    make, expected = MAKING[how]
    job = make(kind(connection=redis_connection))
    assert called == expected
    if how in ("in", "at"):
        assert job.get_status() is job.get_status(refresh=False) is JobStatus.SCHEDULED
    else:
        assert job.get_status() is job.get_status(refresh=False) is JobStatus.QUEUED
        assert take(store)[0] == job


@pytest.mark.parametrize("name", HOOKS[:7])
def test_each_is_called_alone(name: str, redis_connection: redis.Redis, store: Store) -> None:
    kind, called = tracing(Queue, name)
    job = kind(connection=redis_connection).enqueue(add, 1, b=2, meta={"a": 1})
    assert called == [name]
    taken = take(store)[0]
    assert (taken, taken.kwargs, taken.meta) == (job, {"b": 2}, {"a": 1})


def test_here_and_now(redis_connection: redis.Redis) -> None:
    kind, called = tracing(Queue, *HOOKS)
    job = kind(connection=redis_connection, is_async=False).enqueue(add, 1, 2)
    assert called == [*AT_ONCE[:-1], "run_sync", "run_job"]
    assert (job.get_status(), job.return_value()) == (JobStatus.FINISHED, 3)


def test_one_that_waits_is_not_pushed(plain: Queue) -> None:
    kind, called = tracing(Queue, "enqueue_job", "push_job_id")
    job = kind(connection=plain.connection).enqueue(add, 1, depends_on=plain.enqueue(add, 2))
    assert called == ["enqueue_job"]
    assert job.get_status() is JobStatus.DEFERRED


def test_a_later_patch_of_the_class_is_seen(plain: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Sentry's integration does it, on queues that exist already."""
    plain.enqueue(add, 1)
    original = Queue.enqueue_job

    def patched(self: Queue, job: Job, **kwargs: Any) -> Job:
        job.meta["trace"] = sorted(kwargs)
        return original(self, job, **kwargs)

    monkeypatch.setattr(Queue, "enqueue_job", patched)
    job = plain.enqueue(add, 1)
    assert Job.fetch(job.id, plain.connection).meta == {"trace": ["at_front", "pipeline", "unique"]}
    monkeypatch.undo()
    assert plain.enqueue(add, 1).get_meta() == {}


def test_a_mock_on_one_queue_is_called(plain: Queue) -> None:
    with mock.patch.object(plain, "enqueue_call") as enqueue_call:
        assert plain.enqueue(add, 1, job_timeout=5) is enqueue_call.return_value
    given = enqueue_call.call_args.kwargs
    assert (given["func"], given["args"], given["timeout"], given["pipeline"]) == (add, (1,), 5, None)
    assert plain.count == 0


def test_create_of_an_own_job_class_is_called(redis_connection: redis.Redis, store: Store) -> None:
    class OwnJob(Job):
        @classmethod
        def create(cls, *args: Any, **kwargs: Any) -> Any:
            kwargs["meta"] = {"made": "by create"}
            return super().create(*args, **kwargs)

    queue = Queue(connection=redis_connection, job_class=OwnJob, default_timeout=7, abandoned="fail", executor="thread")
    job = queue.enqueue(add, 1, ttl=50)
    assert (type(job), job.timeout, job.on_abandoned, job.executor) == (OwnJob, 7, "fail", "thread")
    taken = take(store)[0]
    assert (taken.id, taken.meta, taken.ttl) == (job.id, {"made": "by create"}, 50)
    (many,) = queue.enqueue_many([Queue.prepare_data(add, (1,))])
    assert many.meta == {"made": "by create"}


# -- push_job_id -------------------------------------------------------------------------------------------------------


class Elsewhere(Queue):
    """Keeps its ids where it likes, as RQ's lists allow."""

    def push_job_id(self, job_id: str, pipeline: Any = None, at_front: bool = False) -> None:
        (pipeline or self.connection).zadd("prio", {job_id: 1 if at_front else 2})


def test_ids_pushed_elsewhere(redis_connection: redis.Redis) -> None:
    queue = Elsewhere(connection=redis_connection)
    last, first = queue.enqueue(add, 1), queue.enqueue(add, 2, at_front=True)
    assert redis_connection.zrange("prio", 0, -1) == [first.id.encode(), last.id.encode()]
    assert (queue.count, last.get_status()) == (0, JobStatus.QUEUED)
    assert redis_connection.zcard("rq:scheduled:default") == 0


def test_raw_pushes_are_in_the_transaction(redis_connection: redis.Redis, store: Store) -> None:
    class Raw(Queue):
        def push_job_id(self, job_id: str, pipeline: Any = None, at_front: bool = False) -> None:
            assert self.count == pushed, "nothing is written before the transaction"
            pipeline.rpush(self.key, job_id)

    pushed = 0
    queue = Raw(connection=redis_connection)
    jobs = [queue.enqueue(add, 1)]
    pushed = 1
    jobs.append(queue.enqueue(add, 2))
    pushed = 2
    jobs += queue.enqueue_many([Queue.prepare_data(add, (3,)), Queue.prepare_data(add, (4,), depends_on=jobs[0])])
    assert [job.get_status() for job in jobs] == [JobStatus.QUEUED] * 3 + [JobStatus.DEFERRED]
    assert [take(store)[0] for _ in range(3)] == jobs[:3]


def test_pushed_in_the_pipeline_of_the_caller(redis_connection: redis.Redis, store: Store) -> None:
    kind, called = tracing(Queue, "push_job_id")
    queue = kind(connection=redis_connection)
    with redis_connection.pipeline() as pipeline:
        job = queue.enqueue(add, 1, pipeline=pipeline)
        assert (called, queue.count) == (["push_job_id"], 0)
        pipeline.execute()
    assert take(store)[0] == job


def test_refusals_reach_the_caller(redis_connection: redis.Redis, store: Store) -> None:
    kind, _ = tracing(Queue, "push_job_id")
    queue = kind(connection=redis_connection)
    job = queue.enqueue(add, 1, job_id="x")
    with pytest.raises(DuplicateJobError):
        queue.enqueue(add, 1, job_id="x", unique=True)
    take(store)
    with pytest.raises(JobIsRunning):
        queue.enqueue(add, 1, job_id="x")
    assert (job.get_status(), queue.count) == (JobStatus.STARTED, 0)


# -- asyncio -----------------------------------------------------------------------------------------------------------


def test_hooks_of_the_asyncio_queue(redis_url: str, store: Store) -> None:
    kind, called = tracing(aio.Queue, *HOOKS[:5], "enqueue_at", "schedule_job")

    async def whole() -> Any:
        async with aio.connect(redis_url) as connection:
            job = await kind(connection=connection).enqueue(add, 1)
            await kind(connection=connection).enqueue_in(timedelta(1), add, 1)
            return job

    job = asyncio.run(whole())
    assert called == [*AT_ONCE[:5], "enqueue_at", "parse_args", "create_job", "schedule_job"]
    assert take(store)[0].id == job.id


def test_a_job_that_has_nothing_to_wait_for_any_more(plain: Queue) -> None:
    """Read while it was deferred and enqueued when its dependency was gone: the status of that look was taken for the
    word of the hook, and nothing was enqueued, without a word."""
    traced, called = tracing(Queue, "setup_dependencies")
    queue = traced(connection=plain.connection)
    parent = plain.enqueue(add, 1)
    job = Job.fetch(plain.enqueue(add, 2, depends_on=parent).id, plain.connection)
    waiting = Job.fetch(job.id, plain.connection)
    queue.enqueue_job(waiting)
    assert waiting.get_status(refresh=False) is waiting.get_status() is JobStatus.DEFERRED
    parent.delete()
    queue.enqueue_job(job)
    assert job.get_status(refresh=False) is job.get_status() is JobStatus.QUEUED
    assert (plain.job_ids, called) == ([job.id], ["setup_dependencies"] * 2)
