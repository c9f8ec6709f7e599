"""Stations as their supervisor sees them, the places they have, and who makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Any, Protocol

from atomiq.executors.black_box import BlackBox
from atomiq.executors.fork import Child
from atomiq.stations.ledger import Ledger, Running
from atomiq.stations.mail import Mailbox
from atomiq.worker import events as e


@dataclass(slots=True)
class Member:
    """A station as its supervisor sees it."""

    kind: str
    child: Child
    ledger: Ledger
    mailbox: Mailbox
    token: str
    born: float
    box: BlackBox
    seen: dict[str, int] = field(default_factory=dict)
    guests: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    """Executions for whose sake the station was killed."""
    worked_at: float = 0.0
    """When it was last seen with a job: until that ends it may have nothing to say to the server."""
    quiet_since: float = 0.0
    suspect: tuple[float, float] = (0.0, 0.0)
    """Since when a job ran that seemed to be stuck, and what CPU time its process had had when it did."""
    waiting: tuple[int, float] = (0, 0.0)
    """A number of its ledger, and when we saw that it had been asked for; the jobs up to it are not all started."""
    reason: str = ""
    """Why it says that it ends."""

    @property
    def fds(self) -> tuple[int, ...]:
        return (*self.child.fds, self.mailbox.fd)

    def close(self) -> None:
        """It is dead, and nothing of it is needed any more."""
        self.child.close()
        self.mailbox.close()
        self.box.close()
        self.ledger.close()

    def silent_for(self, now: float) -> float:
        """Seconds since it could last have heard the server, and has not."""
        if self.seen:
            self.worked_at = now
        return now - max(self.ledger.answered, self.worked_at, self.born)

    def mail(self, *message: Any) -> None:
        """Say something to the station; it is noticed between two jobs."""
        self.mailbox.post(*message)
        self.ledger.mailed()


class Maker(Protocol):
    """Makes the stations of one kind. `slots`: jobs at a time in each; `wanted`: how many stations."""

    kind: str
    slots: int
    wanted: int

    def make(self, unshare: Callable[[], Iterator[int]]) -> Member:
        """A new child. Raises OSError when the machine has no room for it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How the crew is: children that live, that should; seconds since there was none; the longest that one without a
    job has been without an answer of the server, None if there is none such."""

    alive: int
    wanted: int
    childless_for: float
    unclaimed_for: float | None


@dataclass(slots=True)
class Post:
    """A place for a station, which one after the other has. Without a maker it isn't filled again."""

    maker: Maker | None
    member: Member | None = None
    start_at: float = 0.0
    failures: int = 0


def sighted_in(member: Member, entry: Running) -> e.Sighted:
    """An entry of a station's ledger, as the brain is told of it."""
    shared = member.ledger.slots > 1
    taken = e.Taken(entry.execution_id, entry.job_id, entry.queue, entry.limit, entry.stopped_callback, shared=shared)
    return e.Sighted(taken, entry.since)


def runs_of(member: Member) -> list[tuple[int, Running]]:
    """What a station runs, with its slots. A job that was handed to it has ended when it has said so."""
    running = member.ledger.running()
    return [
        (slot, entry)
        for slot, entry in running
        if entry.execution_id.startswith(member.token) or entry.execution_id in member.guests
    ]


def slot_of(member: Member, name: str) -> int | None:
    """Where a station runs an execution this very moment: what was seen a while ago may be over, and another in its
    place."""
    slot = member.seen.get(name)
    entry = None if slot is None else member.ledger.entry(slot)
    return slot if entry is not None and entry.execution_id == name else None


def watch_mail(selector: BaseSelector, mailbox: Mailbox, look: Callable[[], object]) -> None:
    """Have `look` called when a station has said something, or takes more of what it was sent."""
    fd = mailbox.fd
    selector.register(fd, EVENT_READ, look)

    def waiting(waits: bool) -> None:
        if fd in selector.get_map():  # or the station has gone, or spoken nonsense
            selector.modify(fd, EVENT_READ | EVENT_WRITE if waits else EVENT_READ, look)

    mailbox.on_waiting = waiting
