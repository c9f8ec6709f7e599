"""Durations and lifetimes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomiq._core.errors import InvalidTime, TimeoutFormatError
from atomiq._core.ttl import check_keep, check_timeout, check_ttl, parse_timeout


@pytest.mark.parametrize(
    ("given_as", "seconds"),
    [(None, None), (5, 5), (True, 1), (1.9, 1), ("7", 7), ("-1", -1), ("2d", 172800), ("1H", 3600), ("3 m", 180),
     ("4s", 4), (timedelta(minutes=2), 120)],
)  # fmt: skip
def test_the_grammar(given_as: Any, seconds: int | None) -> None:
    assert parse_timeout(given_as) == seconds


@pytest.mark.parametrize("bad", ["", "1.5", "h", "1w", "1h30m", [], {}, float("nan"), float("inf"), object()])
def test_what_is_no_duration(bad: Any) -> None:
    with pytest.raises(TimeoutFormatError) as caught:
        parse_timeout(bad)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError) == (not isinstance(bad, (str, float)))


@given(st.integers(0, 10**6), st.sampled_from("dhmsDHMS"))
def test_units(count: int, unit: str) -> None:
    assert parse_timeout(f"{count}{unit}") == count * {"d": 86400, "h": 3600, "m": 60, "s": 1}[unit.lower()]


def test_a_time_limit() -> None:
    assert check_timeout(None) is None
    assert check_timeout(-1) == -1
    assert check_timeout("1m") == 60
    for bad in (0, 0.5, "0", -2, "-5"):
        with pytest.raises(InvalidTime, match="job_timeout"):
            check_timeout(bad)


def test_a_lifetime() -> None:
    assert check_ttl(None) is None
    assert check_ttl("1h") == 3600
    for bad in (0, -1, "-1h"):
        with pytest.raises(InvalidTime, match="ttl"):
            check_ttl(bad)


def test_how_long_to_keep() -> None:
    assert [check_keep(value, "result_ttl") for value in (None, 0, -1, "1m")] == [None, 0, -1, 60]
    with pytest.raises(InvalidTime, match="failure_ttl"):
        check_keep(-2, "failure_ttl")
