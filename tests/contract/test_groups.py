"""Groups: members whose job is gone disappear as they are read; dependencies inside a batch hold."""

from __future__ import annotations

import operator

import pytest
from tests.contract.both import Api, ask, both
from tests.contract.driving import claimed, finish

from atomiq import Queue
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidFunction, InvalidName, NoSuchGroupError
from atomiq.group import Group


def calls(queue: Queue, *ids: str) -> list[object]:
    return [queue.prepare_data(operator.add, (1, 2), job_id=job_id) for job_id in ids]


@both
async def test_enqueue_many_makes_members(api: Api) -> None:
    queue = api.queue()
    group = api.Group.create(api.connection, name="g")
    jobs = await ask(group.enqueue_many, queue, calls(queue, "a", "b"))
    assert [job.id for job in jobs] == ["a", "b"]
    assert [job.group_id for job in jobs] == ["g", "g"]
    assert sorted(job.id for job in await ask(group.get_jobs)) == ["a", "b"]
    assert await ask(queue.get_job_ids) == ["a", "b"]
    fetched = await ask(api.Group.fetch, "g", api.connection)
    assert (fetched.name, fetched.key) == ("g", "rq:group:g")
    assert [group.name for group in await ask(api.Group.all, api.connection)] == ["g"]
    assert repr(group) == "Group(id=g)"


@both
async def test_a_group_without_a_name_gets_one(api: Api) -> None:
    group = api.Group.create(api.connection)
    assert len(group.name) == 32
    with pytest.raises(InvalidName):
        api.Group(api.connection, "a,b")
    with pytest.raises(TypeError):
        api.Group(None)


@both
async def test_a_dependent_in_the_same_batch_waits_for_its_parent(api: Api) -> None:
    """In RQ it runs at once, and a second time after the parent."""
    queue = api.queue()
    group = api.Group.create(api.connection)
    child = queue.prepare_data(operator.add, (1, 2), job_id="child", depends_on="parent")
    await ask(group.enqueue_many, queue, [child, *calls(queue, "parent")])
    assert await ask(queue.get_job_ids) == ["parent"]
    assert await ask(queue.deferred_job_registry.get_job_ids) == ["child"]
    finish(api.store)
    assert await ask(queue.get_job_ids) == ["child"]
    claimed(api.store)
    assert await ask(queue.get_job_ids) == []


@both
async def test_vanished_members_are_dropped_not_reported(api: Api) -> None:
    queue = api.queue()
    group = api.Group.create(api.connection, name="g")
    await ask(group.enqueue_many, queue, calls(queue, "stays", "goes"))
    api.redis.delete("rq:job:goes")
    assert [job.id for job in await ask(group.get_jobs)] == ["stays"]
    assert api.redis.smembers("rq:group:g") == {b"stays"}


@both
async def test_a_group_whose_members_are_all_gone_is_gone_and_nothing_raises(api: Api) -> None:
    queue = api.queue()
    group = api.Group.create(api.connection, name="g")
    await ask(group.enqueue_many, queue, calls(queue, "a", "b"))
    api.redis.delete("rq:job:a", "rq:job:b")
    await ask(group.cleanup)
    assert await ask(group.get_jobs) == []
    assert await ask(api.Group.all, api.connection) == []
    assert not api.redis.exists("rq:groups")
    with pytest.raises(NoSuchGroupError):
        await ask(api.Group.fetch, "g", api.connection)
    await ask(api.Group.clean_registries, api.connection)


@both
async def test_a_name_in_the_list_without_a_group_is_dropped(api: Api) -> None:
    """RQ's worker quits at its start over such a name."""
    api.redis.sadd("rq:groups", "ghost")
    await ask(api.Group.clean_registries, api.connection)
    assert await ask(api.Group.all, api.connection) == []
    assert not api.redis.exists("rq:groups")


@both
async def test_a_deleted_job_leaves_its_group(api: Api) -> None:
    queue = api.queue()
    group = api.Group.create(api.connection, name="g")
    first, second = await ask(group.enqueue_many, queue, calls(queue, "a", "b"))
    await ask(first.delete)
    assert api.redis.smembers("rq:group:g") == {b"b"}
    api.redis.delete("rq:group:g")
    await ask(second.delete)
    assert not api.redis.exists("rq:job:b")


@both
async def test_a_job_can_leave_its_group(api: Api) -> None:
    queue = api.queue()
    group = api.Group.create(api.connection, name="g")
    await ask(group.enqueue_many, queue, calls(queue, "a", "b"))
    await ask(group.delete_job, "a")
    assert [job.id for job in await ask(group.get_jobs)] == ["b"]
    assert await ask(api.Job.exists, "a", api.connection)


@both
async def test_nothing_of_a_bad_batch_is_enqueued(api: Api) -> None:
    queue = api.queue()
    group = api.Group.create(api.connection, name="g")
    bad = queue.prepare_data(lambda: None)
    with pytest.raises(InvalidFunction):
        await ask(group.enqueue_many, queue, [*calls(queue, "a"), bad])
    assert await ask(group.enqueue_many, queue, []) == []
    assert api.redis.keys() == []


@both
async def test_many_members_come_page_by_page(api: Api) -> None:
    queue = api.queue()
    group = api.Group.create(api.connection, name="g")
    await ask(group.enqueue_many, queue, calls(queue, *(f"j{number}" for number in range(2300))))
    assert len(await ask(group.get_jobs)) == 2300
    assert await ask(queue.count) == 2300
    api.redis.delete(*(f"rq:job:j{number}" for number in range(2299)))
    assert [job.id for job in await ask(group.get_jobs)] == ["j2299"]


@both
async def test_with_a_pipeline_the_group_executes_it(api: Api) -> None:
    """As in RQ."""
    queue = api.queue()
    group = api.Group.create(api.connection, name="g")
    async_pipeline = api.connection.pipeline()
    await ask(group.enqueue_many, queue, calls(queue, "a"), pipeline=async_pipeline)
    assert await ask(queue.get_job_ids) == ["a"]
    assert [job.id for job in await ask(group.get_jobs)] == ["a"]


def test_results_that_are_not_kept_leave_the_group_at_once(store: Store) -> None:
    queue = Queue(connection=store.connection)
    group = Group.create(store.connection, name="g")
    group.enqueue_many(queue, [queue.prepare_data(operator.add, (1, 2), result_ttl=0)])
    finish(store, result_ttl=0)
    assert Group.all(store.connection) == []
