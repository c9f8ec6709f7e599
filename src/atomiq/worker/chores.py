"""The brain's timers for what has to be done every so often, whatever the jobs do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from atomiq.stations.rules import Rules
from atomiq.worker import moves as m

SHORTEST_PAUSE: Final = 0.01
CLEANING_PAUSE: Final = 0.05
"""For everything else, between two parts of a long cleaning; at least."""
CLEANING_REST: Final = 2.0
"""The same in parts: however slow the server is just then, a cleaning leaves two thirds of it to the jobs."""
IDLE_BEAT: Final = 5 / 6
"""Of a lease, between two beats of a worker that holds nothing."""


class Chores:
    """When to extend leases and beat, to look at others' leases, to clean registries, to free dependants.

    Extending beats too, so one timer serves both. A worker that holds nothing beats as seldom as its name allows: that
    may be taken over when it has been silent for a lease.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._beat_at = self._cleaned_at = 0.0
        self._reap_at = self._upkeep_at = float("inf")
        self._free_at: float | None = None
        self.freeing = False
        """There may be dependants that one step could not free, and it has not been said yet that there are no more."""
        self._reaped_at = 0.0
        self._back_at: float | None = None
        """When the server was back for the first time since leases were last looked at."""

    def begin(self, now: float, cut_off_for: float) -> None:
        self._upkeep_at = now
        self._reap_at = now + cut_off_for
        self._free_at = now  # unlike leases, this may have been left over however short we have been away
        self._reaped_at = now
        self._beat_at = now + self._rules.lease / 3  # a child may have taken something before we know of it

    def reaped(self, now: float, next_in: float | None) -> None:
        """The next look at leases: when the first is over, and in any case before long, as shorter ones may be
        given."""
        third = self._rules.lease / 3
        self._reaped_at, self._back_at = now, None
        self._reap_at = now + (third if next_in is None else min(third, max(next_in, SHORTEST_PAUSE)))

    def clean_on(self, now: float) -> None:
        pause = max(CLEANING_PAUSE, CLEANING_REST * (now - self._cleaned_at))
        self._upkeep_at = now + min(pause, self._rules.upkeep_interval)

    def free(self, now: float, more: bool) -> None:
        self._free_at = now if more else None
        self.freeing = more

    def back(self, now: float) -> None:
        """The connection is back. Others may have been cut off as well: they get a whole lease to extend theirs. Not
        after a short break, which leaves who extends every third of a lease with a part of it; and once for a series of
        breaks, or a worker whose connection breaks again and again would never look."""
        lease, self._beat_at = self._rules.lease, now
        self.free(now, self.freeing)
        if self._back_at is None:
            self._back_at = now
        if now - self._reaped_at > lease / 2:
            self._reap_at = max(self._reap_at, min(now + lease, self._back_at + 2 * lease))

    def due(self, now: float, held: tuple[str, ...]) -> Iterator[m.Move]:
        third = self._rules.lease / 3
        if held:
            self._beat_at = min(self._beat_at, now + third)
        if now >= self._beat_at:
            self._beat_at = now + (third if held else self._rules.lease * IDLE_BEAT)
            if not held:
                yield m.Beat()
            elif self._rules.extends:
                yield m.Extend(held)
        if now >= self._upkeep_at:
            self._upkeep_at = now + self._rules.upkeep_interval
            self._cleaned_at = now
            yield m.Upkeep()
        if now >= self._reap_at:
            self._reap_at = now + third
            yield m.Reap()
        if self._free_at is not None and now >= self._free_at:
            self._free_at = None
            yield m.Free()

    def times(self) -> list[float | None]:
        return [self._beat_at, self._reap_at, self._upkeep_at, self._free_at]
