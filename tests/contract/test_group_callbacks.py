"""A job that runs when a whole group has ended, and how far a group is."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from tests.contract.both import Api, ask, both
from tests.contract.driving import claimed, fail, finish, settled
from tests.contract.test_dependencies import status
from tests.contract.test_dependencies_many import call
from tests.interop import theirs
from tests.tasks import boom, echo, nothing

from atomiq import Queue
from atomiq._commands.settle import free
from atomiq._core.settings import JOBS_PER_ENQUEUE_COMMAND
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidFunction, InvalidName, InvalidOption, NoSuchGroupError
from atomiq.group import Group
from atomiq.worker import SimpleWorker, Worker

AFTER = [("on_ended", "ended"), ("on_finished", "good"), ("on_failed", "bad")]


def after(*names: str) -> dict[str, Any]:
    return {name: call(job_id) for name, job_id in AFTER if name in names or not names}


@both
async def test_all_three_of_a_group_that_finishes(api: Api) -> None:
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    jobs = await ask(group.enqueue_many, queue, [call("a"), call("b")], **after())
    assert [job.id for job in jobs] == ["a", "b"]
    assert [job.id for job in await ask(group.get_jobs)] == ["a", "b"]
    assert sorted(await ask(queue.deferred_job_registry.get_job_ids)) == ["bad", "ended", "good"]
    finish(api.store)
    assert await ask(queue.get_job_ids) == ["b"]
    finish(api.store)
    assert sorted(await ask(queue.get_job_ids)) == ["ended", "good"]
    assert status(api.store, "bad") == "canceled"
    for _ in range(2):
        finish(api.store)
    assert await ask(queue.get_job_ids) == []


@both
async def test_what_is_said_of_members_that_wait_for_each_other(api: Api) -> None:
    """A follower came before the members that wait, so that it was said to be a member and the last member was not."""
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    members = [call("b", "a"), call("a"), call("c")]
    jobs = await ask(group.enqueue_many, queue, members, **after("on_ended", "on_failed"))
    assert [job.id for job in jobs] == ["a", "c", "b"]
    assert await ask(group.job_ids) == ["a", "b", "c"]


@both
async def test_all_three_of_a_group_of_which_one_fails(api: Api) -> None:
    """What waits for a success still waits, as the failed one can be requeued."""
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    await ask(group.enqueue_many, queue, [call("a"), call("b")], **after())
    fail(api.store)
    finish(api.store)
    assert sorted(await ask(queue.get_job_ids)) == ["bad", "ended"]
    assert status(api.store, "good") == "deferred"
    await ask((await ask(api.Job.fetch, "a", connection=api.connection)).requeue, at_front=True)
    finish(api.store)
    assert status(api.store, "good") == "queued"


@both
async def test_a_report_of_a_fixed_id_that_still_waits_in_its_queue(api: Api) -> None:
    """A group gets a second batch, with the same report, while the report of the first one is queued still. It kept its
    place in the queue although it was deferred: the next worker ran it before the batch, and after it nobody did."""
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    await ask(group.enqueue_many, queue, [call("a")], **after("on_ended"))
    finish(api.store)
    assert await ask(queue.get_job_ids) == ["ended"]
    await ask(group.enqueue_many, queue, [call("b")], **after("on_ended"))
    assert (await ask(queue.get_job_ids), status(api.store, "ended")) == (["b"], "deferred")
    finish(api.store)
    assert (await ask(queue.get_job_ids), status(api.store, "ended")) == (["ended"], "queued")
    await ask(group.then, queue, call("ended"))
    assert await ask(queue.get_job_ids) == ["ended"]


@both
async def test_then_and_progress(api: Api) -> None:
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    with pytest.raises(NoSuchGroupError):
        await ask(group.then, queue, call("early"))
    await ask(group.enqueue_many, queue, [call("a"), call("b", "a"), call("c")])
    job = await ask(group.then, api.queue("other"), call("then"), when="finished")
    assert (job.id, job.origin, job.known_status) == ("then", "other", "deferred")
    told = await ask(group.progress)
    assert (told.total, told.done, told.open, told.fraction) == (3, 0, 3, 0.0)
    assert told.by_status == {"queued": 2, "deferred": 1}
    for _ in range(3):
        finish(api.store, result_ttl=0)
    told = await ask(group.progress)
    assert (told.total, told.done, told.fraction, told.has_ended) == (3, 3, 1.0, True)
    assert await ask(api.queue("other").get_job_ids) == ["then"]
    late = await ask(group.then, queue, call("late"))
    assert late.known_status == "queued"


@both
async def test_then_in_a_pipeline_with_the_group(api: Api) -> None:
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    pipeline = api.connection.pipeline()
    await ask(queue.enqueue_many, [call("a")], pipeline=pipeline, group_id="g")
    job = await ask(group.then, queue, call("then"), pipeline=pipeline)
    assert job.known_status == "deferred"
    await ask(pipeline.execute)
    finish(api.store)
    assert await ask(queue.get_job_ids) == ["then"]


@both
async def test_enqueue_many_with_a_pipeline(api: Api) -> None:
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    pipeline = api.connection.pipeline()
    jobs = await ask(group.enqueue_many, queue, [call("a")], pipeline=pipeline, **after("on_ended"))
    assert [job.id for job in jobs] == ["a"]
    finish(api.store)
    assert await ask(queue.get_job_ids) == ["ended"]


@both
async def test_a_group_without_jobs_has_ended(api: Api) -> None:
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    assert await ask(group.enqueue_many, queue, [], **after()) == []
    assert sorted(await ask(queue.get_job_ids)) == ["ended", "good"]


@both
async def test_what_cant_wait_for_a_group(api: Api) -> None:
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    for wrong, error in [
        (nothing, InvalidOption),
        ("then", InvalidOption),
        (call("then", "parent"), InvalidOption),
        (queue.prepare_data(lambda: None), InvalidFunction),
    ]:
        with pytest.raises(error):
            await ask(group.enqueue_many, queue, [call("a")], on_ended=wrong)
    await ask(group.enqueue_many, queue, [call("a")])
    with pytest.raises(InvalidOption, match="ended, finished, failed"):
        await ask(group.then, queue, call("then"), when="finnished")
    assert await ask(queue.deferred_job_registry.get_job_ids) == []


@both
async def test_the_name_of_a_group_is_checked_everywhere(api: Api) -> None:
    """enqueue_many took any text, and such a group couldn't be opened again."""
    queue = api.queue()
    for wrong in ("a,b", "", " x", "a\nb"):
        with pytest.raises(InvalidName):
            await ask(queue.enqueue_many, [call("a")], group_id=wrong)
        with pytest.raises(InvalidName):
            queue.create_job(nothing, group_id=wrong)
    with pytest.raises(TypeError):
        await ask(queue.enqueue_many, [call("a")], group_id=5)
    assert api.redis.keys() == []
    await ask(queue.enqueue_many, [call("a")], group_id="0")
    assert [job.id for job in await ask(api.Group(api.connection, "0").get_jobs)] == ["a"]


@both
async def test_a_group_of_rq_with_a_strange_name_can_be_read(api: Api) -> None:
    await ask(api.queue().enqueue, nothing, job_id="a")
    api.redis.sadd("rq:group:a,b", "a")
    api.redis.sadd("rq:groups", "a,b")
    group = await ask(api.Group.fetch, "a,b", api.connection)
    assert [job.id for job in await ask(group.get_jobs)] == ["a"]
    assert (await ask(group.progress)).by_status == {"queued": 1}
    await ask(api.Group.clean_registries, api.connection)


@both
async def test_a_job_that_leaves_is_not_waited_for(api: Api) -> None:
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    await ask(group.enqueue_many, queue, [call("a"), call("b")], **after("on_ended"))
    finish(api.store)
    await ask(group.delete_job, "b")
    assert await ask(queue.get_job_ids) == ["b", "ended"]
    fetched = await ask(api.Job.fetch, "b", connection=api.connection)
    assert not fetched.group_id


def test_groups_of_several_steps_are_waited_for_as_a_whole(store: Store) -> None:
    """The first thousand have ended before the rest is there."""
    queue, group = Queue(connection=store.connection), Group.create(store.connection, name="g")

    def calls() -> Any:
        yield from (call(f"j{n}") for n in range(2 * JOBS_PER_ENQUEUE_COMMAND))

    group.enqueue_many(queue, calls(), on_ended=call("then"))
    while status(store, "then") == "deferred":
        assert queue.count > 0
        finish(store)
    assert queue.get_job_ids() == ["then"]
    assert group.progress().by_status == {"finished": 2 * JOBS_PER_ENQUEUE_COMMAND}


def test_in_the_calling_thread(redis_connection: redis.Redis, store: Store) -> None:
    queue = Queue(connection=redis_connection, is_async=False)
    group = Group.create(redis_connection, name="g")
    group.enqueue_many(queue, [call("a"), call("b")], **after())
    found = {name: status(store, name) for name in ("a", "b", "ended", "good", "bad")}
    assert found == {"a": "finished", "b": "finished", "ended": "finished", "good": "finished", "bad": "canceled"}


@pytest.mark.parametrize("kind", [SimpleWorker, Worker], ids=["inline", "warm children"])
def test_a_real_worker(redis_connection: redis.Redis, kind: type[Worker]) -> None:
    """Of 60 jobs some fail; what waits for the group finds all of them ended, and runs once."""
    queue, group = Queue(connection=redis_connection), Group.create(redis_connection, name="g")
    calls = [queue.prepare_data(boom if n % 10 == 0 else nothing, job_id=f"j{n}") for n in range(60)]
    group.enqueue_many(queue, calls, on_ended=queue.prepare_data(echo, ("all",), job_id="then"))
    kind([queue], connection=redis_connection).work(burst=True, logging_level="CRITICAL")
    assert group.progress().by_status == {"finished": 54, "failed": 6}
    then = queue.fetch_job("then")
    assert then is not None
    assert [result.return_value for result in then.results()] == ["all"]
    started = then.started_at
    assert started is not None
    assert all(job.ended_at is not None and job.ended_at <= started for job in group.get_jobs())


def test_members_that_rqs_worker_ends_are_noticed(redis_connection: redis.Redis, store: Store) -> None:
    """RQ's worker can't let the job go that waits for the group; the next look of an atomiq worker does."""
    queue, group = Queue(connection=redis_connection), Group.create(redis_connection, name="g")
    group.enqueue_many(queue, [call("a"), call("b"), call("c")], **after())
    settled(store, claimed(store), "finished")
    theirs.run_simple(redis_connection)
    assert (status(store, "b"), status(store, "ended")) == ("finished", "deferred")
    store.run(free(store.keys))
    assert sorted(queue.get_job_ids()) == ["ended", "good"]
    assert group.progress().by_status == {"finished": 3}


def test_a_worker_looks_after_groups_by_itself(redis_connection: redis.Redis, store: Store) -> None:
    queue, group = Queue(connection=redis_connection), Group.create(redis_connection, name="g")
    group.enqueue_many(queue, [call("a")], **after("on_ended"))
    redis_connection.delete("rq:job:a")
    redis_connection.zadd("rq:atomiq:watched", {"g": 1})
    for _ in range(2):  # the first may find its queue empty before it looks
        SimpleWorker([queue], connection=redis_connection).work(burst=True, logging_level="CRITICAL")
    assert status(store, "ended") == "finished"
