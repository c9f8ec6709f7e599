"""An execution in the process that makes its call or answers for it, and what a thread knows of the call it makes."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settled
from atomiq.executors.fork import Announce
from atomiq.executors.limits import Guard
from atomiq.executors.report import Report
from atomiq.worker.moves import Verdict
from atomiq.worker.settle import Holding


@dataclass(slots=True)
class Opened:
    """`supervised`: somebody else settles what isn't settled here. `verdict`: how it ended, if its own process could
    not say it. `settled`: the server's answer, once there is one."""

    holding: Holding
    supervised: bool = False
    verdict: Verdict = "reported"
    settled: Settled | None = None

    @classmethod
    def under_supervision(cls, claimed: Claimed) -> Opened:
        """Of a job that the worker has claimed and will settle."""
        return cls(Holding(claimed, 0.0, 0), supervised=True)

    @property
    def job_id(self) -> str:
        return self.holding.claimed.job_id

    @property
    def word(self) -> str:
        """What the server said to its settlement; empty before."""
        return "" if self.settled is None else self.settled.word

    @property
    def goes_on(self) -> bool:
        """It is settled, and the job is to be run once more."""
        return self.settled is not None and self.settled.status in ("queued", "scheduled")

    @property
    def execution_id(self) -> str:
        return self.holding.claimed.execution_id


class CallState(threading.local):
    """What the thread that looks needs to make its call, and how that ended; threads of a station share their worker
    object."""

    announce: Announce | None = None
    guard: Guard | None = None
    report: Report | None = None
    opened: Opened | None = None
