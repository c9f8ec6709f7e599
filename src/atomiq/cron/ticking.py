"""Deciding ticks: which one of an entry is next, and asking the server to enqueue its job if nobody else has.

A process knows what the server has told it last. It computes the next tick from that, waits until the server's clock
has come so far, and sends it together with the tick that it follows. Of all processes that do so, the server takes the
first one's word; the others are told what has been decided since, and go on from there.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from atomiq._commands.cron import EntryReply, EntryState, cron_fire, cron_sync
from atomiq._core.cadence import Rule
from atomiq._wire.sync import Store
from atomiq.cron.job import CronJob

ASK_AGAIN_MS: Final = 1000
"""How often to ask whether a tick may go that waits for the job before it."""
LOOK_AGAIN_MS: Final = 60_000
"""How often to say that an entry is looked after, and hear how it stands."""
MOST_AT_A_TIME: Final = 1000
"""Ticks of one entry that are decided before the others have their turn."""


class ServerClock:
    """The server's clock, as far as it is known: what it said last, and how much time has gone by here since. This
    machine's own clock may be wrong, or be set."""

    def __init__(self) -> None:
        self._said_ms = 0
        self._heard = 0.0

    def hear(self, now_ms: int) -> None:
        """Take note of what the server said just now."""
        self._said_ms, self._heard = now_ms, time.monotonic()

    def now(self) -> int:
        """Milliseconds since 1970."""
        return self._said_ms + int((time.monotonic() - self._heard) * 1000)


@dataclass(slots=True)
class Tracked:
    """An entry, and what the server has said about it. `floor`: ticks up to here have passed while it was paused;
    `foreign`: another process has another schedule for it; `shared`: another call or queue."""

    job: CronJob
    rule: Rule
    state: EntryState = field(default_factory=EntryState)
    known: bool = False
    foreign: bool = False
    shared: bool = False
    floor: int = 0
    ask_at: int = 0
    look_at: int = 0
    _base: tuple[int | None, int, int] | None = None
    _tick: int = 0
    _due: int = 0
    _catches_up: bool = False

    def next_tick(self, now: int) -> int:
        """The tick to be decided next. Chosen anew only when something has changed, or it has become a missed one."""
        base, in_turn = (self.state.last, self.state.since, self.floor), self.rule.missed == "all"
        if base != self._base or (self.rule.is_missed(self._tick, now) and not self._catches_up):
            # How far back to begin takes a walk over all that was missed. Once that is known, they come in turn.
            if self._catches_up and self._tick == self.state.last:
                self._tick = self.rule.first(*base)
            else:
                self._tick = self.rule.choose(base[0], base[1], now, base[2])
            self._base, self._due = base, self.rule.due(self._tick)
            self._catches_up = in_turn and self.rule.is_missed(self._tick, now)
        return self._tick

    def next_due(self, now: int) -> int:
        """When that tick's job is enqueued, at the earliest."""
        self.next_tick(now)
        return self._due

    def wakes_at(self, now: int) -> int:
        """When there is something to do."""
        if self.foreign:
            return self.look_at
        due = self.next_due(now)
        return min(self.look_at, due if self.state.waiting is None else min(due, self.ask_at))


class Ticker:
    """Looks after some entries on behalf of a scheduler.

    Args:
        store: where they are.
        scheduler: its name.
        stopping: says whether to leave the rest for later.
    """

    def __init__(self, store: Store, scheduler: str, log: logging.Logger, stopping: Callable[[], bool]) -> None:
        self.clock = ServerClock()
        self._store = store
        self._scheduler = scheduler
        self._log = log
        self._stopping = stopping
        self._entries: dict[str, Tracked] = {}

    def add(self, job: CronJob) -> None:
        """Look after an entry too. Nothing is sent yet."""
        self._entries[job.name] = Tracked(job, job.checked_rule())

    def remove(self, name: str) -> None:
        """Look after an entry no more. What is known of it on the server stays."""
        self._entries.pop(name, None)

    def turn(self, connection: Any) -> list[CronJob]:
        """Decide what is due. Says the entries of which this process has enqueued a job, as often as it has.

        Raises:
            ServerError: the server can't be reached; what was not decided yet is decided by the next call, or by
                another process.
        """
        fired = []
        for entry in self._entries.values():
            if self._stopping():
                break
            if not entry.known or self.clock.now() >= entry.look_at:
                self._look(entry, connection)
            fired += [entry.job for _ in self._decide(entry, connection)]
            entry.job.set_times(entry.state.last, entry.next_due(self.clock.now()))
        return fired

    def next_in(self) -> float:
        """Seconds until there is something to do, 0 if there is already; infinity without entries."""
        now = self.clock.now()
        times = [entry.wakes_at(now) if entry.known else now for entry in self._entries.values()]
        return max(0, min(times) - now) / 1000 if times else float("inf")

    def _look(self, entry: Tracked, connection: Any) -> None:
        definition = entry.job.definition(connection)
        told = self._store.run(
            cron_sync(
                self._store.keys,
                name=entry.job.name,
                schedule=entry.job.schedule,
                definition=definition,
                scheduler=self._scheduler,
                takes=not entry.known,
            )
        )
        self._learn(entry, told)
        if told.word == "changed" and not entry.foreign:
            self._log.warning(
                "Cron entry '%s' has got another schedule from a process that was started later; this one leaves it to "
                "that one. Restart this process to have it use its config",
                entry.job.name,
            )
        elif told.word == "ok":
            self._warn_of_another(entry, definition, told.other)
        entry.known, entry.foreign = True, told.word == "changed"
        entry.look_at = told.now_ms + LOOK_AGAIN_MS

    def _warn_of_another(self, entry: Tracked, definition: bytes, other: bytes) -> None:
        """Say, once, that a living process enqueues something else under the name of an entry."""
        if entry.shared or not other or call_in(other) == call_in(definition):
            return
        entry.shared = True
        self._log.warning(
            "Cron entry '%s' is looked after by another process too, but as %s, and here as %s. A tick is enqueued "
            "once, by either of them; if these are two entries, give one of them another name=",
            entry.job.name,
            call_in(other),
            call_in(definition),
        )

    def _learn(self, entry: Tracked, told: EntryReply) -> None:
        self.clock.hear(told.now_ms)
        entry.state = told.state
        entry.ask_at = told.now_ms + ASK_AGAIN_MS

    def _decide(self, entry: Tracked, connection: Any) -> Iterator[int]:
        """The ticks of an entry, one after the other, until none is due."""
        for _ in range(MOST_AT_A_TIME):
            now = self.clock.now()
            if entry.foreign or self._stopping():
                return
            if entry.state.waiting is not None and now >= entry.ask_at:
                told = self._ask(entry, connection, entry.state.waiting, entry.state.waiting)
                if told.word == "ok":
                    yield entry.state.waiting or 0
                    continue
            tick, due = entry.next_tick(now), entry.next_due(now)
            if due > now:
                return
            told = self._ask(entry, connection, tick, due)
            if told.word == "ok":
                yield tick
            elif told.word == "paused":
                entry.floor = told.now_ms  # all of them at once: with missed="all" there may be very many
            elif told.word in ("gone", "changed"):
                entry.known = False if told.word == "gone" else entry.known
                self._look(entry, connection)
            elif told.word == "early":
                return

    def _ask(self, entry: Tracked, connection: Any, tick: int, due: int) -> EntryReply:
        job, new = entry.job.make_job(connection)
        told = self._store.run(
            cron_fire(
                self._store.keys,
                name=entry.job.name,
                schedule=entry.job.schedule,
                before_ms=entry.state.last,
                tick_ms=tick,
                due_ms=due,
                overlap=entry.job.overlap,
                job=new,
            )
        )
        waits_already = entry.state.waiting == tick
        self._learn(entry, told)
        if told.word == "ok":
            self._log.info("Enqueued job %s to queue %s", entry.job.func_name.rpartition(".")[2], job.origin)
        elif told.word in ("skipped", "held") and not waits_already:
            text = "Cron entry '%s': the job before it has not ended, the tick %s"
            self._log.info(text, entry.job.name, "is left out" if told.word == "skipped" else "waits for it")
        return told


def call_in(definition: bytes) -> str:
    """What an entry's definition says is called, and on which queue, for messages."""
    said = json.loads(definition)
    arguments = ", ".join(said[name] for name in ("args", "kwargs") if said.get(name))
    return f"{said['func_name']}({arguments}) on {said['queue_name']}"
