"""Queue: making one, and enqueueing one call."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from tests.contract import jobs
from tests.contract.jobs import add, say, take, work

from atomiq import Callback, Job, JobStatus, Queue, Repeat, Retry
from atomiq._wire.sync import Store
from atomiq.exceptions import DuplicateJobError, InvalidOption, JobIsRunning
from atomiq.queue import EnqueueArgs


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


def commands_sent(connection: redis.Redis) -> int:
    return int(connection.info("stats")["total_commands_processed"])


def calls(connection: redis.Redis) -> int:
    """Commands that clients sent, without those that scripts make."""
    stats = connection.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


# -- the queue itself --------------------------------------------------------------------------------------------------


def test_names_and_comparison(redis_connection: redis.Redis) -> None:
    one, other = Queue("a", redis_connection), Queue("b", redis_connection)
    assert one == Queue("a", redis_connection)
    assert one != other
    assert one < other
    assert sorted([other, one]) == [one, other]
    assert len({one, Queue("a", redis_connection)}) == 1
    assert bool(one)
    assert list(one) == [one]
    assert (repr(one), str(one)) == ("Queue('a')", "<Queue a>")
    assert one.key == "rq:queue:a"
    assert one.intermediate_queue_key == "rq:queue:a:intermediate"
    with pytest.raises(TypeError):
        assert one == "a"
    with pytest.raises(TypeError):
        assert one < "b"  # type: ignore[operator]


def test_construction(redis_connection: redis.Redis) -> None:
    with pytest.raises(TypeError, match="connection"):
        Queue("a")
    assert Queue("a", redis_connection, default_timeout="1h").create_job(add, (1,)).timeout == 3600
    assert Queue("a", redis_connection, default_timeout=0).create_job(add, (1,)).timeout == 180
    assert Queue("a", redis_connection, job_class="atomiq.job.Job").job_class is Job
    with pytest.warns(DeprecationWarning, match="is_async"):
        assert not Queue("a", redis_connection, **{"async": False}).is_async
    with pytest.raises(InvalidOption, match="default_timeout"):
        Queue("a", redis_connection, default_timout=5)
    Queue("a", redis_connection, whatever=5)


def test_constructing_sends_nothing(redis_connection: redis.Redis) -> None:
    before = commands_sent(redis_connection)
    Queue("a", redis_connection)
    assert commands_sent(redis_connection) == before + 1, "the question itself"


def test_all_queues(redis_connection: redis.Redis, queue: Queue) -> None:
    queue.enqueue(add, 1)
    Queue("b", redis_connection).enqueue(add, 1)
    assert Queue.all(redis_connection) == [Queue("b", redis_connection), queue]
    assert Queue.from_queue_key("rq:queue:b", redis_connection).name == "b"
    with pytest.raises(ValueError, match="queue key"):
        Queue.from_queue_key("b", redis_connection)


# -- enqueue -----------------------------------------------------------------------------------------------------------


def test_enqueue(queue: Queue, redis_connection: redis.Redis) -> None:
    before = datetime.now(UTC)
    job = queue.enqueue(add, 1, b=2)
    assert isinstance(job, Job)
    assert job.get_status(refresh=False) is JobStatus.QUEUED
    assert job.get_status() is JobStatus.QUEUED
    assert job.enqueued_at is not None
    assert abs(job.enqueued_at - before) < timedelta(seconds=5)
    assert queue.job_ids == [job.id]
    stored = Job.fetch(job.id, redis_connection)
    assert (stored.func_name, stored.args, stored.kwargs) == ("tests.contract.jobs.add", (1,), {"b": 2})
    assert (stored.origin, stored.timeout, stored.description) == ("default", 180, "tests.contract.jobs.add(1, b=2)")
    assert redis_connection.ttl(job.key) == -1


def test_one_round_trip(queue: Queue, redis_connection: redis.Redis) -> None:
    queue.enqueue(add, 1)
    before = calls(redis_connection)
    for _ in range(10):
        queue.enqueue(add, 1, depends_on="nobody", meta={"a": 1}, retry=Retry(3), ttl=5)
    assert calls(redis_connection) == before + 10


def test_every_option(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(
        add, 1, job_timeout="1h", result_ttl=60, ttl=100, failure_ttl=70, description="d", job_id="all", meta={"a": 1},
        retry=Retry(3, [1, 2], enqueue_at_front=True), repeat=Repeat(2, [5, 6]),
        on_success=Callback(jobs.on_success), on_failure=Callback(jobs.on_failure, timeout=10),
        on_stopped=Callback("tests.contract.jobs.on_success", "2m"),
    )  # fmt: skip
    stored = Job.fetch("all", redis_connection)
    for each in (job, stored):
        assert (each.timeout, each.result_ttl, each.ttl, each.failure_ttl) == (3600, 60, 100, 70)
        assert (each.description, each.meta) == ("d", {"a": 1})
        assert (each.retries_left, each.retry_intervals, each.enqueue_at_front_on_retry) == (3, [1, 2], True)
        assert (each.repeats_left, each.repeat_intervals) == (2, [5, 6])
        assert each.success_callback is jobs.on_success
        assert (each.success_callback_timeout, each.failure_callback_timeout, each.stopped_callback_timeout) == (
            60,
            10,
            120,
        )
    assert 0 < redis_connection.ttl(job.key) <= 100


def test_what_can_be_enqueued(queue: Queue, store: Store) -> None:
    counter = jobs.Counter(5)
    calls_and_results: list[tuple[Any, tuple[Any, ...], Any]] = [
        (add, (1, 2), 3), ("tests.contract.jobs.add", (1, 2), 3), (len, ([1],), 1), (counter.plus, (2,), 7),
        (jobs.Counter.zero, (), 0), (counter, (), 5), (jobs.add_async, (1, 2), 3), ("abc".upper, (), "ABC"),
    ]  # fmt: skip
    for func, args, expected in calls_and_results:
        job = queue.enqueue(func, *args)
        work(store)
        assert job.return_value() == expected


def test_explicit_args(queue: Queue) -> None:
    job = queue.enqueue(say, args=("hi",), kwargs={"loud": True}, job_timeout=5)
    assert (job.args, job.kwargs, job.timeout) == (("hi",), {"loud": True}, 5)


def test_at_front(queue: Queue) -> None:
    first, second = queue.enqueue(add, 1), queue.enqueue(add, 2, at_front=True)
    assert queue.job_ids == [second.id, first.id]
    assert queue.get_job_position(first) == 1
    assert queue.get_job_position(second.id) == 0
    assert queue.get_job_position("nobody") is None


def test_unique(queue: Queue) -> None:
    queue.enqueue(add, 1, job_id="one", unique=True)
    with pytest.raises(DuplicateJobError):
        queue.enqueue(add, 2, job_id="one", unique=True)
    with pytest.raises(DuplicateJobError):
        queue.enqueue_in(timedelta(1), add, 2, job_id="one", unique=True)
    assert queue.job_ids == ["one"]
    assert Job.fetch("one", queue.connection).args == (1,)


def test_an_id_again_without_unique_replaces_the_job(queue: Queue) -> None:
    queue.enqueue(add, 1, job_id="one", meta={"a": 1})
    queue.enqueue(add, 2, job_id="one")
    assert queue.job_ids == ["one"]
    assert Job.fetch("one", queue.connection).args == (2,)
    assert Job.fetch("one", queue.connection).meta == {}


def test_the_id_of_a_running_job_can_not_be_enqueued(queue: Queue, store: Store) -> None:
    job = queue.enqueue(add, 1)
    take(store)
    with pytest.raises(JobIsRunning):
        queue.enqueue(add, 2, job_id=job.id)
    assert job.get_status() is JobStatus.STARTED
    assert queue.job_ids == []


def test_enqueue_call(queue: Queue) -> None:
    job = queue.enqueue_call(say, args=["hi"], kwargs={"loud": True}, timeout="1m", result_ttl=5, at_front=True)
    assert (job.args, job.kwargs, job.timeout, job.result_ttl) == (("hi",), {"loud": True}, 60, 5)


def test_parse_args(queue: Queue) -> None:
    parsed = Queue.parse_args(add, 1, b=2, job_timeout=5)
    assert isinstance(parsed, EnqueueArgs)
    assert (parsed.args, parsed.kwargs, parsed.timeout) == ((1,), {"b": 2}, 5)


def test_json_serializer(redis_connection: redis.Redis) -> None:
    queue = Queue("j", redis_connection, serializer="json")
    job = queue.enqueue(add, 1, b=2, meta={"a": [1]})
    stored = queue.fetch_job(job.id)
    assert stored is not None
    assert (stored.args, stored.kwargs, stored.meta) == ([1], {"b": 2}, {"a": [1]})


def test_abandoned_policy(redis_connection: redis.Redis) -> None:
    assert Queue("a", redis_connection).enqueue(add, 1).on_abandoned is None
    queue = Queue("a", redis_connection, abandoned="fail")
    assert Job.fetch(queue.enqueue(add, 1).id, redis_connection).on_abandoned == "fail"
    assert queue.create_job(add, (1,), abandoned="retry").on_abandoned == "retry"


def test_a_big_call_is_stored_compressed_and_read_back(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(say, "x" * 100_000)
    assert len(redis_connection.hget(job.key, "data")) < 2000  # type: ignore[arg-type]
    assert Job.fetch(job.id, redis_connection).args == ("x" * 100_000,)


# -- later -------------------------------------------------------------------------------------------------------------


def test_enqueue_in_and_at(queue: Queue, redis_connection: redis.Redis) -> None:
    later = queue.enqueue_in(timedelta(hours=1), add, 1, at_front=True)
    at = queue.enqueue_at(datetime(2030, 1, 1, tzinfo=UTC), add, 1)
    assert later.get_status() is at.get_status() is JobStatus.SCHEDULED
    assert queue.count == 0
    assert redis_connection.zscore("rq:scheduled:default", at.id) == 1893456000
    due = redis_connection.zscore("rq:scheduled:default", later.id)
    assert due is not None
    assert abs(due - time.time() - 3600) < 5
    assert later.enqueued_at is None
    assert later.enqueue_at_front is True


def test_a_due_time_that_has_passed_is_now(queue: Queue, store: Store) -> None:
    job = queue.enqueue_in(timedelta(seconds=-5), add, 1)
    work(store)
    assert job.return_value() == 1


def test_schedule_job(queue: Queue) -> None:
    job = queue.create_job(add, (1,))
    queue.schedule_job(job, datetime(2030, 1, 1, tzinfo=UTC))
    assert job.get_status() is JobStatus.SCHEDULED
    with pytest.raises(DuplicateJobError):
        queue.schedule_job(job, datetime(2030, 1, 1, tzinfo=UTC), unique=True)


def test_enqueue_job_moves_a_job_from_wherever_it_is(queue: Queue, redis_connection: redis.Redis, store: Store) -> None:
    job = queue.enqueue(add, 1)
    work(store)
    assert job.get_status() is JobStatus.FINISHED
    other = Queue("other", redis_connection)
    other.enqueue_job(Job.fetch(job.id, redis_connection))
    assert job.get_status() is JobStatus.QUEUED
    assert other.job_ids == [job.id]
    assert redis_connection.zcard("rq:finished:default") == 0


def test_enqueue_job_of_a_created_one(queue: Queue, redis_connection: redis.Redis) -> None:
    job = Job.create(add, (1,), connection=redis_connection)
    assert queue.enqueue_job(job) is job
    assert (job.origin, job.timeout, job.get_status()) == ("default", 180, JobStatus.QUEUED)
