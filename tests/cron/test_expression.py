"""Cron expressions in time zones: what happens where clocks are put forward and back."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter

from atomiq._core.errors import InvalidOption
from atomiq._core.timestamp import from_ms, to_ms
from atomiq._core.wallclock import instant_of, wall_of
from atomiq.cron import InvalidCron
from atomiq.cron.expression import NEVER, CronExpression, zone_of


def ticks(text: str, zone: str, start: str, count: int) -> list[str]:
    """The next ticks after a local time, as local times with their offset."""
    expression = CronExpression(text, zone_of(zone), "entry")
    at, found = to_ms(datetime.fromisoformat(start).replace(tzinfo=zone_of(zone))), []
    for _ in range(count):
        at = expression.after(at)
        found.append(from_ms(at).astimezone(zone_of(zone)).strftime("%m-%dT%H:%M:%S%z"))
    return found


def test_utc_is_the_default_of_rq() -> None:
    assert ticks("*/5 * * * *", "UTC", "2026-11-21T10:36:24", 2) == ["11-21T10:40:00+0000", "11-21T10:45:00+0000"]


def test_a_local_time_stays_when_the_offset_changes() -> None:
    assert ticks("0 9 * * *", "Europe/Berlin", "2026-03-27T12:00", 2) == ["03-28T09:00:00+0100", "03-29T09:00:00+0200"]


def test_a_time_that_doesnt_exist_comes_right_after_the_gap() -> None:
    found = ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", 2)
    assert found == ["03-29T03:00:00+0200", "03-30T02:30:00+0200"]


def test_several_times_in_a_gap_are_one_tick() -> None:
    found = ticks("*/20 2 * * *", "Europe/Berlin", "2026-03-29T00:30", 2)
    assert found == ["03-29T03:00:00+0200", "03-30T02:00:00+0200"]


def test_a_time_that_there_is_twice_comes_once_and_first() -> None:
    found = ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2)
    assert found == ["10-25T02:30:00+0200", "10-26T02:30:00+0100"]


def test_asked_within_the_second_pass_it_is_over() -> None:
    expression = CronExpression("30 2 * * *", zone_of("Europe/Berlin"), "entry")
    second_pass = to_ms(datetime(2026, 10, 25, 1, 10, tzinfo=UTC))
    assert from_ms(expression.after(second_pass)) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_for_every_hour_it_goes_by_real_time() -> None:
    found = ticks("*/30 * * * *", "Europe/Berlin", "2026-10-25T01:45", 5)
    assert found == [f"10-25T0{clock}" for clock in ("2:00:00+0200", "2:30:00+0200", "2:00:00+0100", "2:30:00+0100",
                                                      "3:00:00+0100")]  # fmt: skip
    found = ticks("*/30 * * * *", "Europe/Berlin", "2026-03-29T01:15", 3)
    assert found == ["03-29T01:30:00+0100", "03-29T03:00:00+0200", "03-29T03:30:00+0200"]


def test_half_an_hour_of_summer_time() -> None:
    found = ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", 1)
    assert found == ["10-04T02:30:00+1100"]


@functools.cache  # the zones have most local times in common
def matches(text: str, local_time: datetime) -> bool:
    return bool(croniter.match(text, local_time))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut", "UTC"])
@pytest.mark.parametrize("text", ["*/30 * * * *", "7 * * * *", "45 * 25 10 *", "30 * * 3,4,10,11 *"])
def test_every_hour_is_every_minute_that_matches(zone: str, text: str) -> None:
    """Compared with a walk over all minutes of the days around changes of the clocks."""
    clock = ZoneInfo(zone)
    expression = CronExpression(text, clock, "entry")
    for day in (
        datetime(2026, 3, 28, tzinfo=UTC),
        datetime(2026, 10, 24, tzinfo=UTC),
        datetime(2026, 4, 4, tzinfo=UTC),
    ):
        minutes = [day + timedelta(minutes=number) for number in range(2 * 24 * 60)]
        expected = [each for each in minutes if matches(text, each.astimezone(clock).replace(tzinfo=None))]
        found, at = [], to_ms(day) - 1
        while (at := expression.after(at)) <= to_ms(minutes[-1]):
            found.append(from_ms(at))
        assert found == expected


@pytest.mark.parametrize("text", ["*/30 * * * *", "30 2 * * *", "0,30 1-3 * * *"])
def test_the_latest_tick_is_the_one_before_the_next(text: str) -> None:
    expression = CronExpression(text, zone_of("Europe/Berlin"), "entry")
    for day in (datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 24, 20, tzinfo=UTC)):
        at = to_ms(day)
        for _ in range(20):
            following = expression.after(at)
            assert expression.latest(following) == following
            assert expression.latest(following - 1) == expression.latest(at)
            at = following


@pytest.mark.parametrize("text", ["15,45 * * * *", "7 * * * *", "30 */1 * * *"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_the_latest_tick_of_real_time_is_never_the_end_of_a_gap(zone: str, text: str) -> None:
    """Clocks put forward from 02:00 to 03:00 were a tick for a process that came back soon after, though no minute of
    the expression had come: a job too many with missed='all', and one of a wrong time otherwise."""
    expression, clock = CronExpression(text, zone_of(zone), "entry"), zone_of(zone)
    for day in (datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 10, 3, 12, tzinfo=UTC)):
        latest = None
        for minute in range(8 * 60):
            now = day + timedelta(minutes=minute)
            if croniter.match(text, now.astimezone(clock).replace(tzinfo=None)):
                latest = now
            assert latest is None or from_ms(expression.latest(to_ms(now))) == latest


def test_seconds_are_the_sixth_field() -> None:
    assert ticks("* * * * * */20", "UTC", "2026-11-21T10:36:24", 2) == ["11-21T10:36:40+0000", "11-21T10:37:00+0000"]


def test_a_year_that_is_over() -> None:
    expression = CronExpression("0 0 1 1 * 0 2030", UTC, "entry")
    last = to_ms(datetime(2030, 1, 1, tzinfo=UTC))
    assert (expression.after(last - 1), expression.after(last)) == (last, NEVER)


def test_h_depends_on_the_name_and_on_nothing_else() -> None:
    first, again, other = (CronExpression("H H * * *", UTC, name) for name in ("one", "one", "two"))
    at = to_ms(datetime(2026, 1, 1, tzinfo=UTC))
    assert first.after(at) == again.after(at) != other.after(at)
    assert CronExpression("@daily", UTC, "one").after(at) == at + 86_400_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "columns"),
        ("* * *", "columns"),
        ("61 * * * *", "out of range"),
        ("R * * * *", "random"),
        ("0 0 31 2 *", "never comes true"),
        ("0 0 1 1 * 0 2020", "never comes true"),
        (None, "is a string"),
        ("@sometimes", "columns"),
        ("a b c d e", "not acceptable"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidCron, match=reason) as caught:
        CronExpression(text, UTC, "entry")
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", 5])
def test_zones_that_there_are_not(zone: str) -> None:
    with pytest.raises(InvalidOption, match="no such time zone"):
        zone_of(zone)


def test_walls_and_instants() -> None:
    berlin = zone_of("Europe/Berlin")
    gap, twice = datetime.fromisoformat("2026-03-29T02:30"), datetime.fromisoformat("2026-10-25T02:30")
    assert instant_of(gap, berlin) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert instant_of(twice, berlin) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert wall_of(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), berlin) == twice
