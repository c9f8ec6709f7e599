"""The worker's decisions: keeping what it holds, time limits, deaths, remote commands."""

from __future__ import annotations

import pytest
from tests.unit.brain_scene import QUEUES, Scene, none, only

from atomiq.worker import events as e
from atomiq.worker import moves as m


class TestLeases:
    def test_what_is_held_is_extended_every_third_of_a_lease(self) -> None:
        scene = Scene(lease=30).begin()
        scene.give("a", limit=None)
        begun = scene.now
        assert scene.until(m.Extend) == m.Extend(("a",))
        assert scene.now - begun == pytest.approx(10)
        scene.tell(e.Extended())
        assert scene.until(m.Extend) == m.Extend(("a",))
        assert scene.now - begun == pytest.approx(20)

    def test_short_jobs_do_not_put_the_sign_of_life_off(self) -> None:
        scene = Scene(lease=30).begin()
        extended = 0
        scene.give("0", limit=None)
        for number in range(1, 40):
            moves = scene.tell(e.CallEnded(str(number - 1), reported=True), after=1)
            extended += sum(isinstance(move, m.Extend | m.Beat) for move in moves)
            scene.tell(e.Settled(str(number - 1), "ok"))
            scene.give(str(number), limit=None)
        assert extended == 3

    def test_an_idle_worker_gives_signs_of_life(self) -> None:
        scene = Scene(lease=30).begin()
        scene.idle()
        assert scene.until(m.Beat) == m.Beat()

    def test_a_keeper_extends_what_runs_here(self) -> None:
        scene = Scene(extends=False, killable=False).begin()
        scene.give("a")
        assert none(scene.tell(e.Tick(), after=11), m.Extend)

    def test_a_lost_job_is_killed_and_nothing_of_it_is_sent(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert scene.tell(e.Extended(lost=("a",))) == [m.Kill("a")]
        assert scene.brain.lost == 1
        assert scene.tell(e.Extended(lost=("a",))) == []
        moves = scene.tell(e.CallEnded("a", reported=False))
        assert m.Forget("a") in moves
        assert none(moves, m.Settle)
        assert only(moves, m.Claim)

    def test_a_lost_job_that_reports_all_the_same_is_dropped(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.Extended(lost=("a",)))
        assert m.Forget("a") in scene.tell(e.CallEnded("a", reported=True))

    def test_a_vanished_hash_is_written_anew(self) -> None:
        scene = Scene().begin()
        scene.idle()
        assert scene.tell(e.Extended(reborn=True)) == [m.Register()]


class TestOthersLeases:
    def test_they_are_looked_at_when_the_first_is_over(self) -> None:
        scene = Scene(lease=30)
        scene.tell(e.Begin())
        scene.tell(e.Reaped(next_in=4.0))
        scene.idle()
        begun = scene.now
        scene.until(m.Reap)
        assert scene.now - begun == pytest.approx(4)

    def test_and_in_any_case_every_third_of_a_lease(self) -> None:
        scene = Scene(lease=30)
        scene.tell(e.Begin())
        scene.tell(e.Reaped(next_in=29.0))
        scene.idle()
        begun = scene.now
        scene.until(m.Reap)
        assert scene.now - begun == pytest.approx(10)

    def test_a_lease_that_was_over_already_makes_no_hot_circle(self) -> None:
        scene = Scene()
        scene.tell(e.Begin())
        scene.tell(e.Reaped(next_in=-1.0))
        scene.idle()
        at = scene.brain.next_wake()
        assert at is not None
        assert at > scene.now

    def test_callbacks_of_abandoned_jobs_run_one_after_the_other(self) -> None:
        scene = Scene().begin()
        scene.idle()
        assert scene.tell(e.Reaped(failed=("x", "y"))) == [m.StartAside("abandoned", "x")]
        assert scene.tell(e.AsideEnded("abandoned", "x")) == [m.StartAside("abandoned", "y")]
        assert scene.tell(e.AsideEnded("abandoned", "y")) == []

    def test_upkeep_keeps_its_interval(self) -> None:
        scene = Scene(upkeep_interval=600).begin()
        scene.idle()
        begun = scene.now
        scene.until(m.Upkeep, limit=500)
        assert scene.now - begun == pytest.approx(600)

    def test_a_long_cleaning_goes_on_soon(self) -> None:
        scene = Scene(upkeep_interval=600).begin()
        scene.idle()
        begun = scene.now
        assert scene.tell(e.Cleaned(any=True, more=True)) == [m.Free()]
        scene.until(m.Upkeep)
        assert 0 < scene.now - begun < 1
        scene.tell(e.Cleaned(any=True, more=False))
        scene.until(m.Upkeep, limit=500)
        assert scene.now - begun == pytest.approx(600, abs=1)

    def test_a_long_cleaning_leaves_most_of_a_slow_server_to_the_jobs(self) -> None:
        """A part that took half a second was followed by the next one after 50 ms: with a million entries in its
        registries, a server on a busy machine did nothing but clean for a minute, and ran half as many jobs."""
        scene = Scene(upkeep_interval=600).begin()
        scene.idle()
        scene.tell(e.Cleaned(any=True, more=True))
        for took, pause in ((0.5, 1.0), (0.001, 0.05), (500.0, 600.0)):
            scene.until(m.Upkeep, limit=500)
            scene.tell(e.Cleaned(any=True, more=True), after=took)
            ended = scene.now
            scene.until(m.Upkeep, limit=500)
            assert scene.now - ended == pytest.approx(pause, abs=0.01)
            scene.tell(e.Cleaned(any=True, more=True))


class TestTimeLimits:
    def test_a_job_that_ignores_its_limit_is_killed_after_the_margin(self) -> None:
        scene = Scene(kill_after=60).begin()
        scene.give("a", limit=5.0)
        begun = scene.now
        assert scene.until(m.Kill) == m.Kill("a")
        assert scene.now - begun == pytest.approx(65)
        assert only(scene.tell(e.CallEnded("a", reported=False)), m.Settle).verdict == "overran"

    def test_a_report_that_was_on_its_way_counts(self) -> None:
        scene = Scene(kill_after=1).begin()
        scene.give("a", limit=1.0)
        scene.until(m.Kill)
        assert only(scene.tell(e.CallEnded("a", reported=True)), m.Settle).verdict == "reported"

    def test_no_limit(self) -> None:
        scene = Scene().begin()
        scene.give("a", limit=None)
        assert none(scene.tell(e.Tick(), after=100_000), m.Kill)

    def test_a_callback_gets_its_own_limit(self) -> None:
        scene = Scene(kill_after=1).begin()
        scene.give("a", limit=2.0)
        scene.tell(e.Limited("a", 50.0), after=1.5)
        begun = scene.now
        scene.until(m.Kill)
        assert scene.now - begun == pytest.approx(51)

    def test_a_callback_of_an_abandoned_job_gets_its_own_limit(self) -> None:
        """It was killed after a minute, whatever its limit was."""
        scene = Scene(kill_after=1).begin()
        scene.tell(e.Reaped(failed=("x",)))
        scene.tell(e.Limited(("abandoned", "x"), 300.0), after=1.5)
        begun = scene.now
        assert scene.until(m.KillAside) == m.KillAside("abandoned", "x")
        assert scene.now - begun == pytest.approx(301)

    def test_a_kill_that_did_nothing_is_repeated(self) -> None:
        scene = Scene(kill_after=1).begin()
        scene.give("a", limit=1.0)
        scene.until(m.Kill)
        assert scene.until(m.Kill) == m.Kill("a")

    def test_a_job_in_our_own_process_is_not_killed(self) -> None:
        scene = Scene(killable=False, extends=False).begin()
        scene.give("a", limit=1.0)
        assert none(scene.tell(e.Tick(), after=1000), m.Kill)


class TestDeath:
    def test_a_dead_child_is_settled_at_once(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert scene.tell(e.CallEnded("a", reported=False)) == [m.Settle("a", "died", m.Claim(QUEUES, 1))]

    def test_a_handler_is_told_first(self) -> None:
        scene = Scene(killed_handler=True).begin()
        scene.give("a")
        assert scene.tell(e.CallEnded("a", reported=False)) == [m.StartAside("killed", "a")]
        assert only(scene.tell(e.AsideEnded("killed", "a")), m.Settle).verdict == "died"

    def test_a_handler_that_never_ends_is_killed(self) -> None:
        scene = Scene(killed_handler=True, kill_after=1, aside_limit=2).begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=False))
        begun = scene.now
        assert scene.until(m.KillAside) == m.KillAside("killed", "a")
        assert scene.now - begun == pytest.approx(3)

    def test_a_handler_that_could_not_be_started_is_started_when_the_server_is_back(self) -> None:
        scene = Scene(killed_handler=True, kill_after=1, aside_limit=2).begin()
        scene.give("a")
        scene.tell(e.CallEnded("a", reported=False))
        scene.tell(e.CutOff("gone"))
        scene.tell(e.AsidePutOff("killed", "a"))
        assert none(scene.tell(e.Tick(), after=100), m.StartAside, m.KillAside, m.Settle)
        assert only(scene.tell(e.Back()), m.StartAside) == m.StartAside("killed", "a")
        assert only(scene.tell(e.AsideEnded("killed", "a")), m.Settle).verdict == "died"


class TestRemote:
    def test_stop_kills_and_settles_as_stopped(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert scene.tell(e.Told("stop-job", "job-a")) == [m.Kill("a")]
        assert only(scene.tell(e.CallEnded("a", reported=False)), m.Settle).verdict == "stopped"

    def test_the_stopped_callback_comes_first(self) -> None:
        scene = Scene().begin()
        scene.give("a", stopped_callback=3.0)
        scene.tell(e.Told("stop-job", "job-a"))
        assert scene.tell(e.CallEnded("a", reported=False)) == [m.StartAside("stopped", "a")]
        assert only(scene.tell(e.AsideEnded("stopped", "a")), m.Settle).verdict == "stopped"

    def test_the_lease_is_kept_during_the_callback(self) -> None:
        scene = Scene().begin()
        scene.give("a", stopped_callback=1000.0)
        scene.tell(e.Told("stop-job", "job-a"))
        scene.tell(e.CallEnded("a", reported=False))
        assert scene.until(m.Extend) == m.Extend(("a",))

    def test_the_durable_wish_to_stop_does_the_same(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert scene.tell(e.Extended(stop=("a",))) == [m.Kill("a")]
        assert none(scene.tell(e.Extended(stop=("a",))), m.Kill)

    def test_a_job_that_ended_before_the_kill_keeps_its_outcome(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.Told("stop-job", "job-a"))
        assert only(scene.tell(e.CallEnded("a", reported=True)), m.Settle).verdict == "reported"

    def test_stop_of_another_job_is_ignored(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert scene.tell(e.Told("stop-job", "job-b")) == []

    def test_a_stop_does_not_stick_to_the_next_run_of_the_job(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        scene.tell(e.Told("stop-job", "job-a"))
        scene.tell(e.CallEnded("a", reported=True))
        scene.tell(e.Settled("a", "ok"))
        scene.tell(e.Claimed((e.Taken("again", "job-a", "high"),)))
        assert only(scene.tell(e.CallEnded("again", reported=False)), m.Settle).verdict == "died"

    def test_kill_horse(self) -> None:
        scene = Scene().begin()
        scene.give("a")
        assert scene.tell(e.Told("kill-horse")) == [m.Kill("a")]
        assert only(scene.tell(e.CallEnded("a", reported=False)), m.Settle).verdict == "killed"

    def test_kill_horse_of_an_idle_worker_is_ignored(self) -> None:
        scene = Scene().begin()
        scene.idle()
        assert scene.tell(e.Told("kill-horse")) == []

    @pytest.mark.parametrize("command", ["kill-horse", "stop-job"])
    def test_an_inline_worker_ignores_them_and_says_so(self, command: str) -> None:
        scene = Scene(killable=False, extends=False).begin()
        scene.give("a")
        assert scene.tell(e.Told(command, "job-a")) == []
        assert scene.said("ignored")
