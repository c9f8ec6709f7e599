"""The worker's decisions about stations: what they run is extended, stopped and killed; how they are, together."""

from __future__ import annotations

from typing import Any

from tests.unit.brain_scene import Scene, none, only

from atomiq.worker import events as e
from atomiq.worker import moves as m


def sighted(name: str, since: float, limit: float | None = 180.0, shared: bool = False) -> e.Sighted:
    return e.Sighted(e.Taken(name, f"job-{name}", "high", limit, shared=shared), since)


class Stations(Scene):
    """A scene whose worker has stations, which have begun."""

    def __init__(self, **rules: Any) -> None:
        super().__init__(slots=0, stations=2, **rules)
        self.begin()
        self.tell(e.CrewState(members=2))

    def see(self, *running: e.Sighted, gone: tuple[str, ...] = (), after: float = 0.0) -> list[m.Move]:
        return self.tell(e.Seen(running, gone), after)


class TestWork:
    def test_the_supervisor_claims_nothing(self) -> None:
        scene = Stations()
        assert none(scene.moves, m.Claim, m.Listen)
        scene.see(sighted("a", scene.now))
        assert none(scene.see(gone=("a",)), m.Claim, m.Settle)

    def test_what_they_run_is_extended_until_it_is_gone(self) -> None:
        scene = Stations(lease=30)
        scene.see(sighted("a", scene.now), sighted("b", scene.now, limit=None))
        begun = scene.now
        assert scene.until(m.Extend) == m.Extend(("a", "b"))
        assert scene.now - begun <= 10
        scene.tell(e.Extended())
        scene.see(gone=("a",))
        assert scene.until(m.Extend) == m.Extend(("b",))

    def test_one_that_holds_nothing_beats_within_its_lease(self) -> None:
        scene = Stations(lease=30)
        scene.until(m.Beat)
        begun = scene.now
        scene.until(m.Beat)
        assert 20 < scene.now - begun < 30

    def test_what_is_taken_right_after_a_beat_is_extended_in_time(self) -> None:
        scene = Stations(lease=30)
        scene.until(m.Beat)
        begun = scene.now
        scene.see(sighted("a", scene.now), after=0.5)
        scene.until(m.Extend)
        assert scene.now - begun <= 10.5

    def test_what_an_earlier_program_has_left_is_extended_before_anything_else(self) -> None:
        """While a new program started nobody extended the leases of the children it was left, and then it waited for
        another third of a lease: with slow imports it took its own job for abandoned, and ran it a second time."""
        scene = Scene(slots=0, stations=2, lease=30)
        assert scene.tell(e.Seen((sighted("a", scene.now),), ())) == [m.Extend(("a",))]
        scene.tell(e.Extended())
        assert none(scene.tell(e.Begin(cut_off_for=20.0)), m.Reap, m.Extend)
        assert scene.until(m.Extend) == m.Extend(("a",))

    def test_what_runs_is_extended_right_before_the_next_program(self) -> None:
        scene = Stations(lease=30)
        scene.see(sighted("a", scene.now))
        assert scene.tell(e.ReloadWanted(), after=1)[-2:] == [m.Extend(("a",)), m.Quit(reload=True)]


class TestLimits:
    def test_an_overrun_is_killed(self) -> None:
        scene = Stations(kill_after=5)
        scene.see(sighted("a", scene.now, limit=10))
        assert none(scene.tell(e.Tick(), after=14.9), m.Kill)
        assert scene.tell(e.Tick(), after=0.2) == [m.Kill("a")]
        scene.tell(e.CallEnded("a", reported=False))
        assert scene.brain.runs["a"].verdict == "overran"

    def test_a_callback_has_its_own_limit(self) -> None:
        scene = Stations(kill_after=5)
        scene.see(sighted("a", scene.now, limit=10))
        scene.see(sighted("a", scene.now + 9, limit=60), after=9)
        assert none(scene.tell(e.Tick(), after=60), m.Kill)
        assert only(scene.tell(e.Tick(), after=6), m.Kill) == m.Kill("a")


class TestLostLeases:
    def test_one_that_was_settled_a_moment_ago_is_not_killed(self) -> None:
        """The server says lost of what a station has settled while the question was on its way. The station was killed
        for it, and its next job with it."""
        scene = Stations()
        scene.see(sighted("a", scene.now))
        assert scene.tell(e.Extended(lost=("a",))) == []
        assert scene.see(sighted("b", scene.now + 0.25), gone=("a",), after=0.25) == []
        assert none(scene.tell(e.Tick(), after=2), m.Kill)
        assert scene.brain.lost == 0

    def test_one_that_nobody_has_looked_at_since_is_not_killed(self) -> None:
        """On a busy machine the supervisor came to its next turn a second after it was told of a loss. It warned that
        the job was no longer ours and killed, though it had ended well, as a look at the ledger would have shown."""
        scene = Stations()
        scene.see(sighted("a", scene.now))
        scene.tell(e.Extended(lost=("a",)))
        scene.tell(e.Tick(), after=1)
        assert none(scene.moves, m.Kill)
        assert none(scene.moves, m.Log)
        assert scene.see(sighted("b", scene.now), gone=("a",)) == []
        assert scene.brain.lost == 0

    def test_one_that_goes_on_is_killed_in_the_end(self) -> None:
        scene = Stations()
        begun = scene.now
        scene.see(sighted("a", begun))
        scene.tell(e.Extended(lost=("a",)))
        for _ in range(2):
            assert scene.see(sighted("a", begun), after=0.25) == []
        assert scene.see(sighted("a", begun), after=0.25) == [m.Kill("a")]
        assert scene.brain.lost == 1
        assert m.Forget("a") in scene.tell(e.CallEnded("a", reported=False))

    def test_one_beside_others_is_asked_to_stop(self) -> None:
        scene = Stations()
        begun = scene.now
        scene.see(sighted("a", begun, shared=True))
        scene.tell(e.Extended(lost=("a",)))
        assert scene.see(sighted("a", begun, shared=True), after=0.7) == [m.AskToStop("a")]
        assert scene.see(sighted("a", begun, shared=True), after=0.7) == []
        assert none(scene.tell(e.Tick(), after=30), m.Kill)


class TestDeath:
    def test_what_died_with_its_station_is_settled(self) -> None:
        scene = Stations()
        scene.see(sighted("a", scene.now))
        moves = scene.tell(e.CallEnded("a", reported=False))
        assert only(moves, m.Settle) == m.Settle("a", "died", None)

    def test_what_died_for_anothers_sake_is_given_back(self) -> None:
        scene = Stations()
        scene.see(sighted("a", scene.now, shared=True), sighted("b", scene.now, shared=True))
        moves = scene.tell(e.CallEnded("b", reported=False, collateral=True))
        assert only(moves, m.Release) == m.Release(("b",))

    def test_no_station_can_be_had(self) -> None:
        scene = Stations()
        assert scene.tell(e.Hopeless("5 in a row")) == [m.Quit(failed="5 in a row")]


class TestStop:
    def test_a_job_alone_in_its_process_is_killed(self) -> None:
        scene = Stations()
        scene.see(sighted("a", scene.now))
        assert scene.tell(e.Told("stop-job", "job-a")) == [m.Kill("a")]
        moves = scene.tell(e.CallEnded("a", reported=False))
        assert only(moves, m.Settle).verdict == "stopped"

    def test_one_beside_others_is_asked_first(self) -> None:
        scene = Stations()
        scene.see(sighted("a", scene.now, shared=True))
        assert scene.tell(e.Told("stop-job", "job-a")) == [m.AskToStop("a")]
        assert only(scene.tell(e.Tick(), after=2.1), m.Kill) == m.Kill("a")


class TestShutdown:
    def test_the_first_signal_to_one_that_ends_by_itself_is_no_second_one(self) -> None:
        """A burst worker whose children were about to leave took the first SIGTERM for a second: it killed them in
        the middle of their last words, and of what they had found after all."""
        scene = Stations(burst=True)
        scene.tell(e.CrewState(idle_since=scene.now, members=2))
        scene.sweep()
        assert scene.tell(e.CrewState(idle_since=scene.now, members=2)) == [m.Drain()]
        assert none(scene.signal(after=2.0), m.Quit)
        assert only(scene.signal(after=2.0), m.Quit).cold

    def test_warm(self) -> None:
        scene = Stations()
        scene.see(sighted("a", scene.now))
        assert m.Drain() in scene.signal()
        scene.see(gone=("a",))
        assert none(scene.moves, m.Quit)
        assert scene.tell(e.CrewState(members=0)) == [m.Quit()]

    def test_at_the_end_of_the_grace_they_are_interrupted_then_killed(self) -> None:
        scene = Stations(grace=5)
        scene.see(sighted("a", scene.now))
        scene.signal()
        assert none(scene.tell(e.Tick(), after=4.9), m.Interrupt)
        assert scene.tell(e.Tick(), after=0.2) == [m.Interrupt("a")]
        assert only(scene.tell(e.Tick(), after=1.1), m.Kill) == m.Kill("a")
        moves = scene.tell(e.CallEnded("a", reported=False))
        assert only(moves, m.Release) == m.Release(("a",))

    def test_one_that_is_seen_only_after_the_grace_is_interrupted_too(self) -> None:
        scene = Stations(grace=0)
        scene.signal()
        scene.tell(e.Tick(), after=0.01)
        assert scene.see(sighted("a", scene.now)) == [m.Interrupt("a")]

    def test_cold(self) -> None:
        scene = Stations()
        scene.see(sighted("a", scene.now))
        scene.signal()
        assert scene.signal(after=2) == [m.Quit(cold=True)]

    def test_what_is_handed_over_then_is_given_back(self) -> None:
        scene = Stations()
        scene.signal()
        moves = scene.tell(e.HandedOver(e.Taken("a", "job-a", "high")))
        assert only(moves, m.Release) == m.Release(("a",))


class TestAllTogether:
    def test_a_burst_ends_when_all_are_idle(self) -> None:
        scene = Stations(burst=True)
        assert none(scene.tell(e.CrewState(members=2)), m.Drain)
        assert none(scene.tell(e.CrewState(scene.now, members=2)), m.Drain)
        scene.sweep()
        assert none(scene.moves, m.Drain)  # it waits for what the stations say after that
        assert m.Drain() in scene.tell(e.CrewState(scene.now, members=2))
        assert scene.tell(e.CrewState(scene.now, members=0)) == [m.Quit()]

    def test_max_idle_time(self) -> None:
        scene = Stations(max_idle_time=10)
        scene.tell(e.CrewState(scene.now, members=2))
        assert none(scene.tell(e.Tick(), after=9), m.Drain)
        assert m.Drain() in scene.tell(e.Tick(), after=2)

    def test_max_jobs(self) -> None:
        scene = Stations(max_jobs=5)
        assert none(scene.tell(e.CrewState(members=1, done=5, spent=True)), m.Drain)
        assert m.Drain() in scene.tell(e.CrewState(scene.now, members=0, done=5, spent=True))

    def test_suspension_is_shown(self) -> None:
        scene = Stations()
        assert m.Beat(state="suspended") in scene.tell(e.CrewState(resting=True, members=2))
        assert scene.tell(e.CrewState(members=2)) == []
        assert scene.said("resumed")
