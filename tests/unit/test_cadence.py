"""Which interval comes next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from atomiq._core.cadence import interval_after


def test_forward_and_the_last_one_repeats() -> None:
    assert [interval_after([10, 60], done) for done in range(4)] == [10, 60, 60, 60]


def test_one_number_or_nothing() -> None:
    assert interval_after(7, 3) == 7
    assert interval_after(None, 0) == 0
    assert interval_after([], 0) == 0


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(0, 100))
def test_it_is_always_one_of_the_list(intervals: list[int], done: int) -> None:
    assert interval_after(intervals, done) == (intervals[done] if done < len(intervals) else intervals[-1])
