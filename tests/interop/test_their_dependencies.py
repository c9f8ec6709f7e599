"""RQ's faults with dependencies, shown with the installed RQ, and the right outcome here beside them."""

from __future__ import annotations

import pytest
import redis
import rq
import rq.job
from rq.group import Group
from tests.interop import jobs, ours, theirs

from atomiq import Dependency, Queue
from atomiq.group import Group as OurGroup
from atomiq.job import Job


def theirs_of(connection: redis.Redis) -> rq.Queue:
    return rq.Queue(connection=connection)


def test_b3_allow_failure_on_a_parent_that_has_failed(redis_connection: redis.Redis) -> None:
    """RQ's child waits for ever; atomiq's runs."""
    parent = theirs_of(redis_connection).enqueue(jobs.boom)
    theirs.run_simple(redis_connection)
    child = theirs_of(redis_connection).enqueue(
        jobs.add, 1, 2, depends_on=rq.job.Dependency(parent, allow_failure=True)
    )
    assert child.get_status() == "deferred"
    theirs.run_simple(redis_connection)
    assert child.get_status() == "deferred"
    ours_too = Queue(connection=redis_connection).enqueue(
        jobs.add, 1, 2, depends_on=Dependency(parent.id, allow_failure=True)
    )
    ours.run_simple(redis_connection)
    assert ours_too.is_finished


def test_b4_a_deleted_parent(redis_connection: redis.Redis) -> None:
    """RQ's child waits for ever, with nothing that could end it; atomiq's is canceled."""
    for queue, expected in ((theirs_of(redis_connection), "deferred"), (Queue("ours", redis_connection), "canceled")):
        parent = queue.enqueue(jobs.add, 1, 2)
        child = queue.enqueue(jobs.add, 1, 2, depends_on=parent)
        parent.delete()
        assert child.get_status() == expected


@pytest.mark.parametrize("end", ["expires", "expires, its hash is there still", "is deleted"])
def test_a_parent_that_had_finished_goes_before_the_other_one(redis_connection: redis.Redis, end: str) -> None:
    """RQ's producer lists its child with both parents, also with the one that has finished. When that one's result
    expired, atomiq's upkeep took the child for one that would never get what it needs, and canceled it."""
    queue = theirs_of(redis_connection)
    done = queue.enqueue(jobs.add, 1, 2)
    ours.run_simple(redis_connection)
    other = queue.enqueue(jobs.add, 1, 2)
    child = queue.enqueue(jobs.add, 3, 4, depends_on=[done, other])
    assert redis_connection.smembers(done.dependents_key) == {child.id.encode()}
    registry = Queue(connection=redis_connection).finished_job_registry
    if end == "is deleted":
        Job.fetch(done.id, redis_connection).delete()
    else:
        redis_connection.zadd(registry.key, {done.id: 1})
        if end == "expires":
            redis_connection.delete(done.key)
        registry.cleanup()
    assert child.get_status() == "deferred"
    ours.run_simple(redis_connection)
    assert child.return_value() == 7


def test_c5_a_dependent_in_a_group(redis_connection: redis.Redis) -> None:
    """RQ's child runs at once, though its parent fails; atomiq's waits."""
    for kind, queue, expected in (
        (Group, theirs_of(redis_connection), "queued"),
        (OurGroup, Queue("ours", redis_connection), "deferred"),
    ):
        group = kind.create(redis_connection)
        parent = queue.prepare_data(jobs.boom, job_id=f"parent-{queue.name}")
        child = queue.prepare_data(jobs.add, (1, 2), job_id=f"child-{queue.name}", depends_on=f"parent-{queue.name}")
        members = group.enqueue_many(queue, [parent, child])
        assert next(job for job in members if job.id.startswith("child")).get_status() == expected


def test_c8_a_dependent_whose_parent_had_finished(redis_connection: redis.Redis) -> None:
    """RQ's child is run once more whenever its parent is."""
    queue = theirs_of(redis_connection)
    parent = queue.enqueue(jobs.add, 1, 2)
    theirs.run_simple(redis_connection)
    (child,) = queue.enqueue_many([queue.prepare_data(jobs.add, (1, 2), depends_on=parent.id)])
    theirs.run_simple(redis_connection)
    queue.enqueue_job(parent)
    theirs.run_simple(redis_connection)
    assert len(child.results()) == 2

    again = Queue(connection=redis_connection)
    first = again.enqueue(jobs.add, 1, 2)
    ours.run_simple(redis_connection)
    (second,) = again.enqueue_many([again.prepare_data(jobs.add, (1, 2), depends_on=first.id)])
    ours.run_simple(redis_connection)
    again.enqueue_job(first)
    ours.run_simple(redis_connection)
    assert len(second.results()) == 1
