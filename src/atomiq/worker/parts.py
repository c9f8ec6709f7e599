"""What the loop is made of beside itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settled, Settlement
from atomiq.executors.death import Death
from atomiq.executors.fork import Call
from atomiq.worker import events as e
from atomiq.worker.brain import Brain
from atomiq.worker.desk import Desk
from atomiq.worker.health import Health, judge
from atomiq.worker.posts import Condition


class Part(Protocol):
    """Something that lives in the loop beside the loop's own work."""

    def check(self) -> None:
        """Called each turn."""

    def wake_at(self) -> float | None:
        """When a turn is wanted even if nothing happens."""

    def fds(self) -> Iterable[int]:
        """What children must not keep."""

    def close(self) -> None:
        """The loop has ended."""


class Sender(Part, Protocol):
    """Sends webhooks. `patience`: seconds that its end may wait for what is not sent yet."""

    always: bool
    patience: float

    def ended(self, claimed: Claimed, end: Settlement, settled: Settled) -> None:
        """A settlement was answered."""

    def pids(self) -> set[int]:
        """Its children."""


class Host(Protocol):
    """What the loop needs from the worker object that it works for."""

    name: str

    def job_call(self, claimed: Claimed, shuts_down: Callable[[], bool]) -> Call:
        """The call of a job, for a child or for here."""

    def aside_call(self, kind: e.AsideKind, job: Claimed | str, death: Death | None) -> Call:
        """A callback of a job, for a child. `job` is an id for 'abandoned'."""

    def sender(self, unshare: Callable[[], Iterator[int]]) -> Sender:
        """Sends the webhooks of jobs that the loop settles. `unshare`: what a child must not keep."""

    def register_anew(self) -> None:
        """Write the worker's hash, which the server has lost."""

    def stop_by_command(self) -> None:
        """Wish for the end, because a remote command says so."""


def health_of(name: str, brain: Brain, desk: Desk, crew: Condition) -> Health:
    """How the worker is, for probes."""
    return judge(
        phase="starting" if not desk.answered_at else "working" if brain.phase == "reloading" else brain.phase,
        connected=brain.connected,
        silent_for=time.monotonic() - desk.answered_at,
        unclaimed_for=crew.unclaimed_for,
        children_alive=crew.alive,
        children_wanted=crew.wanted,
        childless_for=crew.childless_for,
        lease=brain.rules.lease,
        facts={"name": name, "jobs": brain.executed + brain.crew.done, "running": len(brain.runs)},
    )
