"""RQ's text form of times, and due times."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomiq._core.errors import InvalidTime
from atomiq._core.timestamp import check_delay, check_due, format_ms, from_ms, from_unix, to_ms, utcformat, utcparse


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


def test_the_text_form_always_has_a_fraction() -> None:
    assert utcformat(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000Z"
    assert format_ms(1_000) == "1970-01-01T00:00:01.000000Z"


def test_an_aware_time_is_converted_and_a_naive_one_is_utc() -> None:
    two_hours_east = timezone(timedelta(hours=2))
    assert utcformat(datetime(2026, 1, 1, 2, 0, tzinfo=two_hours_east)) == "2026-01-01T00:00:00.000000Z"
    assert utcformat(datetime(2026, 1, 1)) == "2026-01-01T00:00:00.000000Z"  # noqa: DTZ001


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_survives_its_text_form(moment: datetime) -> None:
    assert utcparse(utcformat(moment)) == moment
    assert utcparse(utcformat(moment).encode()) == moment


def test_the_form_without_fraction_is_read() -> None:
    assert utcparse("2026-01-02T03:04:05Z") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_what_is_no_time() -> None:
    for bad in ("", "yesterday", "2026-13-01T00:00:00Z"):
        with pytest.raises(ValueError):
            utcparse(bad)


@given(st.integers(0, 10**14))
def test_milliseconds(milliseconds: int) -> None:
    assert to_ms(from_ms(milliseconds)) == milliseconds


def test_unix_seconds() -> None:
    assert from_unix(1.5) == datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


def test_a_naive_due_time_is_local_with_the_rule_of_its_own_date(new_york: None) -> None:
    winter = check_due(datetime(2030, 1, 1, 12, 0))  # noqa: DTZ001
    summer = check_due(datetime(2030, 7, 1, 12, 0))  # noqa: DTZ001
    assert from_ms(winter).hour == 17
    assert from_ms(summer).hour == 16


def test_aware_and_naive_due_times_of_one_instant_agree(new_york: None) -> None:
    naive = datetime(2030, 1, 1, 12, 0)  # noqa: DTZ001
    assert check_due(naive) == check_due(naive.astimezone(UTC))


@pytest.mark.parametrize("bad", [None, 5, "2030-01-01", date(2030, 1, 1), timedelta(1)])
def test_what_is_no_due_time(bad: Any) -> None:
    with pytest.raises(InvalidTime):
        check_due(bad)


def test_due_times_out_of_range() -> None:
    far_west = timezone(timedelta(hours=-12))
    with pytest.raises(InvalidTime, match="out of range"):
        check_due(datetime.max.replace(tzinfo=far_west))
    assert check_due(datetime(1969, 1, 1, tzinfo=UTC)) == 1, "the past is now, and 0 would mean: not scheduled"


def test_delays() -> None:
    assert check_delay(timedelta(seconds=3)) == timedelta(seconds=3)
    assert check_delay(timedelta(seconds=-3)) == timedelta(0)
    for bad in (5, "5", None, timedelta(days=10**6)):
        with pytest.raises(InvalidTime):
            check_delay(bad)  # type: ignore[arg-type]
