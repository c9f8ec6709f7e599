"""How many jobs a station holds beyond those it runs, so that it never waits for the network between two short jobs."""

from __future__ import annotations

from typing import Final

MOST_AHEAD: Final = 32
WORTH: Final = 0.008
"""Seconds of work that may be held in advance; a job longer than this has nothing waiting behind it."""
QUICK: Final = 0.005
"""Seconds. While a busy station ends jobs more often than once in so long, what the server can do less often is done
less often."""
FULL_EVERY: Final = 0.05
"""Seconds. While jobs are short, what every claim would do for others is done so often. Jobs that take longer aren't
short, however many run at a time: they may all end at once, and then none for as long as they take."""
_MEMORY: Final = 0.2
_FULLY_AHEAD: Final = WORTH / MOST_AHEAD


class ReadAhead:
    """Learns from how long the jobs of `slots` take: shorter ones are believed slowly, longer ones at once.

    `target`: how many to hold; none before anything is known. `quick`: jobs are short. `full_at`: when the last full
    claim was made.
    """

    def __init__(self, slots: int = 1) -> None:
        self.target = 0
        self.quick = False
        self.full_at = float("-inf")
        self._quick = min(QUICK * slots, FULL_EVERY)
        self._typical: float | None = None

    def took(self, seconds: float) -> None:
        """A job was busy for so long, settlement included."""
        if self._typical is None or seconds > self._typical:
            self._typical = seconds
        else:
            self._typical += (seconds - self._typical) * _MEMORY
        typical = self._typical
        self.quick = typical < self._quick
        self.target = MOST_AHEAD if typical <= _FULLY_AHEAD else int(WORTH / typical)

    def is_full(self, now: float) -> bool:
        """Whether the claim that is made now has to be a full one."""
        if self.quick and now - self.full_at < FULL_EVERY:
            return False
        self.full_at = now
        return True
