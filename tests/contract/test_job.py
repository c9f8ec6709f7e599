"""Job: making, storing, reading."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import redis
from tests.contract.both import Api, ask, both
from tests.contract.jobs import add, take, work

from atomiq import Job, JobStatus, Queue, Retry
from atomiq._wire.sync import Store
from atomiq.exceptions import DeserializationError, InvalidJobOperation, NoSuchJobError
from atomiq.job import parse_job_id, validate_job_id


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


# -- making and storing ------------------------------------------------------------------------------------------------


def test_create_stores_nothing(redis_connection: redis.Redis) -> None:
    job = Job.create(add, (1,), {"b": 2}, connection=redis_connection, timeout="1h", meta={"a": 1}, id="mine")
    assert (job.id, job.args, job.kwargs, job.timeout, job.meta) == ("mine", (1,), {"b": 2}, 3600, {"a": 1})
    assert job.get_status(refresh=False) is JobStatus.CREATED
    assert job.func is add
    assert job.get_call_string() == "tests.contract.jobs.add(1, b=2)"
    assert redis_connection.keys("*") == []


def test_ids(redis_connection: redis.Redis) -> None:
    job = Job(connection=redis_connection)
    assert job.id == job.id
    job.id = "other"
    assert job == Job("other", redis_connection)
    assert hash(job) == hash(Job("other", redis_connection))
    assert job != "other"
    assert job.key == "rq:job:other"
    assert job.dependents_key == "rq:job:other:dependents"
    assert job.dependencies_key == "rq:job::other:dependencies"
    assert Job.key_for("x") == "rq:job:x"
    with pytest.raises(ValueError):
        job.id = "a b"
    with pytest.raises(TypeError, match="connection"):
        Job("x")
    assert parse_job_id("a:b") == "a"
    validate_job_id("a")


def test_save_and_fetch(redis_connection: redis.Redis) -> None:
    job = Job.create(add, (1,), connection=redis_connection, origin="default")
    job.save()
    stored = Job.fetch(job.id, redis_connection)
    assert stored.get_status() is JobStatus.CREATED
    assert stored.created_at == job.created_at
    assert stored.data == job.data
    assert Job.exists(job.id, redis_connection)


def test_a_look_at_a_job_before_it_is_stored(redis_connection: redis.Redis) -> None:
    """What isn't there says nothing about the job: it can still be saved, and is what it was (as in RQ)."""
    job = Job.create(add, (1,), connection=redis_connection, origin="default")
    with pytest.raises(InvalidJobOperation):
        job.get_status()
    assert job.get_meta() == {}
    assert job.get_status(refresh=False) is JobStatus.CREATED
    job.save()
    assert Job.fetch(job.id, redis_connection).get_status() is JobStatus.CREATED


def test_reading_meta_is_not_reading_the_job(queue: Queue, redis_connection: redis.Redis) -> None:
    """`save` after it wrote all fields of a job that this process had enqueued: a used up retry was there again."""
    job = queue.enqueue(add, 1, retry=Retry(3), meta={"a": 1})
    redis_connection.hset(job.key, "retries_left", 1)
    assert job.get_meta() == {"a": 1}
    job.description = "new"
    job.save()
    stored = Job.fetch(job.id, redis_connection)
    assert (stored.description, stored.retries_left, stored.meta) == ("new", 1, {"a": 1})


def test_as_text(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1, job_id="j")
    fetched = Job.fetch("j", redis_connection)
    assert repr(fetched) == repr(job) == f"Job('j', enqueued_at={job.enqueued_at!r})"
    assert str(fetched) == "<Job j: tests.contract.jobs.add(1)>"
    redis_connection.hset("rq:job:j", "enqueued_at", "rubbish")
    assert repr(Job.fetch("j", redis_connection)) == "Job('j', enqueued_at=None)"


@both
async def test_saving_what_was_before_again(api: Api) -> None:
    """`save` compared with what was first read: what it had written itself since, or `save_meta`, or a pipeline, could
    not be taken back."""
    queue = api.queue()
    enqueued = await ask(queue.enqueue, add, 1, description="first", meta={"a": 1})
    fetched = await ask(api.Job.fetch, enqueued.id, connection=api.connection)
    made = api.Job.create(add, (1,), connection=api.connection, description="first", meta={"a": 1})
    await ask(made.save)
    for job in (enqueued, fetched, made):
        pipeline = api.connection.pipeline()
        job.meta["b"] = 2
        for given in ({}, {"pipeline": pipeline}):
            job.description = "second"
            await ask(job.save, **given)
            await ask(pipeline.execute)
            job.description = "first"
            await ask(job.save)
            assert api.redis.hget(job.key, "description") == b"first"
        del job.meta["b"]
        await ask(job.save)
        job.meta["b"] = 2
        await ask(job.save_meta)
        del job.meta["b"]
        await ask(job.save)
        assert await ask(job.get_meta) == {"a": 1}


@both
async def test_a_save_that_was_put_into_a_pipeline_and_never_sent(api: Api) -> None:
    job = await ask(api.queue().enqueue, add, 1)
    job.description = "new"
    await ask(job.save, pipeline=api.connection.pipeline())
    await ask(job.save)
    assert api.redis.hget(job.key, "description") == b"new"


def test_save_never_touches_the_state_or_what_others_wrote(queue: Queue, store: Store) -> None:
    job = queue.enqueue(add, 1)
    stale = Job.fetch(job.id, queue.connection)
    take(store)
    for each in (job, stale):
        each.description = f"changed {each is stale}"
        each.save()
    fresh = Job.fetch(job.id, queue.connection)
    assert fresh.get_status() is JobStatus.STARTED
    assert (fresh.worker_name, fresh.description) == ("tester", "changed True")
    assert fresh.started_at is not None


def test_saving_a_deleted_job_brings_nothing_back(queue: Queue) -> None:
    job = queue.enqueue(add, 1)
    Job.fetch(job.id, queue.connection).delete()
    job.description = "x"
    with pytest.raises(NoSuchJobError):
        job.save()
    with pytest.raises(NoSuchJobError):
        job.save_meta()
    assert not Job.exists(job.id, queue.connection)


def test_the_call_and_its_data(redis_connection: redis.Redis) -> None:
    job = Job("x", redis_connection)
    with pytest.raises(ValueError, match="Cannot build the job data"):
        job.data  # noqa: B018
    job.func_name = "tests.contract.jobs.add"
    job.args = (1,)
    job.kwargs = {"b": 2}
    other = Job("y", redis_connection)
    other.data = job.data
    assert (other.func_name, other.instance, other.args, other.kwargs) == (
        "tests.contract.jobs.add",
        None,
        (1,),
        {"b": 2},
    )
    assert other.perform() == 3
    other.args = (5,)
    assert other.perform() == 7


def test_to_dict_and_restore(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1, meta={"a": 1}, retry=Retry(2))
    fields = job.to_dict()
    assert fields["status"] == "queued"
    assert "meta" not in job.to_dict(include_meta=False)
    other = Job(job.id, redis_connection)
    other.restore(fields)
    assert (other.args, other.meta, other.retries_left) == ((1,), {"a": 1}, 2)


def test_fetch_many(queue: Queue, redis_connection: redis.Redis) -> None:
    first, second = queue.enqueue(add, 1), queue.enqueue(add, 2)
    redis_connection.hset("rq:job:broken", "status", "queued")
    found = Job.fetch_many([second.id, "nobody", f"{first.id}:x", "broken"], connection=redis_connection)
    assert found == [second, None, first, None]
    assert Job.fetch_many([], connection=redis_connection) == []


def test_what_can_not_be_fetched(redis_connection: redis.Redis) -> None:
    with pytest.raises(NoSuchJobError, match="rq:job:nobody"):
        Job.fetch("nobody", redis_connection)
    redis_connection.hset("rq:job:broken", "status", "queued")
    with pytest.raises(NoSuchJobError, match="Unexpected job format"):
        Job.fetch("broken", redis_connection)
    with pytest.raises(ValueError):
        Job.fetch("a b", redis_connection)


def test_a_job_that_can_not_be_loaded_can_still_be_handled(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    redis_connection.hset(job.key, mapping={"data": b"rubbish", "timeout": "soon"})
    stored = Job.fetch(job.id, redis_connection)
    for name in ("func_name", "args", "kwargs", "instance", "timeout"):
        with pytest.raises(DeserializationError):
            getattr(stored, name)
    stored.cancel()
    stored.delete()


def test_an_unknown_status(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    redis_connection.hset(job.key, "status", "rate_limited")
    with pytest.raises(InvalidJobOperation, match="rate_limited"):
        Job.fetch(job.id, redis_connection).get_status()


def test_refresh(queue: Queue, store: Store) -> None:
    job = queue.enqueue(add, 1)
    work(store)
    assert job.started_at is None
    job.refresh()
    assert job.started_at is not None
    assert job.ended_at is not None
    job.delete()
    with pytest.raises(NoSuchJobError):
        job.refresh()


# -- status and meta ---------------------------------------------------------------------------------------------------


def test_status_properties(queue: Queue, store: Store) -> None:
    job = queue.enqueue(add, 1)
    child = queue.enqueue(add, 1, depends_on=job)
    later = queue.enqueue_at(datetime(2030, 1, 1, tzinfo=UTC), add, 1)
    assert job.is_queued
    assert child.is_deferred
    assert later.is_scheduled
    _, claimed = take(store)
    assert job.is_started
    assert claimed.job_id == job.id
    later.cancel()
    assert later.is_canceled
    assert not any((later.is_finished, later.is_failed, later.is_stopped))


def test_the_status_of_a_job_that_is_gone(queue: Queue) -> None:
    job = queue.enqueue(add, 1)
    job.delete()
    with pytest.raises(InvalidJobOperation):
        job.get_status()


def test_meta(queue: Queue, redis_connection: redis.Redis) -> None:
    job = queue.enqueue(add, 1)
    job.meta["a"] = 1
    job.save_meta()
    other = Job.fetch(job.id, redis_connection)
    assert other.meta == {"a": 1}
    other.meta["b"] = 2
    other.save_meta()
    assert job.meta == {"a": 1}
    assert job.get_meta(refresh=False) == {"a": 1}
    assert job.get_meta() == {"a": 1, "b": 2}


def test_position(queue: Queue) -> None:
    first, second = queue.enqueue(add, 1), queue.enqueue(add, 1)
    assert (first.get_position(), second.get_position()) == (0, 1)
    first.cancel()
    assert (first.get_position(), second.get_position()) == (None, 0)
