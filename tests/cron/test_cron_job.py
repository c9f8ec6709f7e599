"""CronJob: RQ's API, and what RQ doesn't have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import redis
from croniter import CroniterBadCronError
from tests import tasks
from tests.helpers import wait_until

from atomiq import Queue, Webhook
from atomiq._core.choices import CHOICES
from atomiq.cron import CronJob, get_cron_job_history_key, get_cron_job_ids
from atomiq.exceptions import InvalidArguments, InvalidFunction, InvalidName, InvalidOption


def entry(**settings: Any) -> CronJob:
    return CronJob("q", **{"func": tasks.add, "args": (1, 2), "interval": 60, **settings})


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"interval": None}, ValueError, "Must specify either interval or cron parameter"),
        ({"interval": 0}, ValueError, "Must specify either interval or cron parameter"),
        ({"cron": "* * * * *"}, ValueError, "Cannot specify both interval and cron parameters"),
        ({"func": None}, ValueError, "Either func or func_name must be provided"),
        ({"interval": -5}, InvalidOption, "above 0"),
        ({"interval": "5"}, InvalidOption, "above 0"),
        ({"interval": True}, InvalidOption, "above 0"),
        ({"interval": float("nan")}, InvalidOption, "above 0"),
        ({"interval": None, "cron": "61 * * * *"}, CroniterBadCronError, "out of range"),
        ({"interval": None, "cron": "* * * * *", "timezone": "Europe/Atlantis"}, InvalidOption, "no such time zone"),
        ({"timezone": "Europe/Berlin"}, InvalidOption, "real seconds"),
        ({"jitter": -1}, InvalidOption, "jitter"),
        ({"jitter": 61}, InvalidOption, "longer than the interval"),
        ({"missed": "sometimes"}, InvalidOption, "'skip', 'once', 'all'"),
        ({"overlap": "never"}, InvalidOption, "'allow', 'skip', 'queue_one'"),
        ({"name": "a\nb"}, InvalidName, "control character"),
        ({"func": lambda: 1, "args": ()}, InvalidFunction, "lambda"),
        ({"args": (1, 2, 3, 4)}, InvalidArguments, "can't be called"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason) as caught:
        entry(**settings)
    assert isinstance(caught.value, ValueError)


def test_names() -> None:
    assert (entry().name, entry().func_name) == ("tests.tasks.add", "tests.tasks.add")
    assert (entry(name="sums, hourly").name, entry(func="tests.tasks.add").func_name) == (
        "sums, hourly",
        "tests.tasks.add",
    )
    assert entry(name="x").job_history_key == get_cron_job_history_key("x") == "rq:cron_job:x:jobs"


def test_an_interval_runs_at_once_and_then_after_the_interval() -> None:
    one = entry()
    assert one.should_run()
    assert one.next_enqueue_time is None
    assert one.get_next_enqueue_time() <= datetime.now(UTC)
    one.set_enqueue_time(datetime.now(UTC))
    assert not one.should_run()
    assert one.get_next_enqueue_time() - (one.latest_enqueue_time or datetime.now(UTC)) == timedelta(minutes=1)
    one.set_enqueue_time(datetime(2026, 1, 1, tzinfo=UTC))
    assert one.should_run()


def test_an_expression_waits_for_its_time() -> None:
    one = entry(interval=None, cron="*/5 * * * *")
    assert not one.should_run()
    assert one.get_next_enqueue_time() > datetime.now(UTC)
    one.set_enqueue_time(datetime(2026, 1, 1, 0, 1, tzinfo=UTC))
    assert one.get_next_enqueue_time() == datetime(2026, 1, 1, 0, 5, tzinfo=UTC)


def test_after_its_last_tick_it_has_a_time_whatever_its_jitter() -> None:
    """The tick after the last one was put off beyond what a datetime can say: an OverflowError ended the scheduler, and
    all its other entries with it, once an entry with a jitter of more than a day had no years left."""
    entry = CronJob("q", "builtins.print", cron="0 0 1 1 * 0 2030", jitter=9_000_000_000)
    entry.set_enqueue_time(datetime(2030, 1, 1, tzinfo=UTC))
    assert entry.get_next_enqueue_time() >= datetime(9000, 1, 1, tzinfo=UTC)


def test_enqueue(redis_connection: redis.Redis) -> None:
    """The keyword `description` is the function's here; in RQ a name that `enqueue` knows is lost to it."""
    webhook = Webhook("http://localhost/", "finished")
    one = entry(
        func=tasks.echo, args=(1,), kwargs={}, job_timeout="1m", result_ttl=7, ttl=100, failure_ttl=8,
        meta={"a": 1}, webhooks=[webhook],
    )  # fmt: skip
    job = one.enqueue(redis_connection)
    second, micros = redis_connection.time()
    wait_until(lambda: redis_connection.time() > (second, micros + 1000))  # histories tell milliseconds apart
    again = one.enqueue(redis_connection)
    stored = Queue("q", connection=redis_connection).jobs[0]
    assert (job.get_status(), job.origin, stored.id) == ("queued", "q", job.id)
    assert (stored.timeout, stored.result_ttl, stored.ttl, stored.failure_ttl) == (60, 7, 100, 8)
    assert (stored.meta, stored.args, len(stored.webhooks)) == ({"a": 1}, (1,), 1)
    assert one.get_job_ids(redis_connection) == [again.id, job.id]
    assert get_cron_job_ids(one.name, redis_connection, 1, 1) == [job.id]


def test_a_job_knows_its_entry_and_its_tick(redis_connection: redis.Redis) -> None:
    job = entry(name="sums").enqueue(redis_connection)
    fields = redis_connection.hmget(f"rq:job:{job.id}", "cron", "tick", "enqueued_at")
    assert fields[0] == b"sums"
    assert datetime.fromtimestamp(int(fields[1]) / 1000, UTC) == datetime.fromisoformat(fields[2].decode())


def test_to_dict_is_rqs() -> None:
    one = entry(kwargs={"y": object()}, args=(1,), job_timeout=5, meta={"a": 1}, name="sums")
    assert one.to_dict() == {
        "func_name": "tests.tasks.add",
        "name": "sums",
        "queue_name": "q",
        "args": "[1]",
        "kwargs": "<not JSON serializable>",
        "interval": 60,
        "cron": None,
        "latest_enqueue_time": None,
        "next_enqueue_time": None,
        "job_timeout": 5,
        "result_ttl": 500,
        "meta": '{"a": 1}',
    }


def test_from_dict_is_to_look_at(redis_connection: redis.Redis) -> None:
    one = entry(interval=None, cron="0 3 * * *", timezone="Europe/Berlin", jitter=9, missed="all", overlap="skip")
    shown = CronJob.from_dict(one.to_dict())
    assert shown.to_dict() == one.to_dict()
    assert shown.args == (1, 2)
    with pytest.raises(ValueError, match="no function to enqueue"):
        shown.enqueue(redis_connection)


def test_webhooks_are_shown_and_read_again(caplog: pytest.LogCaptureFixture) -> None:
    """Those of an entry that was read were dicts, and are `Webhook`s in RQ; a text that isn't their JSON made `to_dict`
    raise."""
    webhook = Webhook("http://localhost/", "finished", headers={"A": "b"})
    one = entry(webhooks=[webhook])
    shown = CronJob.from_dict(one.to_dict())
    assert shown.job_options["webhooks"] == [webhook]
    assert shown.to_dict() == one.to_dict()
    odd = CronJob.from_dict({**one.to_dict(), "webhooks": "<not JSON serializable>"})
    assert (odd.job_options["webhooks"], odd.to_dict()["webhooks"]) == ([], "[]")
    assert f"Cron entry {one.name}: its webhooks can't be read" in caplog.text


def test_whatever_rq_has_accepted_can_be_looked_at() -> None:
    data = {"func_name": "a.b", "name": "\n", "queue_name": "q", "interval": "5", "cron": None, "result_ttl": 500}
    shown = CronJob.from_dict(data)
    assert (shown.interval, shown.should_run()) == ("5", True)


def test_the_same_ticks_have_the_same_text() -> None:
    """Processes whose configs differ in spelling only don't take the entry from each other."""
    assert entry(interval=60).schedule == entry(interval=60.0).schedule
    spaced = entry(interval=None, cron="0  3 * * *", timezone=ZoneInfo("Europe/Berlin"))
    assert spaced.schedule == entry(interval=None, cron="0 3 * * *", timezone="Europe/Berlin").schedule
    assert entry(interval=60).schedule != entry(interval=61).schedule


def test_a_zone_must_have_a_name_that_others_find() -> None:
    with pytest.raises(InvalidOption, match="no such time zone"):
        entry(interval=None, cron="0 3 * * *", timezone=timezone(timedelta(hours=1), "home"))


def test_under_the_alias_missed_ticks_are_skipped_as_rq_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert entry().missed == "once"
    monkeypatch.setattr(CHOICES, "missed", "skip")
    assert (entry().missed, entry(missed="all").missed) == ("skip", "all")
