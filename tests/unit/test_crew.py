"""The crew without any child: what it concludes from ledgers and mail."""

from __future__ import annotations

import logging
import selectors
from types import SimpleNamespace
from typing import Any

from atomiq.stations.ledger import IDLE
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
