"""The page that a station shares with its supervisor: what is started is never taken back, and the other way round."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.helpers import wait_until

from atomiq.stations.ledger import (
    BUSY,
    HEAD,
    IDLE,
    NOTHING,
    SHUT_DOWN,
    SLOT,
    STOP,
    WORD,
    Ledger,
    Running,
    execution_id,
    number_of,
)

ASKED, STARTED = 0, 1
"""Words of the page's head."""
ROUNDS = 5000
TOKEN = "0123456789abcdef"


def entry(number: int, limit: float | None = 180.0, since: float = 1.5, job_id: str = "job") -> Running:
    return Running(number, since, "queue", job_id, execution_id(TOKEN, number), limit, None, 1000, 2.5)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger(2)
    yield ledger
    ledger.close()


def test_execution_ids_are_numbers_of_one_station() -> None:
    name = execution_id(TOKEN, 77)
    assert len(name) == 32
    assert name.startswith(TOKEN)
    assert number_of(name) == 77


class TestNumbers:
    def test_ask_start_and_end(self, ledger: Ledger) -> None:
        assert list(ledger.ask(3)) == [1, 2, 3]
        assert list(ledger.ask(2)) == [4, 5]
        assert ledger.start(0, entry(1))
        assert ledger.start(1, entry(2, limit=None))
        assert ledger.running() == [(0, entry(1)), (1, entry(2, limit=None))]
        assert (ledger.asked, ledger.started, ledger.cut) == (5, 2, 0)
        ledger.end(0)
        assert ledger.running() == [(1, entry(2, limit=None))]

    def test_what_is_cut_is_not_started(self, ledger: Ledger) -> None:
        ledger.ask(4)
        assert ledger.start(0, entry(1))
        assert list(ledger.take_back()) == [2, 3, 4]
        assert list(ledger.take_back()) == []
        assert not ledger.start(1, entry(2))
        assert ledger.running() == [(0, entry(1))]
        assert list(ledger.ask(1)) == [5]
        assert ledger.start(1, entry(5))

    def test_what_is_skipped_is_not_taken_back(self, ledger: Ledger) -> None:
        ledger.ask(4)
        ledger.skip(3)
        assert list(ledger.take_back()) == [4]
        ledger.skip(1)
        assert ledger.started == 3

    def test_names_that_are_too_long(self, ledger: Ledger) -> None:
        ledger.ask(1)
        with pytest.raises(ValueError, match="too long"):
            ledger.start(0, entry(1, job_id="x" * SLOT))
        assert ledger.running() == []
        assert list(ledger.take_back()) == []  # the lock is free; whoever was refused has the job on his hands


class TestSigns:
    def test_limit(self, ledger: Ledger) -> None:
        ledger.ask(1)
        ledger.start(0, entry(1))
        ledger.limit(0, entry(1, limit=60.0, since=9.0))
        assert ledger.entry(0) == entry(1, limit=60.0, since=9.0)
        ledger.limit(0, entry(1, limit=None))
        assert ledger.entry(0) == entry(1, limit=None)

    def test_a_wish_is_for_one_job(self, ledger: Ledger) -> None:
        ledger.ask(2)
        ledger.start(0, entry(1))
        assert ledger.wish(0) == NOTHING
        ledger.want(0, STOP, 1)
        assert ledger.wish(0) == STOP
        ledger.end(0)
        ledger.start(0, entry(2))
        assert ledger.wish(0) == NOTHING
        ledger.want(0, SHUT_DOWN, 1)  # the supervisor had not yet seen that another has begun
        assert ledger.wish(0) == NOTHING

    def test_state_counters_and_switches(self, ledger: Ledger) -> None:
        other = Ledger(2, os.dup(ledger.file))  # as a spawned child has it
        ledger.be(BUSY, 12.25)
        assert (other.state, other.state_since) == (BUSY, 12.25)
        other.be(IDLE, 13.0)
        other.settled()
        other.settled(lost=True)
        other.hear(7.5)
        other.heard(9)
        assert (ledger.state, ledger.done, ledger.lost, ledger.answered, ledger.read) == (IDLE, 2, 1, 7.5, 9)
        assert (other.watched, other.draining, other.on_hold, other.mail) == (False, False, False, 0)
        ledger.watch(True)
        ledger.drain()
        ledger.hold(True)
        ledger.mailed()
        assert (other.watched, other.draining, other.on_hold, other.mail) == (True, True, True, 1)
        other.close()

    def test_clear(self, ledger: Ledger) -> None:
        ledger.ask(3)
        ledger.start(0, entry(1))
        ledger.clear()
        assert (ledger.asked, ledger.started, ledger.running()) == (0, 0, [])


class TestSuddenDeath:
    """What a station leaves that is killed between two bytes."""

    def test_while_it_enters_a_job(self, ledger: Ledger) -> None:
        """The entry may be written, but not that the job has started: it has not."""
        ledger.ask(2)
        ledger.start(0, entry(1))
        ledger.end(0)
        ledger.start(0, entry(2))
        ledger.words[STARTED] = 1
        assert ledger.running() == []
        assert list(ledger.take_back()) == [2]

    def test_while_it_tells_a_new_limit(self, ledger: Ledger) -> None:
        """The job runs: it must neither be forgotten nor be taken for one that wasn't started."""
        ledger.ask(1)
        ledger.start(0, entry(1))
        ledger.words[HEAD // WORD] |= 1
        assert [(running.number, running.job_id) for _, running in ledger.running()] == [(1, "job")]
        assert list(ledger.take_back()) == []

    def test_with_the_lock_in_its_hand(self, ledger: Ledger) -> None:
        ledger.ask(1)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            with ledger.locked():
                os.write(writer, b"locked")
                signal.pause()
        os.read(reader, 6)
        os.kill(child, signal.SIGKILL)
        assert list(ledger.take_back()) == [1]
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def test_starting_and_taking_back_exclude_each_other() -> None:
    """Two processes race for every number: each gets some, and none is had by both."""
    ledger = Ledger(1)
    reader, writer = os.pipe()
    ledger.ask(ROUNDS)
    child = os.fork()
    if child == 0:
        started = bytearray(ROUNDS + 1)
        for number in range(1, ROUNDS + 1):
            started[number] = ledger.start(0, entry(number))
            ledger.end(0)
            if number % 50 == 0:  # now and then the other side's turn comes in any case
                os.sched_yield()
        os.write(writer, bytes(started))
        os._exit(0)
    # Each cut takes all that is asked for: the page is set back behind what was cut, as if more had been asked for.
    taken: set[int] = set()
    wait_until(lambda: ledger.started > 0)
    ledger.words[ASKED] = min(ROUNDS, ledger.started + 20)
    while ledger.started < ROUNDS - 50 and len(taken) < ROUNDS:
        ledger.words[ASKED] = min(ROUNDS, max(ledger.started, ledger.cut) + 3)
        taken |= set(ledger.take_back())
        if ledger.cut >= ROUNDS:
            break
    started = b""
    while len(started) < ROUNDS + 1:
        started += os.read(reader, 1 << 16)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    ledger.close()
    had = {number for number in range(1, ROUNDS + 1) if started[number]}
    assert had
    assert taken
    assert not had & taken
    assert set(range(1, max(taken) + 1)) == {n for n in had | taken if n <= max(taken)}


def test_a_station_that_is_held_up_while_it_writes_has_not_overrun(ledger: Ledger) -> None:
    """On a machine with more processes than cores a station may stand still in the middle of noting a job. Its
    supervisor read zeros there: a job without a name, which ended the worker, or one that ran since the machine was
    started, which was killed and failed."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        for number in range(1, ROUNDS * 20):
            ledger.host(0, entry(number, since=time.monotonic()))
            ledger.limit(0, entry(number, limit=60.0, since=time.monotonic()))
            ledger.end(0)
        os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        found = ledger.entry(0)
        assert found is None or (found.job_id, found.limit in (60.0, 180.0)) == ("job", True)
        assert found is None or found.since >= started


def test_a_new_limit_counts_from_its_own_time_only(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job ran long, and its station stops for good in the middle of telling the shorter limit of a callback."""
    ledger.ask(1)
    assert ledger.start(0, entry(1, since=0.0, limit=3600.0))
    for writes in range(1, 4):
        left = itertools.count(1)
        with monkeypatch.context() as patch:
            patch.setattr(ledger, "_words", _Stopping(ledger._words, left, writes))
            patch.setattr(ledger, "_reals", _Stopping(ledger._reals, left, writes))
            with pytest.raises(_Stopped):
                ledger.limit(0, entry(1, since=3500.0, limit=60.0))
        (found,) = [running for _, running in ledger.running()]
        assert (found.since, found.limit) in ((0.0, 3600.0), (3500.0, 3600.0), (3500.0, 60.0))


class _Stopped(Exception):
    """Here the process stands still."""


class _Stopping:
    """Memory whose writer stops after so many writes."""

    def __init__(self, words: Any, left: Iterator[int], most: int) -> None:
        self._all = words
        self._left = left
        self._most = most

    def __getitem__(self, at: int) -> Any:
        return self._all[at]

    def __setitem__(self, at: int, value: Any) -> None:
        self._all[at] = value
        if next(self._left) == self._most:
            raise _Stopped
