"""RQ's primitives that write a registry or an execution: here the job follows, so that it is in one place."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.both import Api, ask, both
from tests.contract.driving import claimed, fail, finish
from tests.invariants import check_invariants

from atomiq import Job, JobStatus, Queue
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidJobOperation, JobIsRunning, NoSuchJobError, NotInRegistry
from atomiq.executions import Execution, cleanup_execution, prepare_execution
from atomiq.group import Group
from atomiq.registry import (
    BaseRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
)
from atomiq.worker import SimpleWorker

LATER = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def queue(store: Store) -> Iterator[Queue]:
    yield Queue(connection=store.connection)
    assert check_invariants(store.connection) == []


def waiting(queue: Queue, job_id: str = "a") -> Job:
    return queue.enqueue(operator.add, 1, 2, job_id=job_id)


def unsaved(queue: Queue, job_id: str = "a") -> Job:
    return Job.create(operator.add, (1, 2), connection=queue.connection, id=job_id, origin=queue.name)


def test_add_takes_the_job_along(queue: Queue) -> None:
    """RQ writes the member alone: the job is then in a registry, and in its queue as well."""
    job, place = waiting(queue), queue.finished_job_registry
    assert place.add(job, 60) == 1
    assert (job.get_status(), queue.job_ids, place.get_job_ids()) == (JobStatus.FINISHED, [], ["a"])
    assert place.add(job.id, 120) == 0
    assert abs((place.get_expiration_time(job) - datetime.now(UTC)).total_seconds() - 120) < 5
    assert queue.failed_job_registry.add(job) is None
    assert (job.get_status(), len(place), len(queue.failed_job_registry)) == (JobStatus.FAILED, 0, 1)
    assert place.add(job, 120, xx=True) == 0
    assert job in queue.failed_job_registry


def test_who_is_deferred_again_still_hears_of_its_dependency(queue: Queue) -> None:
    """Taken out and put back, as RQ's users may, it was deferred and waited for nothing: it never ran."""
    parent = waiting(queue, "parent")
    done = waiting(queue, "done")
    child = queue.enqueue(operator.add, 1, 2, job_id="child", depends_on=[parent, done])
    done.set_status("finished")
    place = queue.deferred_job_registry
    assert (place.remove(child), child.get_status()) == (1, JobStatus.CREATED)
    assert (place.add(child), child.get_status()) == (1, JobStatus.DEFERRED)
    assert (parent.dependent_ids, check_invariants(queue.connection)) == (["child"], [])
    parent.set_status("finished")
    assert (child.get_status(), place.get_job_ids(), queue.job_ids) == (JobStatus.QUEUED, [], ["child"])


def test_a_job_of_a_group_that_may_wait_for_a_time(queue: Queue) -> None:
    """What had ended and was put into a registry of those that wait: its group is open again, and it goes in time."""
    group = Group(queue.connection, "g")
    calls = [queue.prepare_data(operator.add, (1, 2), ttl=100, job_id=job_id) for job_id in "ab"]
    job, other = group.enqueue_many(queue, calls)
    for each in (job, other):
        queue.finished_job_registry.add(each, 50)
    assert group.progress().by_status == {"finished": 2}
    queue.scheduled_job_registry.schedule(job, LATER)
    assert group.progress().by_status == {"finished": 1, "scheduled": 1}
    assert 50 < queue.connection.ttl(job.key) <= 100
    execution = Execution.create(job, 60, None, worker_name="mine")
    assert queue.connection.ttl(job.key) == -1, "what runs is kept"
    execution.delete(job, None)
    assert 50 < queue.connection.ttl(job.key) <= 100


def test_for_ever(queue: Queue) -> None:
    job, place = waiting(queue), queue.finished_job_registry
    place.add(job, -1)
    assert place.get_expiration_time(job).year == 9999
    queue.failed_job_registry.add(job, ttl=-1)
    assert queue.failed_job_registry.get_expiration_time(job).year == 9999


def test_a_pipeline_is_given_back(queue: Queue, store: Store) -> None:
    job, place = waiting(queue), queue.finished_job_registry
    with store.connection.pipeline() as pipeline:
        assert place.add(job, 60, pipeline=pipeline) is pipeline
        assert queue.deferred_job_registry.remove(job, pipeline=pipeline) is pipeline
        assert queue.scheduled_job_registry.schedule(job, LATER, pipeline=pipeline) is pipeline
        assert job.is_queued
        pipeline.execute()
    assert job.is_scheduled


def test_a_running_job_stays_with_its_worker(queue: Queue, store: Store) -> None:
    job = waiting(queue)
    claimed(store)
    for attempt in (
        lambda: queue.finished_job_registry.add(job, 60),
        lambda: queue.failed_job_registry.add(job, 60),
        lambda: queue.scheduled_job_registry.schedule(job, LATER),
    ):
        with pytest.raises(JobIsRunning):
            attempt()
    assert job.is_started


def test_a_failed_job_is_stored_with_what_is_known_of_it(queue: Queue, store: Store) -> None:
    """As a worker of somebody's own does it, for a job that RQ never stored."""
    job, place = unsaved(queue), queue.failed_job_registry
    job.meta["why"] = "lost"
    place.add(job, ttl=70, exc_string="Boom")
    found = Job.fetch("a", connection=store.connection)
    assert found.is_failed
    with pytest.warns(DeprecationWarning, match="exc_info"):
        assert found.exc_info == "Boom"
    assert 60 < store.connection.ttl(job.key) <= 70
    place.add(found)
    assert store.connection.ttl(job.key) > 31_000_000
    place.add(found, ttl=0)
    assert not Job.exists("a", store.connection)
    assert place.get_job_ids() == []


def test_a_stopped_job_stays_stopped(queue: Queue, store: Store) -> None:
    job = waiting(queue)
    fail(store, outcome="stopped")
    queue.failed_job_registry.add(job)
    assert job.is_stopped


@both
async def test_removed_jobs_are_nowhere(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2, job_id="a")
    finish(api.store)
    assert await ask(queue.finished_job_registry.remove, job) == 1
    assert await ask(job.get_status) == "created"
    assert await ask(queue.finished_job_registry.remove, "a") == 0
    await ask(queue.enqueue_job, job)
    assert await ask(queue.get_job_ids) == ["a"]


@both
async def test_a_dashboards_way_to_run_a_job_now(api: Api) -> None:
    """It enqueues the job, and then removes it from the registry that it was in: there it isn't any more."""
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="parent")
    job = await ask(queue.enqueue, operator.add, 1, 2, job_id="a", depends_on="parent")
    fresh = await ask(api.Job.fetch, "a", connection=api.connection)
    await ask(fresh.delete)
    job = await ask(queue.enqueue_in, timedelta(hours=1), operator.add, 1, 2, job_id="b")
    await ask(queue.enqueue_job, job)
    assert await ask(queue.scheduled_job_registry.remove, job) == 0
    assert await ask(queue.get_job_ids) == ["parent", "b"]
    assert await ask(job.get_status) == "queued"


@both
async def test_remove_and_delete(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="bad")
    fail(api.store)
    assert await ask(queue.failed_job_registry.remove, "bad", delete_job=True) == 1
    assert [key for key in api.redis.scan_iter() if b"bad" in key] == []
    api.redis.zadd("rq:failed:default", {"ghost": 9e9})
    with pytest.raises(NoSuchJobError):
        await ask(queue.failed_job_registry.remove, "ghost", delete_job=True)
    assert await ask(queue.failed_job_registry.count) == 0


@both
async def test_scheduled_by_hand(api: Api) -> None:
    queue = api.queue()
    place = queue.scheduled_job_registry
    job = await ask(queue.enqueue, operator.add, 1, 2, job_id="a")
    assert await ask(place.schedule, job, datetime(2040, 7, 1, 12, tzinfo=UTC)) == 1
    local_time = datetime(2041, 7, 1, 12)  # noqa: DTZ001 - the point
    assert await ask(place.schedule, "a", local_time) == 0
    assert await ask(place.get_scheduled_time, "a") == local_time.astimezone(UTC)
    assert await ask(queue.get_job_ids) == []
    assert await ask(job.get_status) == "scheduled"
    with pytest.raises(ValueError, match="scheduled_datetime must be a datetime"):
        await ask(place.schedule, job, "tomorrow")
    with pytest.raises(TypeError):
        await ask(place.get_expiration_time, "nobody")


def test_a_job_that_was_never_stored_is_scheduled(queue: Queue) -> None:
    """RQ writes down its id alone, and whoever looks for what is due drops it, if it comes before the job is saved."""
    job = unsaved(queue)
    assert queue.scheduled_job_registry.schedule(job, LATER) == 1
    job.save()
    assert Job.fetch("a", connection=queue.connection).is_scheduled


def test_removing_what_is_due(queue: Queue) -> None:
    for number in range(3):
        queue.enqueue_at(datetime(2040, 1, 1 + number, tzinfo=UTC), operator.add, 1, 2, job_id=str(number))
    place = ScheduledJobRegistry("default", queue.connection)
    second = datetime(2040, 1, 2, tzinfo=UTC).timestamp()
    assert place.get_jobs_to_schedule(second) == ["0", "1"]
    assert place.get_jobs_to_schedule(second, chunk_size=1) == ["0"]
    with pytest.warns(DeprecationWarning, match="remove_jobs"):
        assert place.remove_jobs(second) == 2
    assert place.get_job_ids() == ["2"]
    assert Job.fetch("0", connection=queue.connection).get_status() == "created"


def test_what_can_not_be_done(queue: Queue) -> None:
    with pytest.raises(NotImplementedError):
        queue.started_job_registry.add(waiting(queue))
    with pytest.raises(NotImplementedError):
        queue.started_job_registry.remove("a")
    with pytest.raises(NotImplementedError):
        queue.canceled_job_registry.get_expired_job_ids()
    with pytest.raises(NotInRegistry):
        queue.finished_job_registry.get_expiration_time("a")
    with pytest.raises(InvalidJobOperation):
        queue.finished_job_registry.requeue("a")


class Marks(BaseRegistry):
    """Somebody's own list of jobs."""

    key_template = "rq:marks:{0}"


class Archive(FinishedJobRegistry):
    """The same, made from one of RQ's."""

    key_template = "rq:archive:{0}"


@pytest.mark.parametrize("kind", [Marks, Archive, BaseRegistry])
def test_a_registry_of_ones_own_says_nothing_about_its_jobs(kind: type[BaseRegistry], store: Store) -> None:
    queue = Queue(connection=store.connection)
    job, place = waiting(queue), kind(queue=queue)
    assert place.key == kind.key_template.format("default")
    assert place.add(job, 60) == 1
    assert (len(place), place.get_job_ids(), job in place, job.is_queued) == (1, ["a"], True, True)
    place.cleanup()
    assert place.remove(job) == 1
    assert job.is_queued
    assert place.job_class is Job


def test_an_execution_by_hand(queue: Queue, store: Store) -> None:
    """As a loop of somebody's own opens, keeps and ends one."""
    job = waiting(queue)
    with store.connection.pipeline() as pipeline:
        execution = Execution.create(job, 30, pipeline, worker_name="mine")
        assert job.is_queued
        pipeline.execute()
    assert job.is_started
    assert (job.get_executions(), execution.job) == ([execution], job)
    registry, started = job.execution_registry, queue.started_job_registry
    assert (registry.count, registry.get_job_ids(), registry.get_execution_ids()) == (1, [execution.id], [execution.id])
    with store.connection.pipeline() as pipeline:
        execution.heartbeat(started, 900, pipeline)
        pipeline.execute()
    assert (started.get_expiration_time(job) - datetime.now(UTC)).total_seconds() > 800
    execution.save(60)
    assert started.add_execution(execution, None, 90, xx=True) == 0
    with store.connection.pipeline() as pipeline:
        execution.delete(job, pipeline)
        pipeline.execute()
    assert (queue.job_ids, registry.count, len(started)) == (["a"], 0, 0)
    with pytest.raises(ValueError, match="not found"):
        Execution.fetch(execution.id, job.id, store.connection)


def test_executions_of_the_started_registry_by_hand(queue: Queue, store: Store) -> None:
    job, started = waiting(queue), queue.started_job_registry
    execution = Execution("0f0f", job.id, store.connection, worker_name="mine")
    assert started.add_execution(execution, None, 60, xx=True) == 0
    assert job.is_queued
    assert started.add_execution(execution, None, 60) == 1
    assert started.get_job_and_execution_ids() == [("a", "0f0f")]
    started.remove_execution(execution, job)
    assert job.is_queued
    started.add_execution(execution, None, 60)
    started.remove_executions(job)
    assert (queue.job_ids, started.get_job_ids()) == (["a"], [])
    started.add_execution(execution, None, 60)
    started.remove_execution(execution, job, delete_job=True)
    assert not Job.exists("a", store.connection)


def test_a_workers_execution_by_hand(queue: Queue, store: Store) -> None:
    job, worker = waiting(queue), SimpleWorker([queue], connection=store.connection, name="mine")
    worker.register_birth()
    try:
        execution = prepare_execution(worker, job)
        assert job.is_started
        assert execution.worker_name == "mine"
        assert worker.get_state() == "busy"
        with store.connection.pipeline() as pipeline:
            cleanup_execution(worker, job, pipeline)
            pipeline.execute()
        assert job.is_queued
        assert worker.get_current_job_id() is None
    finally:
        worker.register_death()


@both
async def test_the_executions_of_a_job_by_hand(api: Api) -> None:
    """Closed one by one or all at once, and forgotten when they are over; a job that runs nowhere then is queued. No
    test had ever called any of it for asyncio."""
    queue = Queue(connection=api.redis)
    job = waiting(queue)
    place = api.ExecutionRegistry(job.id, api.connection)

    async def opened() -> Any:
        Execution.create(job, 60, None, worker_name="mine")
        (found,) = await ask(place.get_executions)
        assert (await ask(place.get_job_ids, desc=True), job.get_status()) == ([found.id], JobStatus.STARTED)
        return found

    execution = await opened()
    assert execution.key == Execution(execution.id, job.id, api.redis).key
    await ask(place.cleanup)
    assert await ask(place.get_job_count, cleanup=False) == 1
    await ask(place.cleanup, time.time() + 3600)
    assert await ask(place.get_job_count, cleanup=False) == 0
    assert await ask(place.remove, execution, None) == 1
    assert (queue.job_ids, job.get_status()) == ([job.id], JobStatus.QUEUED)
    execution, pipeline = await opened(), api.connection.pipeline()
    assert await ask(place.remove, execution, pipeline) is pipeline
    assert queue.job_ids == []
    await ask(pipeline.execute)
    assert queue.job_ids == [job.id]
    await opened()
    await ask(place.delete, job, None)
    assert queue.job_ids == [job.id]
    assert await ask(place.get_execution_ids) == []
    assert check_invariants(api.redis) == []


def test_an_execution_as_rq_says_it(queue: Queue) -> None:
    execution = Execution.create(waiting(queue), 60, None, worker_name="mine")
    again = Execution.from_composite_key(execution.composite_key, queue.connection)
    assert {again} == {execution}
    assert repr(again) == f"Execution({execution.id!r}, 'a')"
    assert again.serialize() == {"id": execution.id, "worker_name": ""}
    again.refresh()
    assert execution.serialize() == {
        "id": execution.id,
        "worker_name": "mine",
        "created_at": pytest.approx(again.serialize()["created_at"], abs=1),
        "last_heartbeat": pytest.approx(again.serialize()["last_heartbeat"], abs=1),
    }
