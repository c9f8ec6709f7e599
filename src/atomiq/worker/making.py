"""Making stations: which children a worker has, and what they do from their first instruction on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from atomiq.executors.black_box import BlackBox
from atomiq.executors.fork import Announce, ForkExecutor
from atomiq.executors.limits import MainThreadGuard
from atomiq.executors.report import Report
from atomiq.stations.base import Host, Recycling, Station
from atomiq.stations.budget import Budget
from atomiq.stations.ledger import Ledger
from atomiq.stations.loop import AsyncStation
from atomiq.stations.mail import Mailbox, mailboxes
from atomiq.stations.process import ProcessStation
from atomiq.stations.pump import Pump
from atomiq.stations.task import Identity
from atomiq.stations.thread import ThreadStation
from atomiq.timeouts import BaseDeathPenalty
from atomiq.worker.posts import Member


class StationHost(Host, Protocol):
    """The worker object, as far as making stations needs it."""

    death_penalty_class: type[BaseDeathPenalty]

    def station_identity(self, kind: str, slots: int, token: str) -> Identity:
        """Whom a station's claims are for."""

    def station_store(self) -> Any:
        """The store whose server a station connects to."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the stations of a worker are to be like."""

    recycling: Recycling
    budget: Budget | None = None
    tell_idle: bool = False


class ForkedStations:
    """Stations of one kind, forked from the supervisor: process (`slots` is 1), thread and async."""

    def __init__(self, host: StationHost, kind: str, slots: int, wanted: int, plan: Plan) -> None:
        self.kind = kind
        self.slots = slots
        self.wanted = wanted
        self._host = host
        self._plan = plan
        self._unshare: Callable[[], Iterator[int]] = lambda: iter(())
        self._forks = ForkExecutor(self._not_for_children)

    def make(self, unshare: Callable[[], Iterator[int]]) -> Member:
        """A new child. Raises OSError when the machine has no room for it."""
        self._unshare = unshare
        ledger, box, token = Ledger(self.slots), BlackBox(), os.urandom(8).hex()
        ours, theirs = mailboxes()

        def call(_announce: Announce) -> Report:
            started = time.monotonic()
            ours.close()
            box.install()
            run_station(self._host, self.kind, self.slots, self._plan, ledger, theirs, token, box)
            return Report("finished", started, time.monotonic())

        child = self._forks.start(call)
        theirs.close()
        return Member(self.kind, child, ledger, ours, token, time.monotonic(), box)

    def close(self) -> None:
        self._forks.close()

    def lines(self) -> tuple[int, ...]:
        """Descriptors by which its children know that their supervisor lives."""
        return (self._forks.life_line.writer,)

    def _not_for_children(self) -> Iterator[int]:
        return self._unshare()


def run_station(
    host: StationHost,
    kind: str,
    slots: int,
    plan: Plan,
    ledger: Ledger,
    mailbox: Mailbox,
    token: str,
    box: BlackBox,
) -> None:
    """All that a warm child does, until it has served its time."""
    identity = host.station_identity(kind, slots, token)
    identity.budget = plan.budget
    if plan.tell_idle:
        identity.on_idle = partial(mailbox.say, "look")
    pump = Pump(identity, host.station_store(), ledger, slots)
    given = (host, pump, ledger, mailbox, plan.recycling, box)
    station: Station
    if kind == "thread":
        station = ThreadStation(*given, slots=slots)
    elif kind == "async":
        station = AsyncStation(*given, slots=slots)
    else:
        station = ProcessStation(*given, guard=MainThreadGuard(host.death_penalty_class))
    station.run()
