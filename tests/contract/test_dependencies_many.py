"""Dependencies inside enqueue_many: any order, more than one step, pipelines, groups, thousands of dependents."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.contract.both import Api, ask, both
from tests.contract.driving import claimed, finish, settled
from tests.contract.test_dependencies import status
from tests.tasks import nothing

from atomiq import Dependency, Queue
from atomiq._commands.settle import free
from atomiq._core.settings import JOBS_PER_ENQUEUE_COMMAND
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidJobDependency, InvalidOption
from atomiq.group import Group
from atomiq.worker import SimpleWorker


def call(job_id: str, *depends_on: str, **options: Any) -> Any:
    return Queue.prepare_data(nothing, job_id=job_id, depends_on=list(depends_on) or None, **options)


def run_all(store: Store) -> list[str]:
    """Run what is queued until nothing is; the ids in the order in which they ran."""
    ran = []
    while store.connection.llen("rq:queue:default"):
        job = claimed(store)
        ran.append(job.job_id)
        settled(store, job, "finished")
    return ran


@both
async def test_rqs_order_of_the_returned_jobs(api: Api) -> None:
    """Independent ones, dependents that wait, dependents whose dependencies are met: each in the given order."""
    queue = api.queue()
    await ask(queue.enqueue, nothing, job_id="done")
    finish(api.store)
    calls = [
        call("met", "done"),
        call("kid", "new"),
        call("new"),
        call("met2", "nobody"),
        call("kid2", "kid"),
        call("x"),
    ]
    jobs = await ask(queue.enqueue_many, calls)
    assert [job.id for job in jobs] == ["new", "x", "kid", "kid2", "met", "met2"]
    seen = [job.get_status(refresh=False) if api.kind == "sync" else job.known_status for job in jobs]
    assert seen == ["queued", "queued", "deferred", "deferred", "queued", "queued"]


@both
async def test_children_may_come_before_their_parents(api: Api) -> None:
    """As a generator as well, of which RQ loses every item with dependencies."""
    queue = api.queue()
    calls = [call(f"j{n}", f"j{n + 1}") for n in range(20)] + [call("j20")]
    await ask(queue.enqueue_many, (each for each in calls))
    assert run_all(api.store) == [f"j{n}" for n in range(20, -1, -1)]


@both
async def test_a_batch_of_several_steps_in_any_order(api: Api) -> None:
    """2,500 calls, each depending on some of any step."""
    queue = api.queue()
    size = 2 * JOBS_PER_ENQUEUE_COMMAND + 500
    chance = random.Random(4)
    parents = {n: {f"j{chance.randrange(n)}" for _ in range(2)} if n else set() for n in range(size)}
    calls = [call(f"j{n}", *sorted(ids)) for n, ids in parents.items()]
    chance.shuffle(calls)
    jobs = await ask(queue.enqueue_many, calls)
    assert len(jobs) == size
    assert await ask(queue.get_job_ids) == ["j0"]
    ran = run_all(api.store)
    place = {job_id: number for number, job_id in enumerate(ran)}
    assert len(ran) == len(place) == size
    assert all(place[parent] < place[f"j{n}"] for n, ids in parents.items() for parent in ids)


@both
async def test_with_a_callers_pipeline(api: Api) -> None:
    """In RQ the child runs at once, and again after its parent (C5)."""
    queue = api.queue()
    pipeline = api.connection.pipeline()
    jobs = await ask(queue.enqueue_many, [call("kid", "parent"), call("parent")], pipeline=pipeline)
    assert [job.id for job in jobs] == ["parent", "kid"]
    assert api.redis.keys() == []
    await ask(pipeline.execute)
    assert run_all(api.store) == ["parent", "kid"]


@both
async def test_in_a_group(api: Api) -> None:
    """The same fault of RQ's, in every Group.enqueue_many; the parent fails, and its child doesn't run."""
    queue, group = api.queue(), api.Group.create(api.connection, name="g")
    await ask(group.enqueue_many, queue, [call("kid", "parent"), call("parent")], pipeline=api.connection.pipeline())
    job = claimed(api.store)
    settled(api.store, job, "failed")
    assert (job.job_id, status(api.store, "kid")) == ("parent", "deferred")
    assert dict((await ask(group.progress)).by_status) == {"failed": 1, "deferred": 1}


@both
async def test_circles_in_one_call_are_refused(api: Api) -> None:
    queue = api.queue()
    circle = [call("a", "b"), call("b", "c"), call("c", "a"), call("free")]
    with pytest.raises(InvalidJobDependency, match="circle: a, b, c"):
        await ask(queue.enqueue_many, circle)
    with pytest.raises(InvalidJobDependency, match="circle: a, b"):
        await ask(api.Group.create(api.connection).enqueue_many, queue, [call("a", "b"), call("b", "a")])
    with pytest.raises(InvalidJobDependency, match="can't depend on itself"):
        await ask(queue.enqueue_many, [call("a", "a")])
    with pytest.raises(InvalidOption, match="same job_id"):
        await ask(queue.enqueue_many, [call("a"), call("a", "b")])
    assert api.redis.keys() == []


@both
async def test_flags_of_dependencies(api: Api) -> None:
    queue = api.queue()
    calls = [
        queue.prepare_data(nothing, job_id="front", depends_on=Dependency("parent", enqueue_at_front=True)),
        queue.prepare_data(nothing, job_id="brave", depends_on=Dependency(["parent"], allow_failure=True)),
        call("strict", "parent"),
        call("parent"),
        call("other"),
    ]
    await ask(queue.enqueue_many, calls)
    job = claimed(api.store)
    settled(api.store, job, "failed")
    assert await ask(queue.get_job_ids) == ["other", "brave"]
    await ask((await ask(api.Job.fetch, "parent", connection=api.connection)).requeue, at_front=True)
    finish(api.store)
    assert await ask(queue.get_job_ids) == ["front", "other", "brave", "strict"]


@pytest.mark.parametrize("outcome", ["finished", "failed", "deleted"])
def test_thousands_of_dependents(store: Store, outcome: str) -> None:
    """One step frees a hundred of them and notes the rest; any number of processes may go on, and none twice."""
    queue = Queue(connection=store.connection)
    parent = queue.enqueue(nothing, job_id="parent")
    count = 5000
    needing = [call(f"c{n}", "parent") for n in range(count)]
    allowing = [
        Queue.prepare_data(nothing, job_id=f"b{n}", depends_on=Dependency("parent", True)) for n in range(count)
    ]
    queue.enqueue_many([*needing, *allowing])
    if outcome == "deleted":
        parent.delete()
    else:
        settled(store, claimed(store), outcome)
    moved = queue.count + queue.canceled_job_registry.count
    assert 0 < moved <= 100
    while store.run(free(store.keys)).more:
        pass
    ids = queue.get_job_ids()
    assert len(ids) == len(set(ids)) == (2 * count if outcome == "finished" else count)
    deferred, canceled = queue.deferred_job_registry.count, queue.canceled_job_registry.count
    assert (deferred, canceled) == {"finished": (0, 0), "failed": (count, 0), "deleted": (0, count)}[outcome]


def test_what_a_killed_worker_left_is_freed_by_the_next(store: Store) -> None:
    """The process that ended the parent is gone after its first hundred: whoever looks at leases next goes on."""
    queue = Queue(connection=store.connection)
    queue.enqueue_many([call("parent"), *(call(f"c{n}", "parent") for n in range(950))])
    settled(store, claimed(store), "finished")
    waiting = queue.deferred_job_registry.count
    assert waiting == 850
    SimpleWorker([queue], connection=store.connection).work(burst=True, logging_level="CRITICAL")
    assert (queue.count, queue.deferred_job_registry.count, queue.finished_job_registry.count) == (0, 0, 951)


def test_children_of_a_lost_parent_do_not_run_before_they_hear_of_it(store: Store) -> None:
    """A parent was deleted with more dependents than one step reaches; the other parent of the rest finishes before the
    next step. They were taken for jobs whose deleted parent counts as met, and ran."""
    queue = Queue(connection=store.connection)
    queue.enqueue_many(
        [call("lost", at_front=False), call("good"), *(call(f"c{n}", "lost", "good") for n in range(300))]
    )
    queue.fetch_job("lost").delete()  # type: ignore[union-attr]
    finish(store)
    while store.run(free(store.keys)).more:
        pass
    assert queue.get_job_ids() == []
    assert queue.canceled_job_registry.count == 300


def test_a_group_of_ten_thousand(store: Store) -> None:
    queue, group = Queue(connection=store.connection), Group.create(store.connection, "big")
    after = queue.prepare_data(nothing, job_id="then")
    jobs = group.enqueue_many(queue, [call(f"j{n}") for n in range(10_000)], on_finished=after)
    assert len(jobs) == 10_000
    told = group.progress()
    assert (told.total, told.done) == (10_000, 0)
    assert told.unseen + sum(told.by_status.values()) == 10_000
    for n in range(10_000 - 1):
        store.connection.delete(f"rq:job:j{n}")
    while group.progress().open > 1:
        pass
    assert status(store, "then") == "deferred"
    queue.fetch_job("j9999").delete()  # type: ignore[union-attr]
    assert status(store, "then") == "canceled"
    assert group.progress().by_status == {"gone": 10_000}
