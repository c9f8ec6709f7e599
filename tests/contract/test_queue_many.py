"""Queue: dependencies, many calls at once, pipelines."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

import pytest
import redis
from tests.contract.driving import claimed
from tests.contract.jobs import add, fail, say, work

from atomiq import Dependency, Job, JobStatus, Queue
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidJobDependency, InvalidOption, JobIsRunning, UnserializableArguments
from atomiq.queue import EnqueueData


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


def calls(connection: redis.Redis) -> int:
    """Commands that clients sent, without those that scripts make."""
    stats = connection.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


# -- dependencies ------------------------------------------------------------------------------------------------------


def test_a_dependent_waits(queue: Queue, store: Store) -> None:
    parent = queue.enqueue(add, 1)
    child = queue.enqueue(add, 2, depends_on=parent)
    assert child.get_status(refresh=False) is child.get_status() is JobStatus.DEFERRED
    assert child.enqueued_at is None
    assert (child.dependency_ids, parent.dependent_ids) == ([parent.id], [child.id])
    assert child.dependency == parent
    assert child.fetch_dependencies() == [parent]
    work(store)
    assert child.get_status() is JobStatus.QUEUED


def test_a_finished_or_missing_dependency_is_met(queue: Queue, store: Store) -> None:
    parent = queue.enqueue(add, 1)
    work(store)
    assert queue.enqueue(add, 2, depends_on=[parent.id, "nobody"]).get_status() is JobStatus.QUEUED


def test_allow_failure_counts_at_once_for_a_parent_that_has_failed(queue: Queue, store: Store) -> None:
    parent = queue.enqueue(fail)
    work(store)
    assert queue.enqueue(add, 2, depends_on=parent).get_status() is JobStatus.DEFERRED
    child = queue.enqueue(add, 2, depends_on=Dependency(parent, allow_failure=True))
    assert child.get_status() is JobStatus.QUEUED


def test_at_front_is_remembered_for_a_dependent(queue: Queue, store: Store) -> None:
    parent = queue.enqueue(add, 1)
    other = queue.enqueue(add, 3)
    child = queue.enqueue(add, 2, depends_on=parent, at_front=True)
    work(store)
    assert queue.job_ids == [child.id, other.id]


def test_a_scheduled_job_with_a_dependency_waits_for_both(queue: Queue, store: Store) -> None:
    parent = queue.enqueue(add, 1)
    child = queue.enqueue_in(timedelta(hours=1), add, 2, depends_on=parent)
    assert child.get_status() is JobStatus.DEFERRED
    work(store)
    assert child.get_status() is JobStatus.SCHEDULED


# -- many --------------------------------------------------------------------------------------------------------------


def test_enqueue_many(queue: Queue) -> None:
    datas = [Queue.prepare_data(add, (n,), job_id=f"j{n}") for n in range(3)]
    assert isinstance(datas[0], EnqueueData)
    made = queue.enqueue_many(datas)
    assert [job.id for job in made] == queue.job_ids == ["j0", "j1", "j2"]
    assert queue.enqueue_many([]) == []


def test_enqueue_many_takes_a_generator_with_dependencies_in_any_order(queue: Queue, store: Store) -> None:
    done = queue.enqueue(add, 0)
    work(store)
    made = queue.enqueue_many(
        Queue.prepare_data(add, (1,), job_id=job_id, depends_on=parents)
        for job_id, parents in [("c", ["b"]), ("r", [done]), ("b", Dependency("a")), ("a", None), ("x", None)]
    )
    assert [job.id for job in made] == ["a", "x", "b", "c", "r"], "independent, waiting, ready"
    assert [job.get_status() for job in made] == [JobStatus.QUEUED] * 2 + [JobStatus.DEFERRED] * 2 + [JobStatus.QUEUED]
    ran = []
    while queue.count:
        ran.append(queue.job_ids[0])
        work(store)
    assert sorted(ran) == ["a", "b", "c", "r", "x"]
    assert ran.index("a") < ran.index("b") < ran.index("c")


def test_one_round_trip_per_thousand(queue: Queue, redis_connection: redis.Redis) -> None:
    queue.enqueue(add, 1)
    before = calls(redis_connection)
    made = queue.enqueue_many(Queue.prepare_data(add, (n,)) for n in range(2500))
    assert calls(redis_connection) == before + 3
    assert len({job.id for job in made}) == 2500
    assert queue.count == 2501


def test_an_error_stops_the_calls_that_come_after(queue: Queue, store: Store, redis_connection: redis.Redis) -> None:
    """The commands before it are carried out, its own and those after it are not."""
    queue.enqueue(add, 1, job_id="runs")
    claimed(store)
    rows = [queue.prepare_data(add, (number,), job_id="runs" if number == 1500 else None) for number in range(2500)]
    with pytest.raises(JobIsRunning, match="runs"):
        queue.enqueue_many(rows)
    assert queue.count == 1000
    assert [job.args for job in queue.get_jobs(998, 2)] == [(998,), (999,)]


def test_nothing_is_sent_when_a_call_is_wrong(queue: Queue, redis_connection: redis.Redis) -> None:
    rows = [queue.prepare_data(add, (number,)) for number in range(1500)]
    for wrong in (
        queue.prepare_data(add, (threading.Lock(),)),
        queue.prepare_data(add, (1,), meta={"a": threading.Lock()}),
    ):
        with pytest.raises(UnserializableArguments):
            queue.enqueue_many([*rows, wrong])
    assert redis_connection.keys() == []


def test_jobs_come_back_as_they_were_given(queue: Queue) -> None:
    rows = [queue.prepare_data(add, (number,), result_ttl=5 if number % 3 else None) for number in range(1200)]
    jobs = queue.enqueue_many(rows)
    assert [job.args for job in jobs] == [(number,) for number in range(1200)]
    assert queue.job_ids == [job.id for job in jobs]
    assert {job.get_status(refresh=False) for job in jobs} == {JobStatus.QUEUED}
    assert all(job.enqueued_at is not None for job in jobs)
    stored = Job.fetch_many([jobs[3].id, jobs[4].id], connection=queue.connection)
    assert [(job.args, job.result_ttl, job.created_at) for job in stored if job] == [
        ((3,), None, jobs[3].created_at),
        ((4,), 5, jobs[4].created_at),
    ]


def test_big_calls_are_spread_over_more_commands(queue: Queue, redis_connection: redis.Redis) -> None:
    queue.enqueue(add, 1)
    before = calls(redis_connection)
    noise = os.urandom(12_000_000)
    queue.enqueue_many(Queue.prepare_data(say, (noise,)) for _ in range(5))
    assert calls(redis_connection) == before + 3
    assert queue.count == 6


def test_dependencies_across_chunks(queue: Queue) -> None:
    datas = [Queue.prepare_data(add, (0,), job_id="last", depends_on=[f"j{n}" for n in range(1500)])]
    datas += [Queue.prepare_data(add, (n,), job_id=f"j{n}") for n in range(1500)]
    made = queue.enqueue_many(datas)
    assert made[-1].id == "last"
    assert made[-1].get_status() is JobStatus.DEFERRED
    assert len(made[-1].dependency_ids) == 1500


def test_batches_that_make_no_sense(queue: Queue) -> None:
    with pytest.raises(InvalidJobDependency, match="circle"):
        queue.enqueue_many([
            Queue.prepare_data(add, (1,), job_id="a", depends_on="b"),
            Queue.prepare_data(add, (1,), job_id="b", depends_on="a"),
        ])  # fmt: skip
    with pytest.raises(InvalidOption, match="same job_id"):
        queue.enqueue_many([Queue.prepare_data(add, (1,), job_id="a")] * 2)
    assert queue.count == 0


def test_enqueue_many_into_a_group(queue: Queue, redis_connection: redis.Redis) -> None:
    made = queue.enqueue_many([Queue.prepare_data(add, (1,))], group_id="g")
    assert redis_connection.smembers("rq:group:g") == {made[0].id.encode()}
    assert Job.fetch(made[0].id, redis_connection).group_id == "g"


# -- pipelines ---------------------------------------------------------------------------------------------------------


def test_a_caller_pipeline(queue: Queue, redis_connection: redis.Redis) -> None:
    with redis_connection.pipeline() as pipeline:
        pipeline.set("mine", 1)
        first = queue.enqueue(add, 1, pipeline=pipeline)
        many = queue.enqueue_many([Queue.prepare_data(add, (2,), depends_on=first)], pipeline=pipeline)
        later = queue.enqueue_in(timedelta(1), add, 3, pipeline=pipeline)
        queue.enqueue(add, 1, pipeline=pipeline, depends_on=first)
        assert queue.count == 0
        assert first.get_status(refresh=False) is JobStatus.QUEUED
        assert many[0].get_status(refresh=False) is JobStatus.DEFERRED
        assert later.get_status(refresh=False) is JobStatus.SCHEDULED
        pipeline.execute()
    assert queue.job_ids == [first.id]
    assert redis_connection.get("mine") == b"1"
    assert [job.get_status() for job in (first, many[0], later)] == ["queued", "deferred", "scheduled"]


def test_a_pipeline_that_is_thrown_away_writes_nothing(queue: Queue, redis_connection: redis.Redis) -> None:
    with redis_connection.pipeline() as pipeline:
        queue.enqueue(add, 1, pipeline=pipeline)
    assert redis_connection.keys("*") == []
