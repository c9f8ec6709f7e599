"""Queue and Job, the same words for both façades; and what only asyncio has to prove: pipelines, many tasks at once."""

from __future__ import annotations

import asyncio
import operator
from datetime import timedelta
from functools import partial

import pytest
import redis
import redis.asyncio
from tests.contract.both import Api, ask, both
from tests.contract.driving import claimed, fail, finish

import atomiq
from atomiq import aio
from atomiq._wire.sync import Store
from atomiq.exceptions import DuplicateJobError, InvalidJobOperation, InvalidOption, NoSuchJobError


@both
async def test_a_job_of_one_facade_is_read_by_the_other(api: Api) -> None:
    job = await ask(api.queue().enqueue, operator.add, 1, 2, job_id="j", meta={"a": 1}, result_ttl=77)
    other = atomiq.Job.fetch("j", connection=api.redis)
    assert (other.func_name, other.args, other.meta, other.result_ttl) == ("_operator.add", (1, 2), {"a": 1}, 77)
    assert other.created_at == job.created_at
    assert await ask(job.get_status) == "queued"
    assert await ask(job.get_position) == 0


@both
async def test_reading_a_job(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2, job_id="j")
    assert await ask(api.Job.exists, "j", api.connection)
    assert not await ask(api.Job.exists, "k", api.connection)
    found = await ask(api.Job.fetch_many, ["k", "j"], connection=api.connection)
    assert found == [None, job]
    assert await ask(api.Job.fetch_many, [], connection=api.connection) == []
    with pytest.raises(NoSuchJobError):
        await ask(api.Job.fetch, "k", connection=api.connection)
    assert await ask(queue.fetch_job, "j") == job
    assert await ask(queue.fetch_job, "k") is None
    assert await ask(api.queue("other").fetch_job, "j") is None
    assert await ask(queue.jobs) == [job]
    assert await ask(job.is_queued)
    for status in ("started", "finished", "failed", "deferred", "scheduled", "canceled", "stopped"):
        assert not await ask(getattr(job, f"is_{status}")), status


@both
async def test_reading_many_jobs(api: Api) -> None:
    """`Job.fetch_many(registry.get_job_ids())` read all jobs in one script: 38,000 kept the server from everybody
    else for 276 ms, and it grew with their number."""
    job = await ask(api.queue().enqueue, operator.add, 1, 2, job_id="j")
    before = api.redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    found = await ask(api.Job.fetch_many, [*(f"k{n}" for n in range(2200)), "j"], connection=api.connection)
    assert found == [None] * 2200 + [job]
    assert api.redis.info("commandstats")["cmdstat_evalsha"]["calls"] >= before + 3


@both
async def test_changing_a_job(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2, job_id="j")
    job.meta["progress"] = 1
    await ask(job.save_meta)
    job.description = "changed"
    await ask(job.save)
    fresh = await ask(api.Job.fetch, "j", connection=api.connection)
    assert (fresh.meta, fresh.description) == ({"progress": 1}, "changed")
    job.meta = {}
    assert await ask(job.get_meta) == {"progress": 1}
    await ask(job.cancel)
    with pytest.raises(InvalidJobOperation):
        await ask(job.cancel)
    with pytest.raises(InvalidJobOperation):
        await ask(job.requeue)
    assert await ask(queue.count) == 0
    await ask(job.delete)
    with pytest.raises(NoSuchJobError):
        await ask(job.refresh)
    with pytest.raises(NoSuchJobError):
        await ask(job.save_meta)


@both
async def test_what_is_neither_a_job_nor_an_id_is_refused_in_words(api: Api) -> None:
    """The asyncio queue said that an int has no attribute 'id'."""
    queue = api.queue()
    for method in (queue.remove, queue.get_job_position):
        with pytest.raises(TypeError, match="expected a job or its id, not int: 5"):
            await ask(method, 5)


@both
async def test_requeue_of_a_failed_job(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2, job_id="j")
    fail(api.store)
    assert await ask(job.requeue) is job
    assert await ask(queue.get_job_ids) == ["j"]
    fail(api.store)
    assert await ask((await ask(api.requeue_job, "j", api.connection)).get_status) == "queued"
    await ask(api.cancel_job, "j", api.connection)
    assert await ask(job.is_canceled)


@both
async def test_dependencies(api: Api) -> None:
    queue = api.queue()
    parent = await ask(queue.enqueue, operator.add, 1, 2, job_id="parent")
    child = await ask(queue.enqueue, operator.add, 1, 2, job_id="child", depends_on=parent)
    assert await ask(child.dependency_ids) == ["parent"]
    assert await ask(parent.dependent_ids) == ["child"]
    assert await ask(child.dependency) == parent
    assert await ask(child.fetch_dependencies) == [parent]
    assert not await ask(child.dependencies_are_met)
    finish(api.store)
    assert await ask(child.dependencies_are_met)
    assert await ask(child.get_status) == "queued"
    await ask(parent.delete_dependents)
    deferred = await ask(queue.enqueue, operator.add, 1, 2, depends_on=await ask(queue.enqueue, operator.add, 1, 2))
    await ask((await ask(deferred.dependency)).delete_dependents)
    assert not await ask(api.Job.exists, deferred.id, api.connection)
    assert await ask(child.get_status) == "queued"


@both
async def test_saved_and_cleaned_up(api: Api) -> None:
    """As RQ's: of a job that was stored only what has changed is stored, in a pipeline when that is sent."""
    create = partial(api.Job.create, operator.add, (1, 2), connection=api.connection, origin="default")
    job, pipeline = create(id="a", description="first"), api.connection.pipeline()
    await ask(job.save, pipeline=pipeline)
    assert not api.redis.exists(job.key)
    await ask(pipeline.execute)
    api.redis.hset(job.key, "timeout", 77)
    job.description = "second"
    await ask(job.save)
    assert api.redis.hmget(job.key, "description", "timeout", "status") == [b"second", b"77", b"created"]
    for ttl in (None, -1):
        await ask(job.cleanup, ttl)
    assert api.redis.ttl(job.key) == -1
    await ask(job.cleanup, 50)
    assert 0 < api.redis.ttl(job.key) <= 50
    await ask(job.cleanup, 0)
    assert not api.redis.exists(job.key)
    with pytest.raises(NoSuchJobError):
        await ask(job.save_meta)


@both
async def test_enqueue_many_and_scheduling(api: Api) -> None:
    queue = api.queue()
    datas = [queue.prepare_data(operator.add, (1, 2), job_id=f"j{number}") for number in range(3)]
    assert [job.id for job in await ask(queue.enqueue_many, datas)] == ["j0", "j1", "j2"]
    job = await ask(queue.enqueue_call, operator.add, (1, 2), timeout=7, at_front=True)
    assert await ask(queue.get_job_position, job) == 0
    later = await ask(queue.enqueue_in, timedelta(hours=1), operator.add, 1, 2)
    assert await ask(later.is_scheduled)
    await ask(queue.enqueue_job, later)
    assert await ask(queue.get_job_ids, 3, 2) == ["j2", later.id]
    with pytest.raises(DuplicateJobError):
        await ask(queue.enqueue, operator.add, 1, 2, job_id="j0", unique=True)
    counts = await ask(queue.counts)
    assert (counts.queued, counts.scheduled, counts.paused) == (5, 0, False)


@both
async def test_queues(api: Api) -> None:
    queue, other = api.queue("a"), api.queue("b")
    for each in (queue, other):
        await ask(each.enqueue, operator.add, 1, 2)
    assert [each.name for each in await ask(api.Queue.all, api.connection)] == ["a", "b"]
    assert api.Queue.from_queue_key("rq:queue:a", api.connection) == queue
    assert not await ask(queue.is_empty)
    await ask(queue.pause)
    assert await ask(queue.is_paused)
    await ask(queue.resume)
    assert not await ask(queue.is_paused)
    assert await ask(queue.remove, (await ask(queue.get_job_ids))[0]) == 1
    assert await ask(other.empty) == 1
    await ask(other.delete)
    assert [each.name for each in await ask(api.Queue.all, api.connection)] == ["a"]
    assert await ask(queue.is_empty)


@both
async def test_a_queue_of_any_length_is_emptied(api: Api) -> None:
    """After a fixed number of steps it ended without a word: of a million jobs 500,000 stayed."""
    queue = api.queue()
    await ask(queue.enqueue_many, [atomiq.Queue.prepare_data(operator.add, (1, 2)) for _ in range(1800)])
    with pytest.MonkeyPatch.context() as patch:
        for module in ("atomiq.queue.views", "atomiq.aio.queue"):
            patch.setattr(f"{module}._ROUNDS", 1)
        assert await ask(queue.empty) == 1800
    assert await ask(queue.count) == 0


@both
async def test_many_ids_without_a_job_leave_the_queue_together(api: Api) -> None:
    """Jobs whose ttl was over: each was looked for in the whole list, and 9,000 among 100,000 others took 25 s."""
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="j")
    api.redis.rpush(queue.key, *(f"none{number}" for number in range(1500)))
    api.redis.config_resetstat()
    assert [job.id for job in await ask(queue.get_jobs)] == ["j"]
    assert await ask(queue.job_ids) == ["j"]
    assert api.redis.info("commandstats")["cmdstat_lrem"]["calls"] <= 5


@both
async def test_executions(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2)
    assert await ask(job.get_executions) == []
    taken = claimed(api.store)
    (execution,) = await ask(job.get_executions)
    assert (execution.id, execution.job_id, execution.worker_name) == (taken.execution_id, job.id, "driven")
    assert execution.created_at == execution.last_heartbeat
    assert execution.composite_key == f"{job.id}:{taken.execution_id}"
    assert await ask(execution.job) == job
    assert await ask(job.execution_registry.get_execution_ids) == [taken.execution_id]
    assert await ask(job.execution_registry.count) == 1
    again = await ask(api.Execution.fetch, taken.execution_id, job.id, api.connection)
    assert again == execution
    with pytest.raises(ValueError, match="not found"):
        await ask(api.Execution.fetch, "other", job.id, api.connection)


@both
async def test_stopping_a_job(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2)
    with pytest.raises(InvalidJobOperation, match="not currently executing"):
        await ask(api.send_stop_job_command, api.connection, job.id)
    with pytest.raises(NoSuchJobError):
        await ask(api.send_stop_job_command, api.connection, "nobody")
    taken = claimed(api.store)
    with api.redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe("rq:pubsub:driven")
        channel.get_message(timeout=5)
        await ask(api.send_stop_job_command, api.connection, job.id)
        await ask(api.send_shutdown_command, api.connection, "driven")
        await ask(api.send_kill_horse_command, api.connection, "driven")
        heard = [atomiq.command.parse_payload(channel.get_message(timeout=5)) for _ in range(3)]
    assert [message["command"] for message in heard] == ["stop-job", "shutdown", "kill-horse"]
    assert heard[0]["job_id"] == job.id
    assert api.redis.hexists(f"rq:execution:{job.id}:{taken.execution_id}", "stop")


def test_a_pipeline_of_the_caller(redis_connection: redis.Redis, redis_url: str) -> None:
    """Jobs go out with the caller's own commands, in one transaction."""

    async def whole() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as connection:
            queue = aio.Queue(connection=connection)
            async with connection.pipeline(transaction=True) as pipeline:
                pipeline.set("mine", 1)
                job = await queue.enqueue(operator.add, 1, 2, job_id="a", pipeline=pipeline)
                await queue.enqueue(operator.add, 1, 2, job_id="b", depends_on=job, pipeline=pipeline)
                assert await queue.count() == 0
                await pipeline.execute()
            assert await queue.get_job_ids() == ["a"]
            assert await queue.deferred_job_registry.get_job_ids() == ["b"]

    asyncio.run(whole())
    assert redis_connection.get("mine") == b"1"


def test_many_tasks_share_a_connection(store: Store, redis_url: str) -> None:
    async def whole() -> None:
        async with redis.asyncio.Redis.from_url(redis_url) as connection:
            queue = aio.Queue(connection=connection)
            jobs = await asyncio.gather(*(queue.enqueue(operator.add, number, 2) for number in range(50)))
            assert await queue.count() == len({job.id for job in jobs}) == 50

    asyncio.run(whole())


def test_more_tasks_than_a_pool_of_redis_py_allows(store: Store, redis_url: str) -> None:
    """redis-py 8 refuses the 101st command at a time, unless it is told another number."""

    async def whole() -> None:
        async with aio.connect(redis_url) as connection:
            queue = aio.Queue(connection=connection)
            await asyncio.gather(*(queue.enqueue(operator.add, number, 2) for number in range(150)))
            assert await queue.count() == 150

    asyncio.run(whole())


def test_jobs_in_the_calling_thread_are_not_for_asyncio(redis_url: str) -> None:
    with pytest.raises(InvalidOption, match="is_async=False"):
        aio.Queue(connection=redis.asyncio.Redis.from_url(redis_url), is_async=False)


def test_connect(redis_connection: redis.Redis, redis_url: str) -> None:
    async def whole() -> None:
        async with aio.connect(redis_url) as connection:
            assert (await aio.Queue("a", connection=connection).enqueue(operator.add, 1, 2)).origin == "a"

    asyncio.run(whole())
    assert redis_connection.llen("rq:queue:a") == 1
