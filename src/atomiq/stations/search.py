"""The search for work: which queues to ask in which order, when to wait for the bell and for how long.

The supervisor's brain and every station have one each. No I/O; `now` is any clock that only moves forward, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from atomiq.stations.rules import Rules

Reorder = Callable[[Sequence[str], str], Sequence[str]] | None
"""(queues, the queue a job was just taken from) -> the queues in the order to ask them next; None: always the same."""

SHORTEST_WAIT: Final = 0.001


class Search:
    """What is known about work to be had."""

    def __init__(self, rules: Rules, reorder: Reorder) -> None:
        self.order: tuple[str, ...] = tuple(rules.queues)
        self.started = 0
        self.claiming = False
        self.listening = False
        self.suspended = False
        self.rest_until: float | None = None
        self._rules = rules
        self._reorder = reorder
        self._idle_since: float | None = None
        self._quick_until = float("-inf")
        self._waits_plainly = False
        self._was_not_rung = False
        self.watched_schedule = False

    def claim(self, running: int) -> int:
        """How many jobs to ask for beside `running` ones; 0 if there is no room, or an answer is still on its way."""
        if self.claiming or self.listening or self.rest_until is not None:
            return 0
        count = self._rules.slots - running
        if self._rules.max_jobs is not None:
            count = min(count, self._rules.max_jobs - self.started)
        if count <= 0:
            return 0
        self.claiming = True
        return count

    def not_started(self, rest_until: float) -> None:
        """A job that was taken could not be started: nothing more is taken for a while."""
        self.started -= 1
        self.rest_until = rest_until

    def wake_up(self, now: float) -> None:
        """The rest, if there was one, may be over."""
        if self.rest_until is not None and now >= self.rest_until:
            self.rest_until = None

    @property
    def used_up(self) -> bool:
        """max_jobs have been started."""
        return self._rules.max_jobs is not None and self.started >= self._rules.max_jobs

    def took(self, now: float, queues: Sequence[str]) -> None:
        """Jobs were taken, from these queues."""
        if self._was_not_rung:  # the bell was silent although there was work: RQ's producers don't ring
            self._quick_until = now + self._rules.quick_period
        self._was_not_rung = self.watched_schedule = False
        self._idle_since = None
        self.suspended = False
        self.started += len(queues)
        if self._reorder is not None:
            for queue in queues:
                self.order = tuple(self._reorder(self.order, queue))

    def rang(self) -> None:
        self.listening = False

    def not_rung(self) -> None:
        self.listening = False
        self._was_not_rung = self._waits_plainly

    def lost_touch(self) -> None:
        self.claiming = self.listening = self._was_not_rung = False

    def idle_for(self, now: float, running: int) -> float:
        """Seconds since nothing was found and nothing ran; starts to count."""
        if self._idle_since is None and not running:
            self._idle_since = now
        return 0.0 if self._idle_since is None else now - self._idle_since

    def listen(self, now: float, due_in: float | None, running: int) -> float:
        """Seconds to wait for the bell: until a scheduled job is due, the allowed idleness ends, or the safety
        check."""
        self._was_not_rung = False
        wait = plain = self._rules.quick_check if now < self._quick_until else self._rules.safety_check
        if due_in is not None:
            wait = min(wait, due_in)
        if self._rules.max_idle_time is not None and self._idle_since is not None:
            wait = min(wait, self._rules.max_idle_time - self.idle_for(now, running))
        self._waits_plainly = wait == plain
        self.watched_schedule = due_in is not None
        self.listening = True
        return max(wait, SHORTEST_WAIT)

    def rest(self) -> float:
        """Suspended: seconds until it is looked again."""
        self._was_not_rung = self._waits_plainly = False
        self.listening = True
        return self._rules.suspended_check
