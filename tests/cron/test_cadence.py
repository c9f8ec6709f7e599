"""Which tick is next: intervals, jitter, and what becomes of missed ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomiq._core.cadence import LATE_MS, MOST_CAUGHT_UP, Interval, Rule, spread

T = 1_795_225_028_574
MINUTE = 60_000
HOUR = 60 * MINUTE


def rule(every: int = HOUR, **settings: object) -> Rule:
    return Rule("entry", Interval(every), **settings)  # type: ignore[arg-type]


def test_the_first_tick_of_an_interval_is_now() -> None:
    assert rule().choose(None, T, T) == T
    assert rule().choose(None, T, T + 50_000) == T


def test_intervals_dont_drift() -> None:
    """RQ counts from the time of the enqueue, so that each delay shifts all that follow."""
    assert rule(1000).choose(T, T, T + 1700) == T + 1000
    assert rule(1000).choose(T + 1000, T, T + 1700) == T + 2000


def test_a_new_schedule_counts_from_the_last_tick() -> None:
    changed_at = T + HOUR // 2
    assert rule(10_000).choose(T, changed_at, changed_at) == changed_at + 10_000
    assert rule(24 * HOUR).choose(T, changed_at, changed_at) == T + 24 * HOUR


def test_ticks_that_passed_while_it_was_paused_are_over() -> None:
    assert rule().choose(T, T, T + 2 * HOUR + 5, floor=T + 2 * HOUR) == T + 3 * HOUR
    assert rule().choose(None, T, T + 5, floor=T) == T + HOUR


@pytest.mark.parametrize("missed", ["skip", "once", "all"])
def test_late_ticks_are_not_missed_ones(missed: str) -> None:
    """A process that needs some seconds to come back loses no tick, whatever the policy."""
    assert rule(1000, missed=missed).choose(T, T, T + 30_000) == T + 1000


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("skip", T + 10 * HOUR), ("once", T + 9 * HOUR), ("all", T + HOUR)],
)
def test_ten_hours_away(missed: str, expected: int) -> None:
    now = T + 9 * HOUR + HOUR // 2
    assert rule(missed=missed).choose(T, T, now) == expected


@pytest.mark.parametrize("missed", ["skip", "once"])
def test_back_at_the_very_hour(missed: str) -> None:
    """Nine ticks were missed; the tenth is due just now, and is not one of them."""
    assert rule(missed=missed).choose(T, T, T + 10 * HOUR + 5) == T + 10 * HOUR


def test_all_is_the_newest_thousand() -> None:
    ticks = 5 * MOST_CAUGHT_UP
    assert rule(1000, missed="all").choose(T, T, T + ticks * 1000) == T + (ticks - MOST_CAUGHT_UP + 1) * 1000


def test_jitter_puts_off_and_never_brings_forward() -> None:
    found = {spread("entry", T + number, 30_000) for number in range(200)}
    assert 0 <= min(found) < 3_000
    assert 27_000 < max(found) < 30_000
    assert rule(jitter=30_000).due(T) == T + spread("entry", T, 30_000)


def test_jitter_is_the_same_everywhere() -> None:
    """A plain number, so that a change of the rule, by which an old and a new process would differ, is noticed."""
    assert [spread("entry", T + number, 30_000) for number in range(3)] == [27_024, 21_236, 13_337]
    assert spread("other", T, 30_000) != spread("entry", T, 30_000)
    assert spread("entry", T, 0) == 0


def test_jitter_is_not_lateness() -> None:
    """A tick that is put off by five minutes is not missed after one."""
    late = rule(jitter=10 * LATE_MS, missed="skip")
    tick = next(t for t in range(T + HOUR, T + HOUR + 1000) if late.due(t) - t > 5 * LATE_MS)
    assert late.choose(tick - HOUR, T, late.due(tick) + 1000) == tick


@pytest.mark.parametrize("missed", ["skip", "once"])
def test_a_long_jitter_makes_no_tick_a_missed_one(missed: str) -> None:
    """Each tick of a minute is put off by up to ten: while one waited, those after it had been due for long, were taken
    for missed ones, and most were dropped, though somebody was there all the time."""
    one = rule(MINUTE, jitter=10 * MINUTE, missed=missed)
    now, fired = T, [T]
    while len(fired) < 60:
        tick = one.choose(fired[-1], T, now)
        if one.due(tick) <= now:
            fired.append(tick)
        else:
            now = one.due(tick)
    assert fired == [T + number * MINUTE for number in range(60)]


@given(st.integers(1000, 50_000), st.lists(st.integers(0, 100_000), max_size=20), st.integers(0, 5_000))
def test_with_all_every_tick_is_chosen_once_and_in_order(every: int, pauses: list[int], jitter: int) -> None:
    """Whenever somebody looks: the ticks up to then, one after the other, none twice, none left out."""
    one = rule(every, missed="all", jitter=min(jitter, every))
    now, last, fired = T, None, []
    for pause in pauses:
        now += pause
        for _ in range(200):
            tick = one.choose(last, T, now)
            if one.due(tick) > now:
                break
            fired.append(tick)
            last = tick
    assert fired == [T + number * every for number in range(len(fired))]


@pytest.mark.parametrize("missed", ["skip", "once"])
@given(st.integers(1000, 200_000), st.lists(st.integers(0, 10_000_000), max_size=20))
def test_without_all_no_tick_is_chosen_twice(missed: str, every: int, pauses: list[int]) -> None:
    one = rule(every, missed=missed)
    now, last, fired = T, None, []
    for pause in pauses:
        now += pause
        for _ in range(200):
            tick = one.choose(last, T, now)
            if one.due(tick) > now:
                break
            fired.append(tick)
            last = tick
    assert fired == sorted(set(fired))
    assert all((tick - T) % every == 0 for tick in fired)
