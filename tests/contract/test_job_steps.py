"""RQ's low-level steps of a job: each is one atomic step here, for the synchronous and the asyncio job alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.contract.both import Api, ask, both
from tests.contract.driving import claimed, finish, settled
from tests.contract.jobs import add, fail
from tests.invariants import check_invariants

from atomiq import Dependency, JobStatus, Repeat, Retry
from atomiq.exceptions import InvalidJobDependency, InvalidJobOperation, NoSuchJobError


def in_order(api: Api) -> None:
    assert check_invariants(api.redis) == []


async def status(job: Any) -> JobStatus:
    return JobStatus(await ask(job.get_status))


# -- set_status, prepare_for_execution ---------------------------------------------------------------------------------


@both
async def test_set_status_moves_the_job(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, add, 1)
    await ask(job.set_status, JobStatus.FINISHED)
    assert await ask(queue.count) == 0
    assert job.get_status(refresh=False) is JobStatus.FINISHED if api.kind == "sync" else True
    assert job._status is JobStatus.FINISHED
    await ask(job.set_status, "queued")
    assert await ask(queue.job_ids) == [job.id]
    in_order(api)


@both
async def test_set_status_in_a_pipeline(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, add, 1)
    pipeline = api.connection.pipeline()
    await ask(job.set_status, JobStatus.CANCELED, pipeline=pipeline)
    assert api.redis.hget(job.key, "status") == b"queued"
    await ask(pipeline.execute)
    assert await status(job) is JobStatus.CANCELED
    in_order(api)


@both
async def test_set_status_of_what_is_none(api: Api) -> None:
    job = await ask(api.queue().enqueue, add, 1)
    with pytest.raises(ValueError, match="'weird' is no status"):
        await ask(job.set_status, "weird")
    await ask(job.delete)
    with pytest.raises(NoSuchJobError):
        await ask(job.set_status, "failed")
    assert not api.redis.exists(job.key)
    never = api.Job.create(add, (1,), connection=api.connection)
    await ask(never.set_status, "queued")
    assert never._status is JobStatus.QUEUED
    assert not api.redis.exists(never.key)


@both
async def test_prepare_for_execution_of_a_claimed_job(api: Api) -> None:
    """What RQ's worker does at the start of a call: the job goes on to be whose it is."""
    job = await ask(api.queue().enqueue, add, 1)
    taken = claimed(api.store)
    pipeline = api.connection.pipeline()
    await ask(job.prepare_for_execution, "mine", pipeline)
    await ask(pipeline.execute)
    await ask(job.refresh)
    assert (job.worker_name, job._status) == ("mine", JobStatus.STARTED)
    assert job.started_at is not None
    assert job.last_heartbeat is not None
    settled(api.store, taken, "finished")
    in_order(api)


@both
async def test_prepare_for_execution_of_a_job_that_nobody_has_claimed(api: Api) -> None:
    job = await ask(api.queue().enqueue, add, 1, job_timeout=60)
    await ask(job.prepare_for_execution, "mine", None)
    assert await ask(api.queue().count) == 0
    ((_, score),) = api.redis.zrange("rq:wip:default", 0, -1, withscores=True)
    assert 115 < score - datetime.now(UTC).timestamp() < 125
    in_order(api)
    await ask(job.delete)
    with pytest.raises(NoSuchJobError):
        await ask(job.prepare_for_execution, "mine", None)


# -- retry, repeat -----------------------------------------------------------------------------------------------------


@both
async def test_retry(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, fail, retry=Retry(2, [0, 30]))
    taken = claimed(api.store)
    pipeline = api.connection.pipeline()
    await ask(job.retry, queue, pipeline)
    assert (job.retries_left, job._status) == (1, JobStatus.QUEUED)
    assert await status(job) is JobStatus.STARTED
    await ask(pipeline.execute)
    assert await ask(queue.job_ids) == [job.id]
    in_order(api)
    del taken
    job.description = "once more"
    await ask(job.retry, queue, None)
    assert (job.retries_left, await status(job)) == (0, JobStatus.SCHEDULED)
    await ask(job.refresh)
    assert (job.retries_left, job.retries_done, job.description) == (0, 2, "once more")
    with pytest.raises(InvalidJobOperation, match="no retries left"):
        await ask(job.retry, queue, None)
    in_order(api)


@both
async def test_a_retry_that_is_set_on_the_object_alone(api: Api) -> None:
    """RQ's users do so: the count of the object is what counts."""
    queue = api.queue("other")
    job = await ask(api.queue().enqueue, fail)
    job.retries_left, job.enqueue_at_front_on_retry = 3, True
    await ask(queue.enqueue, add, 1)
    await ask(job.retry, queue, None)
    assert (await ask(queue.job_ids))[0] == job.id
    assert await ask(api.queue().count) == 0
    await ask(job.refresh)
    assert (job.retries_left, job.origin) == (2, "other")
    await ask(job.delete)
    with pytest.raises(NoSuchJobError):
        await ask(job.retry, queue, None)


@both
async def test_repeat(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, add, 1, repeat=Repeat(2, [5, 10]))
    answer = Repeat.schedule(job, queue) if api.kind == "sync" else await job.repeat(queue)
    assert answer is None
    assert (job.repeats_left, await status(job)) == (1, JobStatus.SCHEDULED)
    job.repeats_left = 0
    with pytest.raises(ValueError, match="no repeats left"):
        await ask(job.repeat, queue)
    in_order(api)


# -- dependencies ------------------------------------------------------------------------------------------------------


@both
async def test_process_dependencies(api: Api) -> None:
    first = await ask(api.queue().enqueue, add, 1, job_id="first")
    job = api.Job.create(add, (2,), connection=api.connection, origin="default", id="job")
    assert (job._dependency_ids, job._dependency_id) == ([], None)
    job.process_dependencies(first)
    assert (job._dependency_ids, job._dependency_id, job.allow_dependency_failures) == (["first"], "first", None)
    job.process_dependencies([Dependency([first, "x"], allow_failure=True, enqueue_at_front=True), "y"])
    assert job._dependency_ids == ["first", "x", "y"]
    assert (job.allow_dependency_failures, job.enqueue_at_front) == (True, True)
    for wrong in (None, 5, [5]):
        with pytest.raises(ValueError, match="expected a job"):
            job.process_dependencies(wrong)
    with pytest.raises(InvalidJobDependency):
        job.process_dependencies("job")
    job._dependency_id = "z"
    assert job._dependency_ids == ["z"]
    job.process_dependencies([])
    assert "dependency_ids" not in job.to_dict()


@both
async def test_register_dependency(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, add, 1, job_id="first")
    job = api.Job.create(add, (2,), connection=api.connection, origin="default", depends_on="first")
    await ask(job.register_dependency)
    assert await status(job) is JobStatus.DEFERRED
    assert await ask(job.dependency_ids) == ["first"]
    in_order(api)
    finish(api.store)
    assert await status(job) is JobStatus.QUEUED
    in_order(api)


@both
async def test_register_dependency_of_what_need_not_wait(api: Api) -> None:
    """RQ would have it wait for ever."""
    job = api.Job.create(add, (2,), connection=api.connection, origin="default", depends_on="gone")
    pipeline = api.connection.pipeline()
    await ask(job.register_dependency, pipeline=pipeline)
    assert job._status is JobStatus.DEFERRED
    await ask(pipeline.execute)
    assert await status(job) is JobStatus.QUEUED
    free = api.Job.create(add, (2,), connection=api.connection, origin="default")
    await ask(free.register_dependency)
    assert not api.redis.exists(free.key)
    homeless = api.Job.create(add, (2,), connection=api.connection, depends_on="first")
    with pytest.raises(InvalidJobOperation, match="no origin"):
        await ask(homeless.register_dependency)
    in_order(api)


# -- heartbeat, save ---------------------------------------------------------------------------------------------------


@both
async def test_heartbeat(api: Api) -> None:
    job = await ask(api.queue().enqueue, add, 1)
    moment = datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)
    await ask(job.heartbeat, moment, 30)
    assert api.redis.hget(job.key, "last_heartbeat") == b"2026-11-21T01:02:03.000000Z"
    pipeline = api.connection.pipeline()
    await ask(job.heartbeat, moment.replace(hour=5), 30, pipeline=pipeline, xx=True)
    await ask(pipeline.execute)
    assert api.redis.hget(job.key, "last_heartbeat") == b"2026-11-21T05:02:03.000000Z"
    await ask(job.delete)
    with pytest.raises(NoSuchJobError):
        await ask(job.heartbeat, moment, 30)
    assert not api.redis.exists(job.key)


@both
async def test_saving_a_deleted_job_brings_nothing_back(api: Api) -> None:
    """With asyncio it did, as a job that is in no queue."""
    job = await ask(api.queue().enqueue, add, 1)
    await ask(job.delete)
    job.description = "changed"
    with pytest.raises(NoSuchJobError):
        await ask(job.save)
    assert not api.redis.exists(job.key)
