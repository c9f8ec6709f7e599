"""D1 to D8: situations in which RQ's workers or their maintenance stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from tests import tasks
from tests.contract.driving import claimed
from tests.helpers import wait_until

from atomiq import Callback, Queue, Retry, SimpleWorker
from atomiq._wire.sync import Store
from atomiq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command


@pytest.mark.parametrize("callback", [tasks.on_failure_boom, "tests.nowhere.callback"], ids=["raises", "is gone"])
def test_d1_an_abandoned_job_whose_failure_callback_is_broken(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None], callback: Any
) -> None:
    """RQ: every worker that comes by dies of it, and leaves the cleaning lock for 15 minutes."""
    job = queue.enqueue(tasks.nothing, on_failure=Callback(callback) if callable(callback) else None)
    if not callable(callback):
        redis_connection.hset(job.key, "failure_callback_name", callback)
    taken = claimed(store, lease_ms=1)
    behind = queue.enqueue(tasks.add, 1)
    wait_until(lambda: redis_connection.zcount("rq:wip:default", "-inf", redis_connection.time()[0] - 1), 10, "over")
    worker = SimpleWorker([queue], abandoned="fail", exception_handlers=[tasks.handler_raises], lease=1)
    worker.work(max_idle_time=3)  # a server this young makes workers wait for a lease: others may have been cut off
    assert behind.return_value() == 1
    assert job.get_status() == "failed"
    assert taken.job_id == job.id


def test_d2_a_stopped_callback_that_raises(
    redis_connection: redis.Redis,
    queue: Queue,
    start_worker: Callable[..., Any],
    sound: Callable[[], None],
    tmp_path: Path,
) -> None:
    """RQ: the worker is gone, and its job says started."""
    job = queue.enqueue(
        tasks.note_and_wait, str(tmp_path / "in"), str(tmp_path / "gate"), on_stopped=Callback(tasks.on_stopped_boom)
    )
    behind = queue.enqueue(tasks.add, 1)
    worker = start_worker()
    wait_until((tmp_path / "in").exists, 20, "the job runs")
    send_stop_job_command(redis_connection, job.id)
    wait_until(lambda: behind.is_finished and not job.is_started, 20, "it has ended and the next job has run")
    assert job.get_status() == "stopped"
    assert worker.process.poll() is None


@pytest.mark.parametrize("broken", ["no data", "unknown status"])
@pytest.mark.parametrize("place", ["queue", "schedule"])
def test_d3_a_hash_that_makes_no_sense(
    redis_connection: redis.Redis, queue: Queue, tmp_path: Path, broken: str, place: str
) -> None:
    """RQ: the scheduler dies, or worker after worker does, and all other jobs wait."""
    if place == "queue":
        odd = queue.enqueue(tasks.note, str(tmp_path / "odd"), at_front=True)
    else:
        odd = queue.enqueue_in(timedelta(0), tasks.note, str(tmp_path / "odd"))
    if broken == "no data":
        redis_connection.hdel(odd.key, "data")
    else:
        redis_connection.hset(odd.key, "status", "rate_limited")
    others = [queue.enqueue(tasks.add, 1), queue.enqueue_in(timedelta(0), tasks.add, 2)]
    SimpleWorker([queue]).work(burst=True)
    assert [job.return_value() for job in others] == [1, 2]
    assert not (tmp_path / "odd").exists()
    assert (queue.count, queue.scheduled_job_registry.count) == (0, 0)


def test_d4_a_retry_without_any_interval() -> None:
    """RQ: accepted; the worker dies of it."""
    with pytest.raises(ValueError, match="interval"):
        Retry(max=1, interval=[])


def test_d5_a_cleaning_lock_that_somebody_left(
    store: Store, redis_connection: redis.Redis, queue: Queue, sound: Callable[[], None]
) -> None:
    """RQ: nobody cleans for 15 minutes. Here nobody asks for it; abandoned work runs again."""
    redis_connection.set("rq:clean_registries:default", 1, ex=899)
    job = queue.enqueue(tasks.add, 5)
    claimed(store, lease_ms=1)
    wait_until(lambda: redis_connection.zcount("rq:wip:default", "-inf", redis_connection.time()[0] - 1), 10, "over")
    SimpleWorker([queue], lease=1).work(max_idle_time=3)
    assert job.return_value() == 5
    redis_connection.delete("rq:clean_registries:default")


@pytest.mark.parametrize("message", ["no json", "{}", '["a"]', '{"command": 7}', '{"command": "stop-job"}', "\udcff"])
def test_d6_a_message_that_makes_no_sense(
    redis_connection: redis.Redis, start_worker: Callable[..., Any], message: str
) -> None:
    """RQ: the listener dies, and the worker is deaf from then on."""
    worker = start_worker(executor="fork")
    channel = f"rq:pubsub:{worker.name}"
    wait_until(lambda: dict(redis_connection.pubsub_numsub(channel))[channel.encode()] == 1, 60, "it listens")
    redis_connection.publish(channel, message.encode("utf-8", "surrogateescape"))
    send_shutdown_command(redis_connection, worker.name)
    assert worker.exits(60) == 0


@pytest.mark.parametrize("executor", ["process", "fork"])
def test_d7_kills_and_stops_at_any_moment(
    redis_connection: redis.Redis,
    queue: Queue,
    start_worker: Callable[..., Any],
    sound: Callable[[], None],
    tmp_path: Path,
    executor: str,
) -> None:
    """RQ: kill-horse or stop-job at the wrong moment kills the worker's own process group. Here a storm of them hits
    only jobs."""
    notes = [tmp_path / str(number) for number in range(8)]
    made = [queue.enqueue(tasks.note_and_wait, str(note), str(tmp_path / "never")) for note in notes]
    worker = start_worker(executor=executor)
    for job, note in zip(made, notes, strict=True):
        wait_until(lambda job=job, note=note: note.exists() or job.is_failed or job.is_stopped, 60, "it runs")
        for _ in range(5):
            send_kill_horse_command(redis_connection, worker.name)
            redis_connection.publish(f"rq:pubsub:{worker.name}", json.dumps({"command": "stop-job", "job_id": job.id}))
    wait_until(lambda: not any(job.is_queued or job.is_started for job in made), 60, "all have ended")
    last = queue.enqueue(tasks.add, 3)
    wait_until(lambda: last.is_finished or last.is_failed, 60, "the worker goes on")
    assert worker.process.poll() is None
