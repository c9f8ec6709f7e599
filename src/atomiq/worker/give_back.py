"""Jobs that stations asked for and will not start: back to the front of their queues, known by nothing but a number.

A number may stand for a job, for none, or for a claim that the server has not seen yet. It is asked about until the
server has given a job back, or the station has heard that there was none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final

from atomiq._commands.base import plain
from atomiq._commands.claim import give_back
from atomiq._core.errors import SERVER_AWAY
from atomiq._wire.sync import Store
from atomiq.stations.ledger import Ledger, execution_id
from atomiq.stations.rules import Rules
from atomiq.worker import events as e
from atomiq.worker.posts import Member
from atomiq.worker.starved import cpu_time
from atomiq.worker.unheard import Unheard

WATCH: Final = 0.01
"""Seconds between two looks at a station in which jobs wait behind one that runs."""
QUIET: Final = 0.25
"""Seconds without such jobs after which it is looked at less often."""
STUCK: Final = 0.01
"""Seconds that a job may run before what waits behind it is given back."""
HARDLY: Final = 0.0025
"""Seconds of CPU. A job that has had no more since it seemed to be stuck is held up by others on a busy machine."""
HELD_UP: Final = 0.05
"""Seconds that jobs may wait behind such ones, however many."""
SOON: Final = 0.005
FIRST_PAUSE: Final = 0.02
LIKELY_TRIES: Final = 5
"""0.6 s."""
MOST_TRIES: Final = 8
"""With doubling pauses some 5 s: after that nothing can be on its way any more; the lease is the last resort."""


@dataclass(slots=True)
class _Batch:
    ledger: Ledger | None
    token: str
    numbers: list[int]
    heard: int = 0
    due: float = 0.0
    tries: int = 0


class GiveBack:
    """For one worker. Never raises: what can't be told now is told later."""

    def __init__(
        self,
        store: Store,
        name: str,
        log: logging.Logger,
        rules: Rules,
        ours: Container[str],
        reap: Callable[[str, int], Sequence[str]],
        tell: Callable[[e.Event], None],
    ) -> None:
        """`ours`, `reap`, `tell`: as for `Unheard`."""
        self._store = store
        self._rules = rules
        self._name = name
        self._log = log
        self._open: list[_Batch] = []
        self._unheard = Unheard(store, name, log, ours, reap, tell)

    def watch(self, member: Member, now: float) -> float:
        """Give back what waits behind a job that takes its time. Says in how many seconds to look again."""
        ledger = member.ledger
        if ledger.asked <= ledger.started:
            if not member.quiet_since:
                member.quiet_since = now
            if now - member.quiet_since > QUIET:
                ledger.watch(False)
                if ledger.asked <= ledger.started:
                    return QUIET
                ledger.watch(True)  # it has just started a job and asked for others, and took us to be looking
            return WATCH
        member.quiet_since = 0.0
        running = ledger.running()
        waits_since = self._waits_since(member, now)
        if len(running) < ledger.slots:
            return WATCH
        since = max(entry.since for _, entry in running)
        if now - since < STUCK:
            return min(WATCH, since + STUCK - now)
        if now - waits_since < HELD_UP and self._is_held_up(member, since):
            return SOON
        self.take_back(member)
        return WATCH

    def _waits_since(self, member: Member, now: float) -> float:
        """When the first of the jobs behind what runs had been asked for already, as far as we have looked."""
        ledger = member.ledger
        if ledger.started >= member.waiting[0]:
            member.waiting = ledger.asked, now
        return member.waiting[1]

    def _is_held_up(self, member: Member, since: float) -> bool:
        """Whether what runs since then would run on, if others left it a CPU: what waits behind it would be claimed a
        second time for nothing, and a child that is held up between two jobs might see them in another order."""
        used = cpu_time(member.child.pid)
        if used is None:
            return False
        if member.suspect[0] != since:
            member.suspect = since, used
        return used - member.suspect[1] < HARDLY

    def take_back(self, member: Member) -> None:
        """What the station has not started yet it will not start any more."""
        numbers = member.ledger.take_back()
        if numbers:
            self._open.append(_Batch(member.ledger, member.token, list(numbers)))

    def bury(self, member: Member, now: float) -> None:
        """The station was killed."""
        self.take_back(member)
        self._unheard.bury(member, now)

    def found_more(self) -> bool:
        """For a worker that ends when there is nothing to do: is there something in its queues? It may have come back
        after its stations had looked, and they haven't heard the bell yet."""
        if not self._rules.burst:
            return False
        keys, queues = self._store.keys, self._rules.queues
        try:
            paused = self._store.run(plain("SMISMEMBER", (keys.paused(), *queues), list))
            waiting = [keys.queue(queue) for queue, is_paused in zip(queues, paused, strict=True) if not is_paused]
            return bool(waiting) and bool(self._store.run(plain("EXISTS", waiting, int)))
        except SERVER_AWAY:
            return True

    def done_with(self, ledger: Ledger) -> None:
        """The station is dead: its ledger says nothing new any more."""
        for batch in self._open:
            if batch.ledger is ledger:
                batch.heard, batch.ledger = ledger.read, None

    @property
    def busy(self) -> bool:
        """Something may well turn up yet; what turns up later still is given back when the worker takes leave."""
        return self._unheard.due_at() is not None or any(batch.tries < LIKELY_TRIES for batch in self._open)

    def due_at(self) -> float | None:
        times = [*(batch.due for batch in self._open), self._unheard.due_at()]
        return min((time for time in times if time is not None), default=None)

    def go_on(self, now: float) -> None:
        """Ask about what is due."""
        self._unheard.go_on(now)
        for batch in [batch for batch in self._open if now >= batch.due]:
            self._try(batch, now)
            if not batch.numbers or batch.tries >= MOST_TRIES:
                self._open.remove(batch)

    def _try(self, batch: _Batch, now: float) -> None:
        batch.tries += 1
        batch.due = now + FIRST_PAUSE * 2 ** (batch.tries - 1)
        heard = batch.heard if batch.ledger is None else batch.ledger.read
        names = [execution_id(batch.token, number) for number in batch.numbers]
        try:
            words = self._store.run(give_back(self._store.keys, worker=self._name, executions=names))
        except SERVER_AWAY as error:
            self._log.warning("Worker %s: jobs can't be given back now (%s)", self._name, error)
            batch.tries -= 1
            batch.due = now + 1.0
            return
        given = sum(word == "ok" for word in words)
        if given:
            self._log.debug("Worker %s: %s jobs given back before they were started", self._name, given)
        pairs = zip(batch.numbers, words, strict=True)
        batch.numbers = [number for number, word in pairs if word == "unknown" and number > heard]
