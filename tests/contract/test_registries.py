"""Registries: reading shows what is there and changes nothing but what is over its time; requeue is one step."""

from __future__ import annotations

import operator
import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.both import Api, ask, both, contains
from tests.contract.driving import claimed, fail, finish, settled

from atomiq import Callback, Job, Queue, registry
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidJobOperation, NoSuchJobError

LONG_AGO_MS = 1_600_000_000_000


@both
async def test_each_status_is_listed_and_counted_in_its_registry(api: Api) -> None:
    queue = api.queue()
    for outcome in ("finished", "failed", "running"):
        await ask(queue.enqueue, operator.add, 1, 2, job_id=outcome)
    finish(api.store, 3)
    fail(api.store)
    claimed(api.store)
    await ask(queue.enqueue, operator.add, 1, 2, job_id="deferred", depends_on="running")
    await ask(queue.enqueue_in, timedelta(hours=1), operator.add, 1, 2, job_id="scheduled")
    doomed = await ask(queue.enqueue, operator.add, 1, 2, job_id="canceled")
    await ask(doomed.cancel)
    places = {
        "finished": queue.finished_job_registry,
        "failed": queue.failed_job_registry,
        "running": queue.started_job_registry,
        "deferred": queue.deferred_job_registry,
        "scheduled": queue.scheduled_job_registry,
        "canceled": queue.canceled_job_registry,
    }
    for job_id, place in places.items():
        assert await ask(place.get_job_ids) == [job_id]
        assert await ask(place.count) == 1
        assert await ask(place.get_job_count, cleanup=False) == 1
        assert await contains(place, job_id)
        assert await contains(place, await ask(api.Job.fetch, job_id, connection=api.connection))
        assert not await contains(place, "another")
        assert place.name == "default"
        assert place.key == place.key_template.format("default")


@both
async def test_ids_come_by_rank(api: Api) -> None:
    queue = api.queue()
    for number in range(5):
        await ask(queue.enqueue_in, timedelta(hours=number + 1), operator.add, 1, 2, job_id=f"j{number}")
    place = queue.scheduled_job_registry
    assert await ask(place.get_job_ids, 1, 2) == ["j1", "j2"]
    assert await ask(place.get_job_ids, 0, -3) == ["j0", "j1", "j2"]
    assert await ask(place.get_job_ids, desc=True) == ["j4", "j3", "j2", "j1", "j0"]


@both
async def test_a_member_over_its_time_is_not_shown_and_goes_with_its_job(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="old")
    finish(api.store, 3, now_ms=LONG_AGO_MS)
    await ask(queue.enqueue, operator.add, 1, 2, job_id="new")
    finish(api.store, 3)
    place = queue.finished_job_registry
    assert await ask(place.get_job_ids, cleanup=False) == ["old", "new"]
    assert await ask(place.get_expired_job_ids) == ["old"]
    assert await ask(place.count) == 1
    assert await ask(place.get_job_ids) == ["new"]
    assert not api.redis.exists("rq:job:old", "rq:results:old")


@both
async def test_reading_never_abandons_a_job(api: Api) -> None:
    """RQ fails a job whose lease is over when somebody counts; here only a worker, or cleanup(), deals with it."""
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="slow")
    claimed(api.store, lease_ms=1000, now_ms=LONG_AGO_MS)
    place = queue.started_job_registry
    assert await ask(place.count) == 1
    assert await ask(place.get_job_ids) == ["slow"]
    assert await ask(place.get_expired_job_ids) == ["slow"]
    job = await ask(api.Job.fetch, "slow", connection=api.connection)
    assert await ask(job.is_started)
    assert [pair[0] for pair in await ask(place.get_job_and_execution_ids)] == ["slow"]


@both
async def test_requeue_is_one_step_and_gives_the_job(api: Api) -> None:
    queue = api.queue()
    for job_id in ("one", "two"):
        await ask(queue.enqueue, operator.add, 1, 2, job_id=job_id)
        fail(api.store)
    place = queue.failed_job_registry
    before = api.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    job = await ask(place.requeue, "one")
    assert api.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0) - before <= 1
    assert job.id == "one"
    assert await ask(job.get_status, refresh=False) == "queued"
    assert job.started_at is None
    assert job.ended_at is None
    two = await ask(api.Job.fetch, "two", connection=api.connection)
    assert await ask(place.requeue, two, at_front=True) is two
    assert await ask(queue.get_job_ids) == ["two", "one"]
    assert await ask(place.count) == 0


@both
async def test_requeue_of_what_is_not_there_is_refused(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="waits")
    with pytest.raises(InvalidJobOperation, match="is not in rq:failed:default"):
        await ask(queue.failed_job_registry.requeue, "waits")
    finish(api.store)
    with pytest.raises(InvalidJobOperation, match="it is finished"):
        await ask(queue.failed_job_registry.requeue, "waits")
    with pytest.raises(NoSuchJobError):
        await ask(queue.failed_job_registry.requeue, "nobody")
    assert await ask(queue.get_job_ids) == []
    assert await ask(queue.finished_job_registry.get_job_ids) == ["waits"]


@both
async def test_requeue_from_any_registry(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="done")
    finish(api.store)
    await ask(queue.finished_job_registry.requeue, "done")
    assert await ask(queue.get_job_ids) == ["done"]
    await ask((await ask(queue.fetch_job, "done")).cancel)
    await ask(queue.canceled_job_registry.requeue, "done")
    assert await ask(queue.get_job_ids) == ["done"]
    assert await ask(queue.canceled_job_registry.count) == 0


@both
async def test_times(api: Api) -> None:
    queue = api.queue()
    due = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
    await ask(queue.enqueue_at, due, operator.add, 1, 2, job_id="later")
    assert await ask(queue.scheduled_job_registry.get_scheduled_time, "later") == due
    assert await ask(queue.scheduled_job_registry.get_jobs_to_schedule) == []
    assert await ask(queue.scheduled_job_registry.get_jobs_to_enqueue, due.timestamp() + 1) == ["later"]
    await ask(queue.enqueue, operator.add, 1, 2, job_id="done")
    finish(api.store, result_ttl=100)
    expires = await ask(queue.finished_job_registry.get_expiration_time, "done")
    assert timedelta(seconds=90) < expires - datetime.now(UTC) <= timedelta(seconds=101)
    await ask(queue.enqueue, operator.add, 1, 2, job_id="kept")
    finish(api.store, result_ttl=-1)
    assert (await ask(queue.finished_job_registry.get_expiration_time, "kept")).year == 9999
    with pytest.raises(NoSuchJobError):
        await ask(queue.finished_job_registry.get_expiration_time, "nobody")


@both
async def test_a_scheduled_job_can_be_given_another_time(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue_in, timedelta(hours=1), operator.add, 1, 2)
    due = datetime(2041, 1, 1, tzinfo=UTC)
    await ask(queue.scheduled_job_registry.schedule, job, due)
    assert await ask(queue.scheduled_job_registry.get_scheduled_time, job) == due
    assert await ask(job.get_status) == "scheduled"
    assert await ask(queue.scheduled_job_registry.count) == 1


@both
async def test_remove_with_delete_job_leaves_nothing(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="bad")
    fail(api.store)
    await ask(queue.failed_job_registry.remove, "bad", delete_job=True)
    assert [key for key in api.redis.scan_iter() if b"bad" in key] == []
    assert await ask(queue.failed_job_registry.count) == 0


@both
async def test_a_deferred_job_whose_hash_expired_disappears_as_it_is_read(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="parent")
    await ask(queue.enqueue, operator.add, 1, 2, job_id="child", depends_on="parent")
    api.redis.delete("rq:job:child")
    assert await ask(queue.deferred_job_registry.get_job_ids) == []
    assert await ask(queue.deferred_job_registry.count) == 0


@both
async def test_ids_of_very_many_whose_time_is_over_are_not_shown(api: Api) -> None:
    """Only the first thousand were left out: the others were listed, though not counted, and their jobs were gone."""
    place = api.queue().finished_job_registry
    api.redis.zadd(place.key, {f"old{number}": time.time() - 10 for number in range(2500)})
    api.redis.zadd(place.key, {"new": time.time() + 500})
    api.redis.hset("rq:job:new", mapping={"status": "finished", "data": "d", "origin": "default"})
    assert await ask(place.get_job_ids) == ["new"]
    assert await ask(place.count) == 1


@both
async def test_cleanup_forgets_what_was_over_at_a_time(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2, job_id="done")
    finish(api.store, result_ttl=1000)
    await ask(queue.finished_job_registry.cleanup, time.time() + 500)
    assert await ask(queue.finished_job_registry.count) == 1
    await ask(queue.finished_job_registry.cleanup, time.time() + 1500)
    assert await ask(queue.finished_job_registry.count) == 0


@both
async def test_registries_of_the_same_queue_are_equal(api: Api) -> None:
    assert api.FailedJobRegistry("a", connection=api.connection) == api.queue("a").failed_job_registry
    assert api.FailedJobRegistry("a", connection=api.connection) != api.FailedJobRegistry(
        "b", connection=api.connection
    )
    assert api.FailedJobRegistry("a", connection=api.connection) != api.FinishedJobRegistry(
        "a", connection=api.connection
    )
    assert api.FailedJobRegistry(queue=api.queue("a")).get_queue() == api.queue("a")
    with pytest.raises(TypeError):
        api.FailedJobRegistry("a")


REPORTED: list[tuple[str, str]] = []


def report(job: Job, connection: object, kind: type[BaseException], value: object, trace: object) -> None:
    REPORTED.append((job.id, kind.__name__))


def test_cleanup_of_started_jobs_runs_them_again_then_fails_them(store: Store) -> None:
    """Explicit upkeep: an abandoned job runs again three times, then fails; callback and handlers are called, once."""
    REPORTED.clear()
    queue = Queue(connection=store.connection)
    job = queue.enqueue(operator.add, 1, 2, job_id="poison", on_failure=Callback(report))
    handled = []
    for expected in ("queued", "queued", "queued", "failed"):
        claimed(store, lease_ms=1, now_ms=LONG_AGO_MS)
        registry.clean_registries(queue, exception_handlers=lambda job, *_: handled.append(job.id))
        assert job.get_status() == expected
    assert "PoisonJobError" in job.latest_result().exc_string
    assert REPORTED == [("poison", "AbandonedJobError")]
    assert handled == ["poison"]


def raise_something(*_: object) -> None:
    raise RuntimeError("a callback of the user's")


def test_a_raising_callback_does_not_stop_upkeep(store: Store) -> None:
    queue = Queue(connection=store.connection, abandoned="fail")
    jobs = [queue.enqueue(operator.add, 1, 2, on_failure=Callback(raise_something)) for _ in range(2)]
    for _ in jobs:
        claimed(store, lease_ms=1, now_ms=LONG_AGO_MS)
    registry.clean_registries(queue)
    assert [job.get_status() for job in jobs] == ["failed", "failed"]


def test_a_stopped_job_is_listed_as_failed(store: Store) -> None:
    queue = Queue(connection=store.connection)
    job = queue.enqueue(operator.add, 1, 2)
    settled(store, claimed(store), "stopped", exc_string="Job stopped by user")
    assert job.id in queue.failed_job_registry
    assert job.is_stopped


@both
async def test_who_reads_a_registry_heals_that_one(api: Api) -> None:
    """Each count went through a page of all four: 810 commands, as often as a dashboard asks for one of them. And the
    first ids of one came when all that had outlived its time was gone from the others too, 80,000 entries in 6 s."""
    queue, connection = api.queue(), api.redis
    registries = [
        queue.finished_job_registry,
        queue.failed_job_registry,
        queue.deferred_job_registry,
        queue.canceled_job_registry,
    ]
    for place in registries:
        fields = {"data": b"x", "status": place.stands_for, "origin": queue.name}
        for number in range(250):
            connection.hset(f"rq:job:{place.stands_for}{number}", mapping=fields)
        connection.zadd(place.key, {f"{place.stands_for}{number}": 1e10 + number for number in range(250)})
        connection.zadd(place.key, {f"no-{place.stands_for}{number}": 10 + number for number in range(2)})
    for place in registries:
        others = {other.key: connection.zcard(other.key) for other in registries if other is not place}
        connection.config_resetstat()
        assert await ask(place.get_job_count) == 250
        assert connection.info("commandstats")["cmdstat_hmget"]["calls"] <= 202
        assert {key: connection.zcard(key) for key in others} == others
