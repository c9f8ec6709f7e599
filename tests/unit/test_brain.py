"""The worker's decisions: what to take, when to wait, when it is enough."""

from __future__ import annotations

import pytest
from tests.unit.brain_scene import QUEUES, Scene, none, only

from atomiq._core.settings import SAFETY_CHECK
from atomiq.worker import events as e
from atomiq.worker import moves as m


class TestStart:
    def test_upkeep_comes_before_the_first_claim(self) -> None:
        assert Scene().tell(e.Begin()) == [m.Upkeep(), m.Reap(), m.Free(), m.Claim(QUEUES, 1)]

    def test_dependants_that_somebody_left_behind_go_on_at_once(self) -> None:
        """A worker that starts lets leases rest for as long as they last, in case all were cut off; it let those wait
        as long that were to be freed, and a burst worker went home without them."""
        assert only(Scene().tell(e.Begin(cut_off_for=30.0)), m.Free)

    def test_leases_are_not_judged_right_after_a_start_of_the_server(self) -> None:
        scene = Scene()
        assert none(scene.tell(e.Begin(cut_off_for=7.0)), m.Reap)
        scene.idle()
        began = scene.now
        scene.until(m.Reap)
        assert scene.now - began == pytest.approx(7.0)


class TestWork:
    def test_a_claimed_job_is_started(self) -> None:
        assert Scene().begin().give("a") == [m.StartJob("a")]

    def test_the_end_of_a_job_is_settled_together_with_the_next_claim(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert scene.tell(e.CallEnded("a", reported=True)) == [m.Settle("a", "reported", m.Claim(QUEUES, 1))]
        assert scene.tell(e.Settled("a", "ok")) == []
        assert scene.give("b") == [m.StartJob("b")]

    def test_slots_limit_what_is_claimed(self) -> None:
        scene = Scene(slots=3)
        assert only(scene.tell(e.Begin()), m.Claim).count == 3
        assert only(scene.give("a"), m.Claim).count == 2
        assert scene.give("b", "c") == [m.StartJob("b"), m.StartJob("c")]

    def test_a_job_that_is_not_known_ends_without_a_word(self) -> None:
        scene = Scene().begin()
        scene.idle()
        assert scene.tell(e.CallEnded("ghost", reported=True)) == []
        assert scene.tell(e.Settled("ghost", "ok")) == []

    def test_an_end_is_told_once(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        assert scene.tell(e.CallEnded("a", reported=False)) == []

    @pytest.mark.parametrize(("word", "lost"), [("ok", 0), ("already", 0), ("gone", 0), ("not_yours", 1)])
    def test_every_word_ends_the_execution(self, word: str, lost: int) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.Settled("a", word))
        assert scene.brain.held == ()
        assert scene.brain.executed == 1
        assert scene.brain.lost == lost

    def test_dropped_outcomes_are_said(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.Settled("a", "not_yours"))
        assert scene.said("no longer ours")

    def test_dependants_beyond_the_bound_are_freed_step_by_step(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        assert only(scene.tell(e.Settled("a", "ok", more=True)), m.Free)
        scene.idle()
        assert only(scene.tell(e.Freed(more=True)), m.Free)
        assert none(scene.tell(e.Freed(more=False)), m.Free)

    def test_those_of_a_parent_that_nobody_runs_as_well(self) -> None:
        """It was deleted, or its worker died. Who came by freed 2,000 of its dependants, and the next 2,000 ten seconds
        later."""
        scene = Scene().begin()
        assert none(scene.tell(e.Reaped()), m.Free)
        assert only(scene.tell(e.Reaped(more=True)), m.Free)
        assert none(scene.tell(e.Freed(more=False)), m.Free)


class TestWaiting:
    def test_an_idle_worker_listens_and_asks_nothing(self) -> None:
        scene = Scene().begin()
        assert scene.idle() == [m.Listen(QUEUES, SAFETY_CHECK)]
        assert none(scene.wake(), m.Claim, m.Listen)

    @pytest.mark.parametrize("event", [e.Rang(), e.NotRung()])
    def test_it_claims_when_the_wait_is_over(self, event: e.Event) -> None:
        scene = Scene().begin()
        scene.idle()
        assert only(scene.tell(event), m.Claim) == m.Claim(QUEUES, 1)

    def test_it_wakes_for_what_is_due(self) -> None:
        scene = Scene().begin()
        assert scene.idle(due_in=1.5) == [m.Listen(QUEUES, 1.5)]
        assert only(scene.tell(e.NotRung(), after=1.5), m.Claim).pass_on

    def test_it_passes_the_watch_over_the_schedule_on_only_after_a_wait_for_it(self) -> None:
        scene = Scene().begin()
        scene.idle(due_in=1.5)
        scene.tell(e.NotRung())
        scene.give("a")
        settle = only(scene.tell(e.CallEnded("a", reported=True)), m.Settle)
        assert settle.claim is not None
        assert not settle.claim.pass_on

    def test_what_is_due_at_once_is_not_waited_for_in_a_circle(self) -> None:
        assert only(Scene().begin().idle(due_in=0.0), m.Listen).timeout > 0

    def test_the_check_quickens_while_producers_do_not_ring(self) -> None:
        scene = Scene().begin()
        scene.idle()
        scene.tell(e.NotRung(), after=5)
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.Settled("a", "ok"))
        assert scene.idle() == [m.Listen(QUEUES, 0.25)]
        scene.tell(e.NotRung(), after=61)
        assert scene.idle() == [m.Listen(QUEUES, SAFETY_CHECK)]

    def test_a_due_job_is_no_sign_of_silent_producers(self) -> None:
        scene = Scene().begin()
        scene.idle(due_in=2)
        scene.tell(e.NotRung(), after=2)
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.Settled("a", "ok"))
        assert scene.idle() == [m.Listen(QUEUES, SAFETY_CHECK)]

    def test_a_rung_job_is_no_sign_of_silent_producers(self) -> None:
        scene = Scene().begin()
        scene.idle()
        scene.tell(e.Rang(), after=1)
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.Settled("a", "ok"))
        assert scene.idle() == [m.Listen(QUEUES, SAFETY_CHECK)]

    def test_an_unrung_wait_that_finds_nothing_is_forgotten(self) -> None:
        scene = Scene().begin()
        scene.idle()
        scene.tell(e.NotRung(), after=5)
        scene.idle()
        scene.tell(e.Rang())
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.Settled("a", "ok"))
        assert scene.idle() == [m.Listen(QUEUES, SAFETY_CHECK)]

    def test_a_bounded_answer_is_followed_up_at_once(self) -> None:
        assert Scene().begin().tell(e.Claimed(more=True)) == [m.Claim(QUEUES, 1)]


class TestLimitsOfARun:
    def test_burst_ends_when_there_is_nothing(self) -> None:
        scene = Scene(burst=True).begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.Settled("a", "ok"))
        assert scene.idle() == [m.Free(), m.Claim(QUEUES, 1)]
        scene.sweep()
        assert scene.idle() == [m.Quit()]
        assert scene.brain.phase == "over"
        assert scene.tell(e.Tick(), after=100) == []

    def test_burst_looks_for_dependants_until_there_are_none(self) -> None:
        """A claim that meets an expired job frees 100 of those that waited for it, and has no word for more."""
        scene = Scene(burst=True).begin()
        for freed in (100, 0):
            assert scene.idle() == [m.Free(), m.Claim(QUEUES, 1)]
            scene.sweep(freed)
        assert scene.idle() == [m.Quit()]

    def test_burst_looks_on_after_a_bounded_answer(self) -> None:
        assert none(Scene(burst=True).begin().tell(e.Claimed(more=True)), m.Quit)

    def test_burst_waits_for_what_still_runs(self) -> None:
        scene = Scene(burst=True, slots=2).begin()
        scene.give("a")
        assert none(scene.idle(), m.Quit, m.Claim)
        scene.tell(e.CallEnded("a", reported=True))
        moves = scene.tell(e.Settled("a", "ok"))
        assert m.StopListening() in moves
        assert only(moves, m.Claim)
        assert only(scene.idle(), m.Free)
        scene.sweep()
        assert scene.idle() == [m.Quit()]

    def test_its_own_child_was_killed_before_the_server_had_heard_how_its_job_ended(self) -> None:
        """The job has failed of it: its callback is owed, and its dependants may be more than one step has freed."""
        moves = Scene(burst=True).begin().tell(e.Failed(("x",)))
        assert only(moves, m.StartAside) == m.StartAside("abandoned", "x")
        assert only(moves, m.Free)

    def test_burst_waits_for_callbacks_of_abandoned_jobs(self) -> None:
        scene = Scene(burst=True)
        scene.tell(e.Begin())
        assert only(scene.tell(e.Reaped(failed=("x",))), m.StartAside)
        assert none(scene.idle(), m.Quit)
        scene.tell(e.AsideEnded("abandoned", "x"))
        assert only(scene.idle(), m.Free)
        scene.sweep()
        assert scene.idle() == [m.Quit()]

    def test_max_jobs(self) -> None:
        scene = Scene(max_jobs=2).begin()
        scene.give("a")
        settle = only(scene.tell(e.CallEnded("a", reported=True)), m.Settle)
        assert settle.claim is not None
        scene.tell(e.Settled("a", "ok"))
        scene.give("b")
        assert scene.tell(e.CallEnded("b", reported=True)) == [m.Settle("b", "reported", None)]
        assert scene.tell(e.Settled("b", "ok")) == [m.Quit()]
        assert scene.said("finished executing 2 jobs, quitting")

    def test_max_jobs_is_not_exceeded_by_many_slots(self) -> None:
        assert only(Scene(max_jobs=2, slots=10).tell(e.Begin()), m.Claim).count == 2

    def test_max_idle_time(self) -> None:
        scene = Scene(max_idle_time=SAFETY_CHECK + 2).begin()
        assert scene.idle() == [m.Listen(QUEUES, SAFETY_CHECK)]
        scene.tell(e.NotRung(), after=SAFETY_CHECK)
        assert scene.idle() == [m.Listen(QUEUES, 2.0)]
        scene.tell(e.NotRung(), after=2)
        assert scene.idle() == [m.Quit()]

    def test_work_ends_an_idle_time(self) -> None:
        scene = Scene(max_idle_time=SAFETY_CHECK).begin()
        scene.idle()
        scene.tell(e.Rang(), after=4)
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=True), after=100)
        scene.tell(e.Settled("a", "ok"))
        assert scene.idle() == [m.Listen(QUEUES, SAFETY_CHECK)]


class TestOrder:
    def test_the_order_follows_what_was_served(self) -> None:
        scene = Scene(reorder=lambda order, served: (*[q for q in order if q != served], served)).begin()
        scene.give("a")
        settle = only(scene.tell(e.CallEnded("a", reported=True)), m.Settle)
        assert settle.claim == m.Claim(("low", "high"), 1)


class TestSuspension:
    def test_a_suspended_worker_says_so_and_looks_again(self) -> None:
        scene = Scene().begin()
        assert scene.tell(e.Claimed(suspended=True)) == [m.Beat(state="suspended"), m.Listen(QUEUES, 1.0)]
        assert scene.said("suspended")
        scene.tell(e.NotRung(), after=1)
        scene.tell(e.Claimed(suspended=True))
        assert not scene.said("suspended")

    def test_it_goes_on_when_resumed(self) -> None:
        scene = Scene().begin()
        scene.tell(e.Claimed(suspended=True))
        scene.tell(e.Rang())
        assert scene.give("a") == [m.StartJob("a")]

    def test_burst_ends_at_once(self) -> None:
        assert Scene(burst=True).begin().tell(e.Claimed(suspended=True)) == [m.Quit()]

    def test_time_in_suspension_is_not_idle_time(self) -> None:
        scene = Scene(max_idle_time=3).begin()
        scene.tell(e.Claimed(suspended=True))
        scene.tell(e.NotRung(), after=10)
        assert only(scene.idle(), m.Listen)
