"""The crew without any child: what it concludes from ledgers and mail."""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from atomiq.stations.ledger import BUSY, IDLE, RESTING, STARTING, Ledger, Running
from atomiq.stations.mail import Passed, mailboxes
from atomiq.worker import events as e
from atomiq.worker.crew import MUTE, Crew
from atomiq.worker.posts import Member, Post

LOG = logging.getLogger("atomiq")
TALLIES: Any = SimpleNamespace()


def test_a_station_is_not_idle_as_long_as_its_mail_has_not_been_read() -> None:
    """A burst worker of two executors went home although there was a job: its station had passed it on and was idle,
    but the supervisor read the ledger before the mail, and gave the job back."""
    told: list[e.Event] = []
    ours, theirs = mailboxes()
    ledger = SimpleNamespace(state=IDLE, state_since=7.0, asked=1, started=1, done=0, slots=1, draining=False)
    ledger.on_hold = False
    member: Any = SimpleNamespace(kind="process", ledger=ledger, mailbox=ours, guests=set())
    give_back: Any = SimpleNamespace(busy=False, found_more=lambda: False)
    with selectors.DefaultSelector() as selector:
        crew = Crew(selector, [], give_back, TALLIES, {}, told.append, lambda: iter(()), "w", LOG)
        crew._adopted.append(Post(None, member))
        theirs.say("pass", *Passed("q", "a", "e", 1, {b"executor": b"async"}, 0.0, 0))
        crew._tell_state()
        assert [type(event) for event in told] == [e.HandedOver, e.CrewState]
        assert told[-1].idle_since is None
        crew._tell_state()
        assert told[-1].idle_since == 7.0
    ours.close()
    theirs.close()


def test_a_station_is_not_idle_if_it_claims_while_the_queues_are_looked_at() -> None:
    """A job came back for its retry; a station took it from the queue, and passed it on, behind the look at its ledger
    and before the look into the queue, which was empty by then: a burst worker went home and gave the job back."""
    told: list[e.Event] = []
    ours, theirs = mailboxes()
    ledger = SimpleNamespace(state=IDLE, state_since=7.0, asked=1, started=1, done=0, slots=1, draining=False)
    ledger.on_hold = False
    member: Any = SimpleNamespace(kind="process", ledger=ledger, mailbox=ours, guests=set())

    def claimed_meanwhile() -> bool:
        ledger.asked = ledger.started = 2
        return False

    give_back: Any = SimpleNamespace(busy=False, found_more=claimed_meanwhile)
    with selectors.DefaultSelector() as selector:
        crew = Crew(selector, [], give_back, TALLIES, {}, told.append, lambda: iter(()), "w", LOG)
        crew._adopted.append(Post(None, member))
        crew._tell_state()
        assert told[-1].idle_since is None
        crew._tell_state()
        assert told[-1].idle_since == 7.0
    ours.close()
    theirs.close()


def test_a_station_that_comes_late_is_told_of_at_once() -> None:
    """The first child could not be started, which was told: there are none. The next one came 0.2 s later and took a
    job, which was told within the second. A worker told to stop in between thought that nobody was there: it ended at
    once, and the job was killed and given back instead of coming to its end."""
    told: list[e.Event] = []
    ours, theirs = mailboxes()
    ledger = SimpleNamespace(state=STARTING, state_since=7.0, asked=0, started=0, slots=1, done=0, watched=False)
    ledger.draining = False
    ledger.on_hold, ledger.running = False, list
    ledger.answered = born = time.monotonic()
    child = SimpleNamespace(fds=(), pid=1)
    member: Any = SimpleNamespace(kind="process", ledger=ledger, mailbox=ours, guests=set(), child=child, born=born)
    member.seen, member.token, member.silent_for = {}, "t", lambda _now: 0.0
    room = iter([False, True])

    def make(_unshare: Any) -> Any:
        if not next(room):
            raise OSError("no room")
        return member

    maker: Any = SimpleNamespace(kind="process", wanted=1, slots=1, make=make)
    give_back: Any = SimpleNamespace(busy=False, due_at=lambda: None, go_on=lambda _now: None)
    tallies: Any = SimpleNamespace(know=lambda _member: None)
    with selectors.DefaultSelector() as selector:
        crew = Crew(selector, [maker], give_back, tallies, {}, told.append, lambda: iter(()), "w", LOG)
        crew.check()
        assert told == [e.CrewState(members=0)]
        (post,) = crew._posts
        post.start_at = 0.0
        crew.check()
        assert told[1:] == [e.CrewState(members=1)]
    ours.close()
    theirs.close()


class Scene:
    """A crew with one child, which has long been there, and has not heard the server for longer than any may."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.killed: list[int] = []
        self.ours, self.theirs = mailboxes()
        self.ledger = Ledger(1)
        long_ago = time.monotonic() - 2 * MUTE
        self.ledger.be(BUSY, long_ago)
        self.ledger.hear(long_ago)
        child: Any = SimpleNamespace(pid=1, fds=(), kill=lambda *number: self.killed.extend(number or (9,)))
        self.member = Member("process", child, self.ledger, self.ours, "0" * 16, long_ago, box=None)  # type: ignore[arg-type]
        give_back: Any = SimpleNamespace(busy=False, found_more=lambda: False, watch=lambda *_: 1.0)
        self.crew = Crew(selector, [], give_back, TALLIES, {}, lambda _event: None, lambda: iter(()), "w", LOG)
        self.crew._adopted.append(Post(None, self.member))

    def seems_dead(self) -> tuple[bool, bool]:
        """Whether it is replaced, and whether a probe would say that the worker asks for nothing."""
        self.crew.look()
        silent = self.crew.condition(time.monotonic()).unclaimed_for
        return bool(self.killed), silent is not None and silent > MUTE

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()
        self.ledger.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    with selectors.DefaultSelector() as selector:
        scene = Scene(selector)
        yield scene
        scene.close()


@pytest.mark.parametrize(("state", "replaced"), [(IDLE, True), (BUSY, True), (RESTING, False), (STARTING, False)])
def test_a_station_that_hears_nothing_is_replaced(scene: Scene, state: int, replaced: bool) -> None:
    """It waits for an answer that never comes, frozen or in a loop: no job would ever be run there again."""
    scene.ledger.be(state, scene.ledger.answered)
    assert scene.seems_dead()[0] is replaced
    assert scene.killed == [9] * replaced


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_station_is_not_taken_for_dead_as_its_long_job_ends(scene: Scene, handed_over: bool) -> None:
    """Its job had ended, and the answer to the settlement was on its way, the first one for as long as the job had run:
    the child was killed. After jobs that were handed over it was the rule, as their end has the supervisor look."""
    name = "f" * 32 if handed_over else "0" * 31 + "1"
    entry = Running(1, time.monotonic() - MUTE, "q", "a", name, None, None, 0, 0.0)
    if handed_over:
        scene.member.guests.add(name)
        scene.ledger.host(0, entry)
    else:
        scene.ledger.ask(1)
        assert scene.ledger.start(0, entry)
    assert scene.seems_dead() == (False, False)
    scene.ledger.end(0)
    scene.member.guests.clear()
    assert scene.seems_dead() == (False, False)


def test_a_station_that_takes_no_mail_and_works_on_nothing_is_replaced(scene: Scene) -> None:
    """What is in its mail is for the next one; the limit of a job that has not begun is nobody's to enforce."""
    scene.member.guests.add("f" * 32)
    assert scene.seems_dead() == (True, True)
