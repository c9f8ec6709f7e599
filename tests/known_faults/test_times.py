"""F1 to F3: times that RQ gets wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
import redis
from tests import tasks
from tests.contract.driving import fail, finish

from atomiq import Queue, Repeat, Retry
from atomiq._commands.claim import claim
from atomiq._core.ids import new_execution_id
from atomiq._wire.sync import Store
from atomiq.exceptions import DuplicateJobError
from atomiq.job import Job


@pytest.fixture
def new_york() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize(
    ("local", "due"), [("2030-01-01T12:00", "2030-01-01T17:00Z"), ("2030-07-01T12:00", "2030-07-01T16:00Z")]
)
def test_f1_local_times_in_winter_and_summer(
    redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], new_york: None, local: str, due: str
) -> None:
    """RQ: summer time counts all the year."""
    job = queue.enqueue_at(datetime.fromisoformat(local), tasks.nothing)
    assert queue.scheduled_job_registry.get_scheduled_time(job) == datetime.fromisoformat(due)


def test_f1_a_repeat_is_never_due_in_the_past(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], new_york: None
) -> None:
    job = queue.enqueue(tasks.nothing, repeat=Repeat(1, interval=600))
    finish(store)
    due = queue.scheduled_job_registry.get_scheduled_time(job)
    assert timedelta(seconds=590) < due - datetime.now(UTC) < timedelta(seconds=610)


class SlowClock(datetime):
    """Of a machine that is three hours behind."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) - timedelta(hours=3)


@pytest.fixture
def three_hours_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("atomiq.queue.queue", "atomiq.scripts"):
        monkeypatch.setattr(f"{name}.datetime", SlowClock)


def takes(store: Store) -> list[str]:
    """What a worker would take now."""
    command = claim(store.keys, queues=["default"], worker="w", executions=[new_execution_id()], lease_ms=30_000)
    return [job.job_id for job in store.run(command).jobs]


def test_a_delay_is_right_whatever_time_it_is_here(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], three_hours_behind: None
) -> None:
    """A producer whose clock was three hours behind the server's, in a virtual machine that had been asleep, enqueued
    for in an hour, and the job ran at once: its due time was told by the clock there, and looked at by the server's."""
    job = queue.enqueue_in(timedelta(hours=1), tasks.nothing)
    assert takes(store) == []
    due = queue.scheduled_job_registry.get_scheduled_time(job)
    assert timedelta(minutes=59) < due - datetime.now(UTC) < timedelta(minutes=61)


def test_a_synchronous_job_is_out_of_reach_whatever_time_it_is_here(
    store: Store, redis_connection: redis.Redis, queue: Queue, three_hours_behind: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`is_async=False` keeps its job from the workers for an hour, of the clock here: behind the server's by more, some
    of the jobs ran in a worker, and `enqueue` raised JobIsRunning."""
    seen: list[list[str]] = []
    here = Queue(connection=redis_connection, is_async=False)
    run_sync = here.run_sync

    def meanwhile(job: Job) -> Job:
        seen.append(takes(store))
        return run_sync(job)

    monkeypatch.setattr(here, "run_sync", meanwhile)
    assert here.enqueue(tasks.nothing).get_status() == "finished"
    assert seen == [[]]


@pytest.mark.parametrize("kind", ["retry", "repeat"])
def test_f2_intervals_are_used_in_order(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], kind: str
) -> None:
    """RQ: those of Repeat from the end, those of Retry aligned to the end. The last one counts on."""
    intervals = [1000, 2000]
    options = {"retry": Retry(3, intervals)} if kind == "retry" else {"repeat": Repeat(3, intervals)}
    job = queue.enqueue(tasks.nothing, **options)
    waits = []
    for _ in range(3):
        before = datetime.now(UTC)
        if kind == "retry":
            fail(store, retry="auto")
        else:
            finish(store)
        waits.append(round((queue.scheduled_job_registry.get_scheduled_time(job) - before).total_seconds() / 1000))
        redis_connection.zadd("rq:scheduled:default", {job.id: 1})  # time passes
    assert waits == [1, 2, 2]


def test_f3_fractions_of_a_second_count(redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]) -> None:
    """RQ: due times are cut to whole seconds, so jobs come early."""
    job = queue.enqueue_at(datetime(2030, 1, 1, 12, 0, 0, 700_000, tzinfo=UTC), tasks.nothing)
    assert redis_connection.zscore("rq:scheduled:default", job.id) == pytest.approx(1893499200.7)


def test_f3_enqueue_at_heeds_depends_on_and_unique(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: both are ignored."""
    parent = queue.enqueue(tasks.nothing)
    child = queue.enqueue_in(timedelta(0), tasks.nothing, depends_on=parent, job_id="child")
    assert queue.job_ids == [parent.id]
    with pytest.raises(DuplicateJobError):
        queue.enqueue_in(timedelta(0), tasks.nothing, job_id="child", unique=True)
    finish(store)
    finish(store)
    assert Job.fetch(child.id, connection=redis_connection).get_status() == "finished"
