"""A station's wait for work: the bell, the pauses, and what is known about there being nothing to do.

The wait for the bell is long. Meanwhile the station looks now and then whether there is anything that nobody rang for:
one cheap command on its own connection, which shows at the same time that the server is still there.
"""

from __future__ import annotations

from typing import Final

from atomiq._commands.base import Command, plain
from atomiq._wire.sync import Store
from atomiq._wire.wait import LONGEST_BLOCK, Bell
from atomiq.stations.rules import Rules
from atomiq.stations.search import Reorder, Search

LOOK_LIMIT: Final = 2.5
"""Seconds. A server that an idle station can't get an answer from for so long is not there."""


class Lookout:
    """For one station. Errors of the server pass through."""

    def __init__(self, store: Store, rules: Rules, reorder: Reorder) -> None:
        self.bell = Bell(store)
        self.nothing = False
        """The last thorough look found no work."""
        self.rest_until: float | None = None
        self.look_at: float | None = None
        """When to look, while the bell is waited for."""
        self.looking_since: float | None = None
        self._keys = store.keys
        self._search = Search(rules, reorder)
        self._due_at: float | None = None

    @property
    def queues(self) -> tuple[str, ...]:
        """In the order in which they are asked."""
        return self._search.order

    @property
    def watches_schedule(self) -> bool:
        return self._search.watched_schedule

    @property
    def waiting(self) -> bool:
        """No job is to be asked for now: the bell will tell, or work is suspended."""
        return self.bell.listening or self.rest_until is not None

    def dead(self, now: float) -> bool:
        """The server doesn't answer, and nobody told us that it is gone."""
        return self.bell.overdue() or (self.looking_since is not None and now - self.looking_since > LOOK_LIMIT)

    def took(self, now: float, queues: list[str]) -> None:
        """Jobs were taken, from these queues."""
        self.nothing = False
        if self.bell.listening:  # nobody had rung
            self.bell.cancel()
            self._search.not_rung()
        self._search.took(now, queues)

    def found_nothing(self, now: float, due_in: float | None, busy: int) -> None:
        """There is no work, and a scheduled job is due in so many seconds; None: none waits. If the bell is being
        waited for, it still is."""
        self.nothing = True
        self._due_at = None if due_in is None else now + due_in
        if self.bell.listening:
            self._search.not_rung()
            self._wait_on(now, busy)

    def _wait_on(self, now: float, busy: int) -> None:
        due_in = None if self._due_at is None else max(0.0, self._due_at - now)
        self.look_at = now + self._search.listen(now, due_in, busy)

    def listen(self, now: float, busy: int) -> None:
        """Start to wait for the bell, beside `busy` jobs."""
        self._wait_on(now, busy)
        self.bell.listen(self._search.order, LONGEST_BLOCK)

    def look_is_due(self, now: float) -> bool:
        return self.bell.listening and self.look_at is not None and now >= self.look_at

    def until(self, latest: float) -> float:
        """When something is to be done at the latest."""
        times = [latest]
        if self.bell.listening and self.look_at is not None:
            times.append(self.look_at)
        if self.looking_since is not None:
            times.append(self.looking_since + LOOK_LIMIT)
        return min(times)

    def look(self, now: float) -> Command[int]:
        """Is there anything at all? One command instead of a claim that looks into every queue."""
        self.look_at, self.looking_since = None, now
        keys = self._keys
        places = [name for queue in self.queues for name in (keys.queue(queue), keys.scheduled(queue))]
        return plain("EXISTS", places, int)

    def rest(self, now: float) -> None:
        """Work is suspended, or can't be had: look again after a while."""
        self.rest_until = now + self._search.rest()
        self.bell.cancel()
        self.look_at = None
        self._search.rang()

    def wake_up(self, now: float) -> None:
        if self.rest_until is not None and now >= self.rest_until:
            self.rest_until = None

    def heard(self) -> None:
        """The bell's connection has an answer."""
        if self.bell.read():
            self._search.rang()
            self.nothing = False
        else:
            self._search.not_rung()
        self.look_at = None

    def lost_touch(self) -> None:
        """The server can't be reached; what was known of its queues may be wrong by now."""
        self.bell.close()
        self.look_at = self.looking_since = None
        self._search.lost_touch()
        self.nothing = False
