"""What a station has not had counted: each of two sides may tell it, one may die at any moment, none tells it twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.unit.test_ledger import _Stopped, _Stopping

from atomiq._commands.claim import NO_TALLY, Claimed, Tally
from atomiq._commands.settle import Settlement
from atomiq.stations.ledger import UNCOUNTED, Ledger, execution_id
from atomiq.stations.task import Outcome, Task
from atomiq.stations.uncounted import Uncounted

TOKEN = "0123456789abcdef"


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger(1)
    yield ledger
    ledger.close()


def outcome(kind: Any = "finished", took: int = 7, *, full: bool = False) -> Outcome:
    end = Settlement("a", "q", "e", "w", kind, started_ms=1000, ended_ms=1000 + took)
    return Outcome(Task(Claimed("q", "a", "e", 1, {}), 1, 0.0, 0), end, took / 1000, full)


def test_each_call_tells_what_came_since_the_last_one(ledger: Ledger) -> None:
    uncounted = Uncounted(ledger)
    assert uncounted.take(1, claims=False) is NO_TALLY
    uncounted.add(outcome())
    uncounted.add(outcome("failed", 3))
    uncounted.add(outcome("waiting"))
    uncounted.add(outcome(full=True))
    assert uncounted.take(2, claims=True) == Tally(1, 1, 10)
    uncounted.add(outcome())
    assert uncounted.take(3, claims=False) is NO_TALLY, "two calls at a time told something"
    assert uncounted.take(2, claims=True) == Tally(1, 1, 10), "the same call, made once more, told something else"
    uncounted.heard(2, claims=False)
    assert uncounted.take(3, claims=False) is NO_TALLY, "another call's answer passed for this one's"
    uncounted.heard(2, claims=True)
    assert uncounted.take(4, claims=False) == Tally(1, 0, 7)


def test_what_is_added_twice_counts_once(ledger: Ledger) -> None:
    uncounted, one = Uncounted(ledger), outcome()
    uncounted.add(one)
    uncounted.add(one)
    assert uncounted.take_over() == Tally(1, 0, 7)


def test_a_settlement_that_is_refused_after_it_was_told_is_missing_in_the_next_tally(ledger: Ledger) -> None:
    uncounted, one = Uncounted(ledger), outcome()
    uncounted.add(one)
    assert uncounted.take_over() == Tally(1, 0, 7)
    uncounted.drop(one)
    uncounted.drop(one)
    assert uncounted.take_over() is NO_TALLY
    uncounted.add(outcome())
    uncounted.add(outcome(took=8))
    assert uncounted.take_over() == Tally(1, 0, 8)


def test_what_the_supervisor_takes_over_the_station_does_not_tell(ledger: Ledger) -> None:
    """A long job follows upon short ones: what these were is told with the worker's next sign of life."""
    uncounted, seen = Uncounted(ledger), Uncounted(ledger)
    uncounted.add(outcome())
    assert uncounted.take(1, claims=False) == Tally(1, 0, 7)
    uncounted.add(outcome("failed"))
    assert seen.take_over() == Tally(0, 1, 7)
    assert seen.take_over() is NO_TALLY
    uncounted.heard(1, claims=False)
    assert uncounted.take(2, claims=False) is NO_TALLY
    uncounted.add(outcome())
    assert uncounted.take(3, claims=False) == Tally(1, 0, 7)
    assert seen.take_over() is NO_TALLY
    assert seen.cut_short(TOKEN) == (execution_id(TOKEN, 3), Tally(1, 0, 7))


@pytest.mark.parametrize("deadly", range(1, 10))
@pytest.mark.parametrize("dies_in", ["take", "heard"])
def test_a_death_at_any_moment(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, dies_in: str, deadly: int) -> None:
    """The station dies after so many of the words that it writes. The server counts a name once."""
    uncounted = Uncounted(ledger)
    counted: dict[str, Tally] = {}

    def step(name: str, action: Callable[[], Any]) -> Any:
        if name != dies_in:
            return action()
        with monkeypatch.context() as patch:
            patch.setattr(uncounted, "_words", _Stopping(ledger.words, itertools.count(1), deadly))
            return action()

    uncounted.add(outcome())
    uncounted.add(outcome("failed", 2))
    try:
        tally = step("take", lambda: uncounted.take(1, claims=True))
        counted[f"claim:{execution_id(TOKEN, 1)}"] = tally  # it is sent
        uncounted.add(outcome())
        step("heard", lambda: uncounted.heard(1, claims=True))
    except _Stopped:
        pass
    added = ledger.words[UNCOUNTED : UNCOUNTED + 3].tolist()
    left = Uncounted(ledger)
    cut_short = left.cut_short(TOKEN)
    if cut_short is not None:
        counted.setdefault(*cut_short)
    counted["the rest"] = left.take_over()
    sums = [sum(getattr(tally, name) for tally in counted.values()) for name in ("finished", "failed", "worked_ms")]
    assert sums == added
