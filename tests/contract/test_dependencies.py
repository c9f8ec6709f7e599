"""Dependencies: whatever becomes of a parent, each of its dependants runs once, waits for a reason, or is canceled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from tests.contract.both import Api, ask, both
from tests.contract.driving import claimed, fail, finish, settled
from tests.lua.keyspace import dump
from tests.tasks import nothing

from atomiq import Dependency, Job, Queue
from atomiq._commands.claim import claim
from atomiq._commands.queues import expire as expire_registries
from atomiq._commands.settle import free
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidJobDependency, InvalidOption


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


def status(store: Store, job_id: str) -> str | None:
    raw: bytes | None = store.connection.hget(f"rq:job:{job_id}", "status")
    return raw.decode() if raw else None


def expire(store: Store) -> None:
    """The parent's ttl is over while it waits; the next claim meets its id."""
    store.connection.delete("rq:job:parent")
    command = claim(store.keys, queues=["default"], worker="w", executions=["e"], lease_ms=1000)
    assert [job.job_id for job in store.run(command).jobs] in ([], ["child"])


def cancel_parent(store: Store, *, let_go: bool) -> None:
    Job.fetch("parent", connection=store.connection).cancel(enqueue_dependents=let_go)


ENDS: dict[str, tuple[Callable[[Store], object], str, str]] = {
    "finished": (finish, "queued", "queued"),
    "finished, not kept": (lambda store: finish(store, result_ttl=0), "queued", "queued"),
    "failed": (fail, "deferred", "queued"),
    "failed, not kept": (lambda store: fail(store, failure_ttl=0), "canceled", "queued"),
    "stopped": (lambda store: fail(store, outcome="stopped"), "deferred", "queued"),
    "retries used up": (lambda store: fail(store, outcome="exhausted"), "deferred", "queued"),
    "canceled": (lambda store: cancel_parent(store, let_go=False), "deferred", "deferred"),
    "canceled, dependents let go": (lambda store: cancel_parent(store, let_go=True), "deferred", "deferred"),
    "deleted": (lambda store: Job.fetch("parent", connection=store.connection).delete(), "canceled", "queued"),
    "queue emptied": (lambda store: Queue(connection=store.connection).empty(), "canceled", "queued"),
    "expired": (expire, "canceled", "started"),
}
LET_GO = {"canceled, dependents let go"}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("allow_failure", [False, True], ids=["needs it", "allow_failure"])
def test_what_becomes_of_a_dependent(queue: Queue, store: Store, end: str, allow_failure: bool) -> None:
    """In RQ those of parents that were stopped, deleted, emptied or expired wait for ever (its faults B2 to B4).

    Cancel with enqueue_dependents lets go those that wait for nothing else.
    """
    act, needing, allowing = ENDS[end]
    queue.enqueue(nothing, job_id="parent")
    queue.enqueue(nothing, job_id="child", depends_on=Dependency("parent", allow_failure=allow_failure))
    assert status(store, "child") == "deferred"
    act(store)
    expected = "queued" if end in LET_GO else allowing if allow_failure else needing
    assert status(store, "child") == expected
    assert not store.connection.exists("rq:atomiq:freeing")


@pytest.mark.parametrize("how", ["failed", "stopped", "exhausted"])
def test_allow_failure_on_a_parent_that_has_failed_before(queue: Queue, store: Store, how: str) -> None:
    """In RQ such a child waits for ever (B3), unless it came by enqueue_many."""
    queue.enqueue(nothing, job_id="parent")
    fail(store, outcome=how)
    queue.enqueue(nothing, job_id="child", depends_on=Dependency("parent", allow_failure=True))
    queue.enqueue_many([queue.prepare_data(nothing, job_id="other", depends_on=Dependency(["parent"], True))])
    assert (status(store, "child"), status(store, "other")) == ("queued", "queued")


def test_a_mix_of_all_there_is(queue: Queue, store: Store) -> None:
    """Of these only the one that still waits holds the job."""
    for name in ("finished", "gone"):
        queue.enqueue(nothing, job_id=name)
        finish(store)
    Job.fetch("gone", connection=store.connection).delete()
    queue.enqueue(nothing, job_id="failed")
    fail(store)
    queue.enqueue(nothing, job_id="waiting")
    parents = ["finished", "gone", "never-was", "failed", "waiting"]
    queue.enqueue(nothing, job_id="child", depends_on=Dependency(parents, allow_failure=True))
    queue.enqueue(nothing, job_id="strict", depends_on=parents)
    assert (status(store, "child"), status(store, "strict")) == ("deferred", "deferred")
    finish(store)
    assert (status(store, "child"), status(store, "strict")) == ("queued", "deferred")
    Job.fetch("failed", connection=store.connection).requeue(at_front=True)
    finish(store)
    assert status(store, "strict") == "queued"


def test_a_diamond_runs_its_end_once(queue: Queue, store: Store) -> None:
    queue.enqueue(nothing, job_id="top")
    for side in ("left", "right"):
        queue.enqueue(nothing, job_id=side, depends_on="top")
    queue.enqueue(nothing, job_id="bottom", depends_on=["left", "right"])
    ran = []
    for _ in range(4):
        job = claimed(store)
        ran.append(job.job_id)
        settled(store, job, "finished")
    assert (ran[0], set(ran[1:3]), ran[3]) == ("top", {"left", "right"}, "bottom")
    assert queue.count == 0


def test_a_chain_over_many_queues(redis_connection: redis.Redis, store: Store) -> None:
    """A job waits in the registry of its own queue, whichever queue its parent is in."""
    before = None
    for number in range(50):
        queue = Queue(f"q{number}", connection=redis_connection)
        before = queue.enqueue(nothing, job_id=f"j{number}", depends_on=before)
    assert Queue("q7", connection=redis_connection).deferred_job_registry.get_job_ids() == ["j7"]
    for number in range(50):
        finish(store, queue=f"q{number}")
    assert status(store, "j49") == "finished"


def test_a_parent_that_is_run_again_runs_its_children_once(queue: Queue, store: Store) -> None:
    """In RQ a child that enqueue_many found ready runs again with its parent (C8)."""
    queue.enqueue(nothing, job_id="parent")
    queue.enqueue(nothing, job_id="child", depends_on="parent")
    fail(store)
    job = Job.fetch("parent", connection=store.connection).requeue()
    finish(store)
    queue.enqueue_many([queue.prepare_data(nothing, job_id="met", depends_on="parent")])
    assert queue.get_job_ids() == ["child", "met"]
    finish(store)
    finish(store)
    queue.enqueue_job(job)
    finish(store)
    assert queue.get_job_ids() == []
    assert not store.connection.exists("rq:job:parent:dependents")


def test_a_parent_with_a_ttl_keeps_its_dependents(queue: Queue, store: Store) -> None:
    """In RQ the set of them may expire before the parent has finished (E16)."""
    queue.enqueue(nothing, job_id="parent", ttl=100)
    queue.enqueue(nothing, job_id="child", depends_on="parent")
    assert store.connection.ttl("rq:job:parent:dependents") == -1
    finish(store)
    assert status(store, "child") == "queued"


def test_retries_of_a_parent_do_not_free(queue: Queue, store: Store) -> None:
    queue.enqueue(nothing, job_id="parent")
    queue.enqueue(nothing, job_id="child", depends_on=Dependency("parent", allow_failure=True))
    fail(store, retry=0)
    assert status(store, "child") == "deferred"
    fail(store, outcome="retried", retry=0)
    assert status(store, "child") == "deferred"
    fail(store)
    assert status(store, "child") == "queued"


def test_a_dependent_that_expires_leaves_nothing(queue: Queue, store: Store) -> None:
    """In RQ its id stays in the deferred registry and with its parent for ever (E5)."""
    parent = queue.enqueue(nothing, job_id="parent")
    queue.enqueue(nothing, job_id="child", depends_on="parent", ttl=100)
    store.connection.delete("rq:job:child")
    store.run(expire_registries(store.keys, queue="default"))
    assert queue.deferred_job_registry.count == 0
    assert parent.dependent_ids == []
    assert not store.connection.exists("rq:job::child:dependencies", "rq:atomiq:unmet:child")


def test_an_emptied_queue_leaves_nothing(queue: Queue, store: Store) -> None:
    """In RQ the sets of dependencies of its jobs stay (E6)."""
    queue.enqueue_many([queue.prepare_data(nothing, job_id=name, depends_on="gone") for name in ("a", "b")])
    queue.enqueue(nothing, job_id="parent")
    queue.enqueue(nothing, job_id="child", depends_on="parent")
    queue.empty()
    queue.canceled_job_registry.remove("child", delete_job=True)
    assert store.connection.keys("rq:*job*") == []


@both
async def test_remove_from_dependencies(api: Api) -> None:
    """A canceled job is forgotten by those it waited for, and their end doesn't touch it."""
    queue = api.queue()
    parent = await ask(queue.enqueue, nothing)
    child = await ask(queue.enqueue, nothing, depends_on=parent)
    await ask(child.cancel, remove_from_dependencies=True)
    assert await ask(parent.dependent_ids) == []
    finish(api.store)
    assert await ask(child.get_status) == "canceled"


@both
async def test_delete_dependents_deletes_all_of_them(api: Api) -> None:
    """Also beyond what one step may do; those that come after them are canceled."""
    queue = api.queue()
    parent = await ask(queue.enqueue, nothing, job_id="parent")
    many = [queue.prepare_data(nothing, job_id=f"c{number}", depends_on="parent") for number in range(1300)]
    await ask(queue.enqueue_many, [*many, queue.prepare_data(nothing, job_id="grandchild", depends_on="c7")])
    await ask(parent.delete, delete_dependents=True)
    while api.store.run(free(api.store.keys)).more:
        pass
    left = {key.decode() for key in api.redis.keys("rq:job:[cgp]*")}
    assert left == {"rq:job:grandchild"}
    assert status(api.store, "grandchild") == "canceled"
    assert not api.redis.exists("rq:deferred:default", "rq:atomiq:freeing")
    assert not api.redis.keys("rq:atomiq:unmet:*")


def test_a_parent_put_anew_before_its_dependents_were_deleted(queue: Queue, store: Store) -> None:
    parent = queue.enqueue(nothing, job_id="parent")
    queue.enqueue_many([queue.prepare_data(nothing, job_id=f"c{n}", depends_on="parent") for n in range(300)])
    parent.delete(delete_dependents=True)
    queue.enqueue(nothing, job_id="parent")
    queue.enqueue(nothing, job_id="new", depends_on="parent")
    finish(store)
    assert queue.get_job_ids() == ["new"]
    assert len(store.connection.keys("rq:job:c*")) == 0


@both
async def test_a_job_cant_wait_for_itself(api: Api) -> None:
    with pytest.raises(InvalidJobDependency, match="can't depend on itself"):
        await ask(api.queue().enqueue, nothing, job_id="a", depends_on=["b", "a"])
    assert api.redis.keys() == []


@both
async def test_a_circle_through_jobs_that_exist_is_refused(api: Api) -> None:
    """a is put anew so that it waits for c, which waits for b, which waits for a."""
    queue = api.queue()
    await ask(queue.enqueue, nothing, job_id="a")
    await ask(queue.enqueue, nothing, job_id="b", depends_on="a")
    await ask(queue.enqueue, nothing, job_id="c", depends_on="b")
    before = dump(api.redis)
    with pytest.raises(InvalidJobDependency, match="job a would wait for itself"):
        await ask(queue.enqueue, nothing, job_id="a", depends_on="c")
    calls = [
        queue.prepare_data(nothing, job_id="a", depends_on="x"),
        queue.prepare_data(nothing, job_id="x", depends_on="c"),
    ]
    with pytest.raises(InvalidJobDependency, match="job a would wait for itself"):
        await ask(queue.enqueue_many, calls)
    assert dump(api.redis) == before


def test_no_circle_where_the_dependency_is_met(queue: Queue, store: Store) -> None:
    """b doesn't wait any more, so a may wait for it."""
    queue.enqueue(nothing, job_id="a")
    queue.enqueue(nothing, job_id="b", depends_on="a")
    queue.enqueue(nothing, job_id="c", depends_on="a")
    finish(store)
    queue.enqueue(nothing, job_id="a", depends_on="c")
    assert status(store, "a") == "deferred"
    finish(store)
    finish(store)
    assert status(store, "a") == "queued"


@pytest.mark.parametrize(
    "wrong", [5, object(), [5], {"a": 1}.values(), Dependency], ids=lambda wrong: type(wrong).__name__
)
def test_what_is_no_dependency(queue: Queue, store: Store, wrong: object) -> None:
    """RQ raises a ValueError as well."""
    with pytest.raises(ValueError):
        queue.enqueue(nothing, depends_on=wrong)
    assert store.connection.keys() == []


def test_a_dependency_of_nothing() -> None:
    with pytest.raises(InvalidOption, match="cannot be empty"):
        Dependency([])
    with pytest.raises(ValueError):
        Dependency([5])


@pytest.mark.parametrize("kind", ["job", "id", "tuple", "set", "generator", "mixed", "twice"])
def test_what_depends_on_may_be(queue: Queue, store: Store, kind: str) -> None:
    one, two = queue.enqueue(nothing, job_id="one"), queue.enqueue(nothing, job_id="two")
    given = {
        "job": one,
        "id": "one",
        "tuple": (one, "two"),
        "set": {"one", "two"},
        "generator": (each for each in (one, two)),
        "mixed": [one, Dependency("two", enqueue_at_front=True)],
        "twice": ["one", one, Dependency([one, "one"])],
    }[kind]
    child = queue.enqueue(nothing, job_id="child", depends_on=given)
    expected = {"one"} if kind in ("job", "id", "twice") else {"one", "two"}
    assert set(child.dependency_ids) == expected
    assert set(one.dependent_ids) == {"child"}
    for _ in expected:
        assert status(store, "child") == "deferred"
        finish(store)
    assert status(store, "child") == "queued"


def test_results_of_parents(queue: Queue, store: Store) -> None:
    queue.enqueue(nothing, job_id="one")
    queue.enqueue(nothing, job_id="two")
    queue.enqueue(nothing, job_id="child", depends_on=["one", "two", "nobody"])
    finish(store, value=1)
    finish(store, value=2)
    child = Job.fetch("child", connection=store.connection)
    assert child.dependencies_are_met()
    assert child.dependency is not None
    assert child.dependency.return_value() == 1
    assert [job.return_value() for job in child.fetch_dependencies()] == [1, 2]
