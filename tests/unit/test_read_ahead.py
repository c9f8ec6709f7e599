"""How many jobs a station holds in advance."""

from __future__ import annotations

import pytest

from atomiq.stations.ahead import FULL_EVERY, MOST_AHEAD, QUICK, WORTH, ReadAhead


def after(*seconds: float, slots: int = 1) -> ReadAhead:
    ahead = ReadAhead(slots)
    for each in seconds:
        ahead.took(each)
    return ahead


def test_nothing_is_read_ahead_before_anything_is_known() -> None:
    assert ReadAhead().target == 0
    assert not ReadAhead().quick


@pytest.mark.parametrize(
    ("seconds", "target"), [(0.0, 32), (0.0001, 32), (0.00025, 32), (0.001, 8), (0.004, 2), (0.0081, 0), (10.0, 0)]
)
def test_never_more_work_than_it_is_worth(seconds: float, target: int) -> None:
    ahead = after(seconds)
    assert ahead.target == target
    assert ahead.target <= MOST_AHEAD
    assert ahead.target * seconds <= WORTH


def test_one_long_job_is_believed_at_once() -> None:
    assert after(*[0.0001] * 100, 0.1).target == 0


def test_short_ones_are_believed_slowly() -> None:
    assert after(0.1, *[0.0001] * 5).target == 0
    assert 0 < after(0.1, *[0.0001] * 20).target < MOST_AHEAD
    assert after(0.1, *[0.0001] * 100).target == MOST_AHEAD


def test_quick() -> None:
    assert after(QUICK / 2).quick
    assert not after(QUICK * 2).quick


def test_jobs_that_run_side_by_side_end_as_often_as_shorter_ones() -> None:
    """A hundred coroutines that do nothing take 8 ms each, as they take turns: each of their claims was a full one."""
    assert after(QUICK * 1.6, slots=100).quick
    assert after(QUICK * 1.6, slots=2).quick
    assert not after(QUICK * 1.6, slots=1).quick
    assert not after(FULL_EVERY, slots=100).quick
