"""CronScheduler on a real server: who enqueues what, restarts, pauses, a server that forgets."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
import redis
from tests import tasks
from tests.helpers import wait_until

from atomiq import Queue, SimpleWorker
from atomiq._commands.cron import EntryState
from atomiq.cron import CronJob, CronScheduler, create_cron, pause_entry, register, resume_entry
from atomiq.cron.config import _job_data_registry
from atomiq.cron.ticking import Ticker, Tracked
from atomiq.exceptions import DuplicateSchedulerError, InvalidName, SchedulerNotFound

HOUR_MS = 3_600_000


def scheduler_of(connection: redis.Redis, name: str = "", **settings: Any) -> CronScheduler:
    """A scheduler with the entry `sums`."""
    scheduler = CronScheduler(connection, logging.ERROR, name)
    scheduler.register(
        tasks.add, "q", args=(1, 2), name="sums", **({"interval": 3600} if "cron" not in settings else {}) | settings
    )
    return scheduler


def jobs_in(connection: redis.Redis) -> int:
    return Queue("q", connection=connection).count


def back_by(connection: redis.Redis, milliseconds: int) -> None:
    """As if all this had been so much earlier."""
    for field in ("last", "since"):
        if connection.hexists("rq:atomiq:cron:sums", field):
            connection.hincrby("rq:atomiq:cron:sums", field, -milliseconds)


def test_one_job_for_each_tick(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection)
    assert scheduler.enqueue_jobs() == scheduler.get_jobs()
    assert scheduler.enqueue_jobs() == []
    assert jobs_in(redis_connection) == 1
    assert 0 < scheduler.calculate_sleep_interval() <= 60


def test_two_schedulers_enqueue_once(redis_connection: redis.Redis) -> None:
    """RQ (C9): two schedulers with one config enqueue each tick twice."""
    first, second = scheduler_of(redis_connection), scheduler_of(redis_connection)
    assert [len(each.enqueue_jobs()) for each in (first, second, first)] == [1, 0, 0]
    assert jobs_in(redis_connection) == 1


def test_a_restart_is_no_tick(redis_connection: redis.Redis) -> None:
    """RQ (C9): an interval of an hour runs again because its process was started again."""
    scheduler_of(redis_connection).enqueue_jobs()
    assert scheduler_of(redis_connection).enqueue_jobs() == []
    assert jobs_in(redis_connection) == 1


@pytest.mark.parametrize(("missed", "expected"), [("skip", 0), ("once", 1), ("all", 5)])
def test_five_hours_away(redis_connection: redis.Redis, missed: str, expected: int) -> None:
    scheduler_of(redis_connection).enqueue_jobs()
    back_by(redis_connection, 5 * HOUR_MS + HOUR_MS // 2)
    assert len(scheduler_of(redis_connection, missed=missed).enqueue_jobs()) == expected
    assert scheduler_of(redis_connection, missed=missed).enqueue_jobs() == []
    assert jobs_in(redis_connection) == 1 + expected


def test_away_in_the_middle_of_its_life(redis_connection: redis.Redis) -> None:
    """A server that was away for two hours, or whose clock was put forward by as much: a process that had a tick in
    hand made up for all 7,200 that were missed, not for the newest 1,000."""
    job = CronJob("q", "builtins.print", interval=1, missed="all")
    entry = Tracked(job, job.checked_rule(), EntryState(last=HOUR_MS, since=HOUR_MS))
    assert entry.next_tick(HOUR_MS) == HOUR_MS + 1000
    now, ticks = 3 * HOUR_MS, []
    while (tick := entry.next_tick(now)) <= now:
        ticks.append(tick)
        entry.state = EntryState(last=tick, since=HOUR_MS)
    assert ticks == list(range(now - 999_000, now + 1, 1000))


def test_a_changed_schedule_doesnt_run_at_once(redis_connection: redis.Redis) -> None:
    scheduler_of(redis_connection).enqueue_jobs()
    back_by(redis_connection, HOUR_MS // 2)
    assert scheduler_of(redis_connection, interval=7200).enqueue_jobs() == []
    changed = scheduler_of(redis_connection, cron="0 0 1 1 *")
    assert changed.enqueue_jobs() == []
    assert changed.get_jobs()[0].latest_enqueue_time is not None


def test_who_was_started_before_the_change_keeps_off(
    redis_connection: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    old = scheduler_of(redis_connection, "old", interval=1)
    old.register_birth()
    assert len(old.enqueue_jobs()) == 1
    new = scheduler_of(redis_connection, "new", interval=7200)
    new.register_birth()
    new.enqueue_jobs()
    with caplog.at_level(logging.WARNING, logger=old.log.name):
        wait_until(lambda: old.enqueue_jobs() or caplog.messages, what="the old one has asked for a tick")
    assert "got another schedule" in caplog.text
    assert jobs_in(redis_connection) == 1


def test_two_processes_that_mean_two_entries_by_one_name_are_told(
    redis_connection: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Two applications on one server, each with an entry of the same function and so of the same name: a tick was
    enqueued for one of them, whichever came first, and nothing said that the other one's was not."""
    one, other = CronScheduler(redis_connection, "WARNING", "one"), CronScheduler(redis_connection, "WARNING", "other")
    same = CronScheduler(redis_connection, "WARNING", "same")
    one.register(tasks.add, "q", args=(1, 2), interval=3600)
    for each in (other, same):
        each.register(tasks.add, "low", args=(3, 4), interval=3600)
    for each in (one, other, same):
        each.register_birth()
        each.enqueue_jobs()
    (message,) = caplog.messages
    assert message.startswith(
        "Cron entry 'tests.tasks.add' is looked after by another process too, but as tests.tasks.add([1, 2]) on q, and "
        "here as tests.tasks.add([3, 4]) on low. "
    )


def test_paused_and_resumed(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection, interval=0.2)
    scheduler.enqueue_jobs()
    pause_entry("sums", redis_connection)
    before = int(redis_connection.hget("rq:atomiq:cron:sums", "last") or 0)
    wait_until(lambda: scheduler.enqueue_jobs() or passed(redis_connection, before, 1000), what="five ticks are over")
    assert jobs_in(redis_connection) == 1
    resume_entry("sums", redis_connection)
    wait_until(scheduler.enqueue_jobs, what="it goes on")
    assert jobs_in(redis_connection) < 4


def test_thousands_of_ticks_of_a_paused_entry_are_passed_over_at_once(
    redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry with missed='all' was paused for two days, and its process starts again: it asked the server for each of
    a thousand ticks, and counted back over them each time, for half a minute in which no other entry had its ticks."""
    settings = {"cron": "* * * * *", "missed": "all"}
    scheduler_of(redis_connection, **settings).enqueue_jobs()
    pause_entry("sums", redis_connection)
    back_by(redis_connection, 48 * HOUR_MS)
    asked = []
    ask = Ticker._ask
    monkeypatch.setattr(Ticker, "_ask", lambda *given: asked.append(given) or ask(*given))
    scheduler = scheduler_of(redis_connection, **settings)
    assert scheduler.enqueue_jobs() == []
    assert 1 <= len(asked) <= 2
    resume_entry("sums", redis_connection)
    assert scheduler.enqueue_jobs() == []
    assert jobs_in(redis_connection) == 0


def passed(connection: redis.Redis, since_ms: int, milliseconds: int) -> bool:
    seconds, micros = connection.time()
    return seconds * 1000 + micros // 1000 > since_ms + milliseconds


def test_overlap_queue_one(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection, interval=0.1, overlap="queue_one")
    scheduler.enqueue_jobs()
    wait_until(lambda: scheduler.enqueue_jobs() or waits(redis_connection), what="a tick waits")
    assert jobs_in(redis_connection) == 1
    SimpleWorker(["q"], connection=redis_connection).work(burst=True, logging_level="CRITICAL")
    wait_until(scheduler.enqueue_jobs, what="it goes when the job before it has ended")
    assert jobs_in(redis_connection) == 1


def test_a_tick_that_waits_is_told_once(redis_connection: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    """Whether it may go is asked each second: a job of two hours filled the log with 7,200 lines that say the same."""
    scheduler = scheduler_of(redis_connection, interval=3600, overlap="queue_one")
    scheduler.enqueue_jobs()
    back_by(redis_connection, HOUR_MS)
    again = scheduler_of(redis_connection, interval=3600, overlap="queue_one")
    with caplog.at_level(logging.INFO, logger=again.log.name):
        again.enqueue_jobs()
        (tracked,) = again._ticker._entries.values()
        for _ in range(3):
            tracked.ask_at = 0
            again.enqueue_jobs()
    assert caplog.messages == ["Cron entry 'sums': the job before it has not ended, the tick waits for it"]


def waits(connection: redis.Redis) -> bool:
    return bool(connection.hexists("rq:atomiq:cron:sums", "waiting"))


def test_overlap_skip(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection, overlap="skip")
    scheduler.enqueue_jobs()
    back_by(redis_connection, HOUR_MS)
    assert scheduler_of(redis_connection, overlap="skip").enqueue_jobs() == []
    assert jobs_in(redis_connection) == 1


def test_a_server_that_has_forgotten_everything(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection, interval=0.1)
    scheduler.enqueue_jobs()
    redis_connection.flushdb()
    wait_until(scheduler.enqueue_jobs, what="it goes on by itself")


def test_a_clock_that_is_wrong(redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's clock decides; a machine whose own is an hour ahead enqueues nothing early."""
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    scheduler = scheduler_of(redis_connection)
    assert len(scheduler.enqueue_jobs()) == 1
    assert scheduler.enqueue_jobs() == []


def test_its_own_guess_of_the_servers_clock_may_be_wrong(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection)
    scheduler.enqueue_jobs()
    scheduler._ticker.clock.hear(scheduler._ticker.clock.now() + 2 * HOUR_MS)
    assert scheduler.enqueue_jobs() == []
    assert jobs_in(redis_connection) == 1
    assert scheduler.calculate_sleep_interval() == pytest.approx(60, abs=5)


def test_names_must_differ(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection)
    with pytest.raises(InvalidName, match=r"called 'sums': tests.tasks.add on q every 3600 seconds, and .* on low"):
        scheduler.register(tasks.echo, "low", args=(1,), interval=5, name="sums")
    assert len(scheduler.get_jobs()) == 1


def test_what_cant_be_serialised_is_found_at_once(redis_connection: redis.Redis) -> None:
    with pytest.raises(ValueError, match="lock"):
        CronScheduler(redis_connection).register(tasks.echo, "q", args=(threading.Lock(),), interval=5)


def test_create_cron(redis_connection: redis.Redis) -> None:
    _job_data_registry.clear()
    given = register(tasks.add, "q", args=(1,), interval=5)
    assert (given["func"], given["queue_name"], given["result_ttl"], given["name"]) == (tasks.add, "q", 500, "")
    assert [job.name for job in create_cron(redis_connection).get_jobs()] == ["tests.tasks.add"]
    _job_data_registry.clear()


def test_birth_heartbeat_death(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection, "S")
    assert (scheduler.key, scheduler.last_heartbeat) == ("rq:cron_scheduler:S", None)
    scheduler.register_birth()
    scheduler.register_birth()
    first = scheduler.last_heartbeat
    scheduler.heartbeat()
    assert first is not None
    assert scheduler.last_heartbeat is not None
    assert scheduler.last_heartbeat >= first
    assert 110 < int(redis_connection.ttl(scheduler.key)) <= 120
    found = CronScheduler.fetch("S", redis_connection)
    assert found == scheduler
    assert (found.hostname, found.pid, found.created_at) == (scheduler.hostname, scheduler.pid, scheduler.created_at)
    assert [job.to_dict() for job in found.get_jobs()] == [job.to_dict() for job in scheduler.get_jobs()]
    assert CronScheduler.all(redis_connection) == [scheduler]
    scheduler.register_death()
    scheduler.register_death()
    assert CronScheduler.all(redis_connection) == []


def test_it_says_that_it_lives_while_it_has_nothing_to_do(
    redis_connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomiq.cron.scheduler.BEAT", 0.01)
    scheduler = scheduler_of(redis_connection, cron="0 0 1 1 *")
    thread = threading.Thread(target=scheduler.start)
    thread.start()
    wait_until(lambda: scheduler.last_heartbeat is not None, what="it is born")
    born = scheduler.last_heartbeat
    assert born is not None
    wait_until(lambda: (scheduler.last_heartbeat or born) > born, what="it says that it lives")
    scheduler.request_stop()
    thread.join(10)
    assert scheduler.last_heartbeat is None


def test_there_is_no_such_scheduler(redis_connection: redis.Redis) -> None:
    with pytest.raises(SchedulerNotFound, match="CronScheduler with name 'T' not found"):
        CronScheduler.fetch("T", redis_connection)


def test_in_a_pipeline(redis_connection: redis.Redis) -> None:
    scheduler = scheduler_of(redis_connection, "S")
    with redis_connection.pipeline() as pipeline:
        scheduler.save(pipeline)
        scheduler.register_death(pipeline)
        assert redis_connection.exists(scheduler.key) == 0
        pipeline.execute()
    assert redis_connection.exists(scheduler.key) == 1
    assert scheduler.last_heartbeat is None


def test_the_two_registries(redis_connection: redis.Redis) -> None:
    from atomiq import cron_job_registry, cron_scheduler_registry

    scheduler = scheduler_of(redis_connection, "S")
    cron_scheduler_registry.register(scheduler)
    with pytest.raises(DuplicateSchedulerError, match="'S' is already registered"):
        cron_scheduler_registry.register(scheduler)
    assert cron_scheduler_registry.get_keys(redis_connection) == ["S"]
    assert (cron_scheduler_registry.cleanup(redis_connection), cron_scheduler_registry.get_registry_key()) == (
        0,
        "rq:cron_schedulers",
    )
    redis_connection.zadd("rq:cron_schedulers", {"silent": 5})
    assert cron_scheduler_registry.cleanup(redis_connection) == 1
    cron_scheduler_registry.unregister(scheduler)
    with pytest.raises(SchedulerNotFound, match="'S' not found in registry"):
        cron_scheduler_registry.unregister(scheduler)
    scheduler.enqueue_jobs()
    cron_job_registry.add("old", redis_connection, 5)
    with redis_connection.pipeline() as pipeline:
        cron_job_registry.add("new", pipeline)
        pipeline.execute()
    assert cron_job_registry.get_names(redis_connection, cleanup=False)[0] == "old"
    assert sorted(cron_job_registry.get_names(redis_connection)) == ["new", "sums"]
    assert (cron_job_registry.remove_stale_entries(redis_connection), cron_job_registry.get_registry_key()) == (
        0,
        "rq:cron_jobs",
    )


def test_a_subclass_that_overrides_is_called(redis_connection: redis.Redis) -> None:
    called = []

    class Telling(CronScheduler):
        def enqueue_jobs(self) -> Any:
            called.append("enqueue_jobs")
            self.request_stop()
            return super().enqueue_jobs()

        def register_birth(self) -> None:
            called.append("register_birth")
            super().register_birth()

        def save(self, pipeline: Any = None) -> None:
            called.append("save")
            super().save(pipeline)

        def register_death(self, pipeline: Any = None) -> None:
            called.append("register_death")
            super().register_death(pipeline)

    scheduler = Telling(redis_connection, logging.ERROR)
    scheduler.register(tasks.add, "q", args=(1,), interval=60)
    scheduler.start()
    assert called == ["register_birth", "enqueue_jobs", "register_death"]


def test_other_prefixes(redis_url: str, redis_connection: redis.Redis) -> None:
    from atomiq import connect

    connection = connect(redis_url, prefix="app:")
    scheduler_of(connection).enqueue_jobs()
    assert jobs_in(connection) == 1
    assert {key.partition(b":")[0] for key in redis_connection.keys("*")} == {b"app"}
    connection.close()
