"""The worker's decisions: shutting down, and a server that is away."""

from __future__ import annotations

import logging

import pytest
from tests.unit.brain_scene import QUEUES, Scene, none, only

from atomiq.worker import events as e
from atomiq.worker import moves as m


class TestShutdown:
    def test_an_idle_worker_goes_at_once(self) -> None:
        scene = Scene().begin()
        scene.idle()
        assert scene.signal() == [m.StopListening(), m.Quit()]

    def test_a_busy_worker_finishes_and_claims_nothing_more(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert scene.signal() == [m.Beat(stopping=True)]
        assert scene.tell(e.CallEnded("a", reported=True)) == [m.Settle("a", "reported", None)]
        assert scene.tell(e.Settled("a", "ok")) == [m.Quit()]

    def test_what_is_claimed_while_the_wish_arrives_is_given_back(self) -> None:
        scene = Scene().begin()
        assert none(scene.signal(), m.Quit)
        assert scene.give("a") == [m.Release(("a",))]
        assert scene.tell(e.Settled("a", "ok")) == [m.Quit()]
        assert scene.brain.executed == 0

    def test_an_empty_answer_after_the_wish_ends_it(self) -> None:
        scene = Scene().begin()
        scene.signal()
        assert scene.idle() == [m.Quit()]

    def test_an_echo_of_the_signal_is_no_second_wish(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.signal()
        assert none(scene.signal(after=0.5), m.Quit)

    def test_a_second_signal_is_a_cold_stop(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.signal()
        assert scene.signal(after=1.5) == [m.Quit(cold=True)]

    def test_grace(self) -> None:
        scene = Scene(grace=5).begin()
        scene.give("a", limit=None)
        scene.signal()
        begun = scene.now
        assert scene.until(m.Interrupt) == m.Interrupt("a")
        assert scene.now - begun == pytest.approx(5)
        assert scene.until(m.Kill) == m.Kill("a")
        assert scene.tell(e.CallEnded("a", reported=False)) == [m.Release(("a",))]
        assert scene.tell(e.Settled("a", "ok")) == [m.Quit()]

    def test_a_job_that_ends_within_the_grace_is_settled(self) -> None:
        scene = Scene(grace=5).begin()
        scene.give("a")
        scene.signal()
        assert only(scene.tell(e.CallEnded("a", reported=True), after=3), m.Settle).verdict == "reported"

    def test_a_child_that_was_terminated_along_with_us_is_given_back(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert none(scene.tell(e.CallEnded("a", reported=False, terminated=True)), m.Settle, m.Release)
        assert m.Release(("a",)) in scene.signal(after=0.1)
        assert scene.tell(e.Settled("a", "ok")) == [m.Quit()]

    def test_in_whichever_order_it_is_seen(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.signal()
        assert scene.tell(e.CallEnded("a", reported=False, terminated=True)) == [m.Release(("a",))]

    def test_a_child_that_was_terminated_alone_is_dead(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=False, terminated=True))
        assert scene.until(m.Settle).verdict == "died"

    def test_callbacks_are_waited_for(self) -> None:
        scene = Scene().begin()
        scene.idle()
        scene.tell(e.Reaped(failed=("x",)))
        assert none(scene.signal(), m.Quit)
        assert scene.tell(e.AsideEnded("abandoned", "x")) == [m.Quit()]

    def test_no_hot_circle_while_waiting_for_callbacks(self) -> None:
        scene = Scene().begin()
        scene.idle()
        scene.tell(e.Reaped(failed=("x",)))
        scene.signal()
        for _ in range(20):
            scene.wake()
            for move in scene.moves:
                if isinstance(move, m.Reap):
                    scene.tell(e.Reaped())
        assert scene.now > 1030


class TestCutOff:
    def test_it_waits_longer_and_longer(self) -> None:
        scene = Scene().begin()
        scene.idle()
        assert scene.tell(e.CutOff("refused")) == [m.Hangup()]
        pauses = []
        for _ in range(6):
            at = scene.brain.next_wake()
            assert at is not None
            pauses.append(at - scene.now)
            assert scene.wake() == [m.Probe()]
            assert scene.tell(e.CutOff("refused")) == []
        assert pauses == pytest.approx([1, 2, 4, 5, 5, 5])

    def test_it_goes_on_when_the_server_is_back(self) -> None:
        scene = Scene().begin()
        scene.idle()
        scene.tell(e.CutOff("refused"))
        scene.wake()
        assert only(scene.tell(e.Back()), m.Claim)
        scene.idle()
        scene.tell(e.CutOff("refused"))
        at = scene.brain.next_wake()
        assert at is not None
        assert at - scene.now == pytest.approx(1)

    def test_a_claim_without_answer_is_made_again(self) -> None:
        scene = Scene().begin()
        scene.tell(e.CutOff("reset"))
        scene.wake()
        assert only(scene.tell(e.Back()), m.Claim)

    def test_children_run_on_and_their_outcome_is_kept(self) -> None:
        scene = Scene().begin()
        scene.give("a", limit=None)
        assert none(scene.tell(e.CutOff("reset")), m.Kill)
        assert scene.tell(e.CallEnded("a", reported=True)) == []
        scene.wake()
        moves = scene.tell(e.Back())
        assert only(moves, m.Settle) == m.Settle("a", "reported", m.Claim(QUEUES, 1))
        assert only(moves, m.Extend)

    def test_a_settlement_without_answer_is_sent_again(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.CutOff("reset"))
        scene.wake()
        assert only(scene.tell(e.Back()), m.Settle).execution_id == "a"

    def test_a_release_without_answer_is_sent_again(self) -> None:
        scene = Scene().begin()
        scene.signal()
        scene.give("a")
        scene.tell(e.CutOff("reset"))
        scene.wake()
        assert only(scene.tell(e.Back()), m.Release).execution_ids == ("a",)

    def test_others_leases_are_not_judged_for_one_lease(self) -> None:
        scene = Scene(lease=30).begin()
        scene.idle()
        scene.tell(e.CutOff("reset"), after=100)
        scene.wake()
        scene.tell(e.Back())
        scene.idle()
        begun = scene.now
        scene.until(m.Reap)
        assert scene.now - begun == pytest.approx(30)

    def test_others_leases_are_judged_as_ever_after_a_short_break(self) -> None:
        scene = Scene(lease=30).begin()
        scene.idle()
        begun = scene.now
        scene.tell(e.CutOff("reset"), after=4)
        scene.wake()
        scene.tell(e.Back())
        scene.idle()
        scene.until(m.Reap)
        assert scene.now - begun == pytest.approx(10)

    def test_others_leases_are_judged_by_a_worker_that_is_cut_off_all_the_time(self) -> None:
        """Each reconnection put it off by a lease: jobs of the dead were left alone for as long as that went on."""
        scene = Scene(lease=30).begin()
        scene.idle()
        scene.tell(e.CutOff("reset"), after=100)
        scene.wake()
        begun = scene.now
        while not (reaps := [move for move in scene.tell(e.Back()) if isinstance(move, m.Reap)]):
            assert scene.now < begun + 100
            scene.idle()
            scene.tell(e.CutOff("reset"), after=7)
            scene.wake()
        assert len(reaps) == 1
        assert begun + 60 <= scene.now < begun + 70

    def test_time_limits_hold_meanwhile(self) -> None:
        scene = Scene(kill_after=1).begin()
        scene.give("a", limit=1.0)
        scene.tell(e.CutOff("reset"))
        assert m.Kill("a") in scene.tell(e.Tick(), after=2.5)

    def test_an_idle_worker_can_go(self) -> None:
        scene = Scene().begin()
        scene.idle()
        scene.tell(e.CutOff("reset"))
        assert scene.signal() == [m.Quit()]

    def test_a_worker_that_owes_a_settlement_stays_until_told_twice(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.CutOff("reset"))
        scene.tell(e.CallEnded("a", reported=True))
        assert scene.signal() == []
        assert scene.signal(after=2) == [m.Quit(cold=True)]

    def test_burst_waits_for_the_server(self) -> None:
        scene = Scene(burst=True).begin()
        assert none(scene.tell(e.CutOff("reset")), m.Quit)


def test_every_text_for_the_log_is_at_a_level_that_shows() -> None:
    scene = Scene().begin()
    scene.idle()
    scene.tell(e.CutOff("refused"))
    assert [move.level for move in scene.moves if isinstance(move, m.Log)] == [logging.ERROR]
