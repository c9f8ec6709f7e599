"""A job in a station, what is under way because of it, and whom the station works for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settlement
from atomiq.executors.job_log import JobLog
from atomiq.executors.outcome import bulk, stopped_callback_limit
from atomiq.stations.budget import Budget
from atomiq.stations.ledger import Running
from atomiq.stations.rules import Rules
from atomiq.stations.search import Reorder

_as: Final = tuple.__new__
"""Makes a named tuple without the Python function that its class would call for it."""
BULKY: Final = 1 << 20
MOST_CUT_OFFS: Final = 2
"""So often the connection may break while the same outcome of at least BULKY bytes is under way."""


@dataclass(slots=True)
class Task:
    """An execution in a station. `claimed_at`: the monotonic time of `claimed_ms` on the server's clock."""

    claimed: Claimed
    number: int
    claimed_at: float
    claimed_ms: int
    started_at: float = 0.0

    def server_ms(self, moment: float) -> int:
        return self.claimed_ms + round((moment - self.claimed_at) * 1000)

    def entry(self, since: float, limit: float | None) -> Running:
        """What the ledger is told; `limit`: seconds from `since` on, None without."""
        queue, job_id, execution, _, _ = claimed = self.claimed
        stopped = stopped_callback_limit(claimed)
        return _as(
            Running, (self.number, since, queue, job_id, execution, limit, stopped, self.claimed_ms, self.claimed_at)
        )


@dataclass(slots=True)
class Outcome:
    """A settlement under way."""

    task: Task
    end: Settlement
    took: float
    full: bool
    asked: int = 0
    cut_offs: int = 0
    replaced: bool = False
    uncounted: bool = False
    """It is among the sums that a later call tells."""

    def cut_off_for_good(self) -> bool:
        """The connection has broken once more: a server that answers everybody but breaks off one large outcome won't
        ever take it."""
        self.cut_offs += bulk(self.end) >= BULKY
        return self.cut_offs >= MOST_CUT_OFFS and not self.replaced


@dataclass(slots=True)
class Asking:
    """A plain claim under way. `first`: of the numbers it asks for."""

    first: int
    asked: int
    full: bool


@dataclass(slots=True)
class Identity:
    """Who a station works for. `lease_ms`: what its claims last; `token`: 16 hexadecimal digits of its own."""

    worker: str
    token: str
    lease_ms: int
    rules: Rules
    reorder: Reorder
    log: logging.Logger
    job_log: JobLog
    patience: float = 10.0
    one_by_one: bool = False
    """Ask for one job at a time: the order of the queues depends on which of them it came from."""
    claims: bool = True
    """False: the station runs only what is handed to it."""
    budget: Budget | None = None
    """How many jobs all stations together may still take; None: any number."""
    on_idle: Callable[[], object] = lambda: None
