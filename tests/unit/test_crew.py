"""The crew without any child: what it concludes from ledgers and mail."""

from __future__ import annotations

import logging
import selectors
import time
from types import SimpleNamespace
from typing import Any

from atomiq.stations.ledger import IDLE, STARTING
from atomiq.stations.mail import Passed, mailboxes
from atomiq.worker import events as e
from atomiq.worker.crew import Crew
from atomiq.worker.posts import Post

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
    member.seen, member.token = {}, "t"
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
