"""RQ's primitives of a queue, as loops use them that are no worker of ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from tests.contract.jobs import add, take
from tests.helpers import wait_until
from tests.invariants import check_invariants

from atomiq import Job, JobStatus, Queue
from atomiq._commands.stuck import recover_stuck
from atomiq._wire.sync import Store
from atomiq.exceptions import DequeueTimeout, InvalidTime, JobIsRunning
from atomiq.intermediate_queue import IntermediateQueue
from atomiq.registry import FailedJobRegistry, FinishedJobRegistry
from atomiq.timeouts import TimerDeathPenalty


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


@pytest.fixture(autouse=True)
def in_order(redis_connection: redis.Redis) -> Any:
    yield
    assert check_invariants(redis_connection, expired=["nobody"]) == []


class OwnJob(Job):
    """Somebody's own."""


class OwnQueue(Queue):
    """Somebody's own."""


# -- dequeue_any -------------------------------------------------------------------------------------------------------


def test_nothing_to_hand_out(queue: Queue, redis_connection: redis.Redis) -> None:
    other = Queue("other", redis_connection)
    assert Queue.dequeue_any([queue, other], None, redis_connection) is None
    assert Queue.dequeue_any([], None, redis_connection) is None
    begun = time.monotonic()
    with pytest.raises(DequeueTimeout) as caught:
        Queue.dequeue_any([queue], 0.3, redis_connection)
    assert time.monotonic() - begun >= 0.3
    assert caught.value.args == (0.3, "rq:queue:default")
    with pytest.raises(DequeueTimeout) as caught:
        Queue.dequeue_any([queue, other], 0.01, redis_connection)
    assert caught.value.args == (0.01, ["rq:queue:default", "rq:queue:other"])
    for never in (0, -1):
        with pytest.raises(InvalidTime, match="timeout"):
            Queue.dequeue_any([queue], never, redis_connection)


@pytest.mark.parametrize("names", [["default"], ["other", "default"]])
def test_the_job_that_is_handed_out_is_found_in_the_intermediate_list(
    names: list[str], redis_connection: redis.Redis
) -> None:
    """RQ pops it from several queues, and a process that dies then takes it along: it is in no list any more."""
    queue = Queue("default", redis_connection, default_timeout=7)
    queue.enqueue(add, 1, 2)
    queue.enqueue(add, 3)
    taken = Queue.dequeue_any([Queue(name, redis_connection) for name in names], None, redis_connection)
    assert taken is not None
    job, of = taken
    assert (of, job.origin, job.timeout, job.args) == (queue, "default", 7, (1, 2))
    assert job.get_status(refresh=False) is job.get_status() is JobStatus.QUEUED
    assert queue.count == 1
    assert queue.intermediate_queue.get_job_ids() == [job.id]
    assert job.perform() == 3


def test_priority_and_classes(redis_connection: redis.Redis) -> None:
    low, high = Queue("low", redis_connection, serializer="json"), Queue("high", redis_connection, serializer="json")
    first, second = low.enqueue(add, 1), high.enqueue(add, 2)
    for expected in (second, first):
        taken = OwnQueue.dequeue_any(
            [high, low], 1, redis_connection, job_class=OwnJob, serializer="json", death_penalty_class=TimerDeathPenalty
        )
        assert taken is not None
        job, queue = taken
        assert (type(job), type(queue), job.id, queue.name) == (OwnJob, OwnQueue, expected.id, expected.origin)
        assert queue.death_penalty_class is TimerDeathPenalty
        assert job.args == [expected.args[0]], "JSON has no tuples"


def test_ids_without_a_job_are_passed_over(queue: Queue, redis_connection: redis.Redis) -> None:
    queue.push_job_id("nobody")
    job = queue.enqueue(add, 1)
    taken = Queue.dequeue_any([queue], None, redis_connection)
    assert taken is not None
    assert taken[0] == job
    assert queue.intermediate_queue.get_job_ids() == [job.id]


@pytest.mark.parametrize("rings", [True, False])
def test_it_waits_for_a_job(rings: bool, queue: Queue, redis_connection: redis.Redis) -> None:
    """RQ's producers don't ring the bell; theirs are noticed as well."""
    job = queue.create_job(add, (1,))
    job.save()
    taken: list[Any] = []
    waiter = threading.Thread(target=lambda: taken.append(Queue.dequeue_any([queue], 20, redis_connection)))
    waiter.start()
    wait_until(lambda: redis_connection.info("clients")["blocked_clients"] > 0, within=10, what="it waits")
    if rings:
        queue.enqueue_job(job)
    else:
        redis_connection.hset(job.key, "status", "queued")
        redis_connection.rpush(queue.key, job.id)
    waiter.join(20)
    assert taken == [(job, queue)]


def loop_of_rq(job: Job, queue: Queue) -> None:
    with queue.connection.pipeline() as pipeline:
        job.prepare_for_execution("mine", pipeline=pipeline)
        pipeline.execute()
    assert job.get_status() is JobStatus.STARTED
    assert job.perform() == 1
    job.set_status(JobStatus.FINISHED)
    FinishedJobRegistry(queue=queue).add(job, 60)
    job.cleanup(60)


ENDS: dict[str, tuple[Callable[[Job, Queue], Any], JobStatus]] = {
    "as RQ's worker": (loop_of_rq, JobStatus.FINISHED),
    "failed": (lambda job, queue: FailedJobRegistry(queue=queue).add(job, exc_string="Boom"), JobStatus.FAILED),
    "set_status": (lambda job, queue: job.set_status(JobStatus.FINISHED), JobStatus.FINISHED),
    "canceled": (lambda job, queue: job.cancel(), JobStatus.CANCELED),
    "back": (lambda job, queue: queue.enqueue_job(job, at_front=True), JobStatus.QUEUED),
    "back behind": (lambda job, queue: queue.enqueue_job(job), JobStatus.QUEUED),
    "pushed back": (lambda job, queue: queue.push_job_id(job.id), JobStatus.QUEUED),
    "run here": (lambda job, queue: queue.run_job(job), JobStatus.FINISHED),
}


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_loop(how: str, queue: Queue, redis_connection: redis.Redis) -> None:
    """Whatever a loop does with the job, it is in one place afterwards, and not in the intermediate list."""
    queue.enqueue(add, 1)
    taken = Queue.dequeue_any([queue], None, redis_connection)
    assert taken is not None
    end, status = ENDS[how]
    end(*taken)
    assert queue.intermediate_queue.get_job_ids() == []
    assert taken[0].get_status() is status
    assert queue.job_ids == ([taken[0].id] if status is JobStatus.QUEUED else [])


def test_a_deleted_job_leaves_the_intermediate_list(queue: Queue, redis_connection: redis.Redis) -> None:
    queue.enqueue(add, 1).delete()
    job = queue.enqueue(add, 1)
    assert Queue.dequeue_any([queue], None, redis_connection) is not None
    job.delete()
    assert queue.intermediate_queue.get_job_ids() == []


def test_what_a_dead_loop_had_taken_runs_in_the_end(queue: Queue, redis_connection: redis.Redis, store: Store) -> None:
    job = queue.enqueue(add, 1)
    assert Queue.dequeue_any([queue, Queue("b", redis_connection)], None, redis_connection) is not None
    now_ms = int(time.time() * 1000)
    store.run(recover_stuck(store.keys, queue="default", now_ms=now_ms))
    assert queue.job_ids == [], "it may still be at it"
    store.run(recover_stuck(store.keys, queue="default", now_ms=now_ms + 3_600_000))
    assert queue.job_ids == [job.id]
    assert take(store)[0] == job


def test_hooks_of_dequeue_any(queue: Queue, redis_connection: redis.Redis) -> None:
    """RQ takes from one queue by `lmove`, from several by `lpop`."""
    seen = []

    class Seeing(Queue):
        @classmethod
        def lmove(cls, connection: Any, queue_key: str, timeout: float | None) -> Any:
            seen.append(("lmove", queue_key))
            return super().lmove(connection, queue_key, timeout)

        @classmethod
        def lpop(cls, queue_keys: Any, timeout: float | None, connection: Any = None) -> Any:
            seen.append(("lpop", list(queue_keys)))
            return super().lpop(queue_keys, timeout, connection=connection)

    jobs = [queue.enqueue(add, number) for number in range(2)]
    one = Seeing.dequeue_any([queue], None, redis_connection)
    other = Seeing.dequeue_any([queue, Queue("b", redis_connection)], 1, redis_connection)
    assert one is not None
    assert other is not None
    assert [one[0], other[0]] == jobs
    assert seen == [("lmove", queue.key), ("lpop", [queue.key, "rq:queue:b"])]


# -- lmove, lpop, pop, push --------------------------------------------------------------------------------------------


def test_lmove(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    assert Queue.lmove(redis_connection, queue.key, None) == (queue.key, job.id.encode())
    assert queue.intermediate_queue.get_job_ids() == [job.id]
    assert Queue.lmove(redis_connection, queue.key, None) is None
    with pytest.raises(DequeueTimeout) as caught:
        Queue.lmove(redis_connection, queue.key, 0.05)
    assert caught.value.args == (0.05, queue.key)
    with pytest.raises(ValueError, match="queue key"):
        Queue.lmove(redis_connection, "nope", None)


def test_lpop(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    assert Queue.lpop(["rq:queue:b", queue.key], None, connection=redis_connection) == (queue.key, job.id.encode())
    assert job.get_status() is JobStatus.CREATED
    assert Queue.lpop([queue.key], None, connection=redis_connection) is None
    with pytest.raises(DequeueTimeout) as caught:
        Queue.lpop([queue.key], 0.05, connection=redis_connection)
    assert caught.value.args == (0.05, [queue.key])


def test_pop_and_push(queue: Queue, redis_connection: redis.Redis, store: Store) -> None:
    first, second = queue.enqueue(add, 1), queue.enqueue(add, 2)
    assert queue.pop_job_id() == first.id
    assert (queue.job_ids, first.get_status()) == ([second.id], JobStatus.CREATED)
    queue.push_job_id(first.id)
    assert queue.job_ids == [second.id, first.id]
    queue.push_job_id(first.id, at_front=True)
    assert queue.job_ids == [first.id, second.id]
    assert take(store)[0] == first
    with pytest.raises(JobIsRunning):
        queue.push_job_id(first.id)


def test_pop_of_an_empty_queue(queue: Queue) -> None:
    """RQ's annotation says None, its code raises ValueError."""
    assert queue.pop_job_id() is None


def test_push_in_a_pipeline(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.create_job(add, (1,))
    with redis_connection.pipeline() as pipeline:
        job.save(pipeline=pipeline)
        queue.push_job_id(job.id, pipeline=pipeline)
        assert queue.count == 0
        pipeline.execute()
    assert (queue.job_ids, job.get_status()) == ([job.id], JobStatus.QUEUED)


def test_a_job_that_was_saved_and_pushed_by_hand_runs(queue: Queue, store: Store) -> None:
    job = queue.create_job(add, (1,))
    job.save()
    queue.push_job_id(job.id)
    assert take(store)[0] == job
    assert job.get_status() is JobStatus.STARTED


def test_push_into_another_queue(queue: Queue, redis_connection: redis.Redis) -> None:
    """RQ leaves it in the first one as well, and its hash says that it belongs there."""
    job, other = queue.enqueue(add, 1), Queue("other", redis_connection)
    other.push_job_id(job.id)
    assert (queue.job_ids, other.job_ids) == ([], [job.id])
    assert Job.fetch(job.id, redis_connection).origin == "other"


# -- dependencies by hand ----------------------------------------------------------------------------------------------


def test_setup_dependencies(queue: Queue) -> None:
    parent = queue.enqueue(add, 1)
    free = queue.create_job(add, (2,))
    assert queue.setup_dependencies(free) is free
    assert (free.get_status(refresh=False), Job.exists(free.id, queue.connection)) == (JobStatus.QUEUED, False)
    child = queue.create_job(add, (2,), depends_on=parent)
    assert queue.setup_dependencies(child) is child
    assert child.get_status() is child.get_status(refresh=False) is JobStatus.DEFERRED
    assert queue.deferred_job_registry.get_job_ids() == [child.id]


@pytest.mark.parametrize("status", ["queued", "failed", "canceled"])
def test_enqueue_dependents(status: str, queue: Queue, redis_connection: redis.Redis) -> None:
    """Of one that failed only those that allow it go on, of a canceled one none, unless it is the one left out."""
    parent = queue.enqueue(add, 1)
    child = queue.enqueue(add, 2, depends_on=parent)
    parent._status = JobStatus(status)
    queue.enqueue_dependents(parent, refresh_job_status=False)
    assert child.get_status() is (JobStatus.QUEUED if status == "queued" else JobStatus.DEFERRED)
    with redis_connection.pipeline() as pipeline:
        queue.enqueue_dependents(parent, pipeline=pipeline, exclude_job_id=parent.id)
        pipeline.execute()
    assert child.get_status() is JobStatus.QUEUED


# -- around ------------------------------------------------------------------------------------------------------------


def test_the_maintenance_lock(queue: Queue, redis_connection: redis.Redis) -> None:
    assert queue.acquire_maintenance_lock() is True
    assert queue.acquire_maintenance_lock() is False
    assert 0 < redis_connection.ttl(queue.registry_cleaning_key) <= 899
    Queue("default", redis_connection).release_maintenance_lock()
    assert not redis_connection.exists(queue.registry_cleaning_key)


def test_the_maintenance_lock_of_another_process_stays(queue: Queue, redis_connection: redis.Redis) -> None:
    """RQ frees whatever lock there is: two fleets clean at the same time."""
    redis_connection.set(queue.registry_cleaning_key, "1", ex=899)
    assert queue.acquire_maintenance_lock() is False
    queue.release_maintenance_lock()
    assert redis_connection.exists(queue.registry_cleaning_key)


def test_scheduler_pid(queue: Queue, redis_connection: redis.Redis) -> None:
    assert queue.scheduler_pid is None
    redis_connection.sadd("rq:workers:default", "rq:worker:theirs", "rq:worker:ours", "rq:worker:gone")
    redis_connection.hset("rq:worker:theirs", mapping={"pid": 7, "birth": "x"})
    assert queue.scheduler_pid is None, "RQ's workers move nothing"
    redis_connection.hset("rq:worker:ours", mapping={"pid": 8, "incarnation": "i"})
    assert queue.scheduler_pid == 8
    redis_connection.set("rq:scheduler-lock:default", "s")
    redis_connection.hset("rq:scheduler:s", mapping={"pid": 9})
    assert queue.scheduler_pid == 9
    redis_connection.delete("rq:workers:default", "rq:worker:theirs", "rq:worker:ours")


def test_what_it_knows_of_itself(queue: Queue) -> None:
    assert isinstance(queue.intermediate_queue, IntermediateQueue)
    assert queue.intermediate_queue.key == queue.intermediate_queue_key == "rq:queue:default:intermediate"
    assert queue.get_redis_server_version() >= (6, 2, 0)
