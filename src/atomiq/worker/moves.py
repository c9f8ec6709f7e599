"""What the brain wants done. Data only; times are seconds. An execution is named by its id alone: the driver knows what
belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from atomiq.worker.events import AsideKind


@dataclass(frozen=True, slots=True)
class Claim:
    """Ask for up to `count` jobs of these queues, in this order. `pass_on`: we watched the schedule, someone else
    must then."""

    queues: tuple[str, ...]
    count: int
    pass_on: bool = False


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for the bell of these queues, at most `timeout` seconds."""

    queues: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class StopListening:
    """Give up the wait."""


@dataclass(frozen=True, slots=True)
class StartJob:
    execution_id: str


Verdict = Literal["reported", "died", "killed", "overran", "memory", "stopped"]


@dataclass(frozen=True, slots=True)
class Settle:
    """Tell the server how it ended; with `claim`, ask for the next jobs in the same step."""

    execution_id: str
    verdict: Verdict
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Give executions back to the front of their queues. Without any: only show that the worker rests, if it does."""

    execution_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    """An execution that isn't ours any more is over; nothing of it is sent."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class Kill:
    execution_id: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Have ShuttingDown raised in a job; a Kill follows if it goes on."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class AskToStop:
    """Have JobStopped raised in a job that shares its process."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class Drain:
    """No station is to start another job; each ends when it has nothing to do."""


@dataclass(frozen=True, slots=True)
class StartAside:
    """Run a callback in a child of its own. `name`: an execution id, or for 'abandoned' a job id."""

    kind: AsideKind
    name: str


@dataclass(frozen=True, slots=True)
class KillAside:
    kind: AsideKind
    name: str


@dataclass(frozen=True, slots=True)
class Extend:
    """Extend the lease of everything held."""

    execution_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """Refresh the worker's hash; `state`: write this one, if not empty; `stopping`: note the wish to stop."""

    state: str = ""
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Reap:
    """Look for leases that are over, in every queue whose turn it is."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Registries, dead workers, leftovers; every queue whose turn it is."""


@dataclass(frozen=True, slots=True)
class Free:
    """Let more dependants of large parents go on."""


@dataclass(frozen=True, slots=True)
class Register:
    """The worker's hash had vanished: write it anew."""


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close what is left of the connections."""


@dataclass(frozen=True, slots=True)
class Probe:
    """See whether the server answers; Back or CutOff follows."""


@dataclass(frozen=True, slots=True)
class Log:
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave the loop. `cold`: children are to be killed and what is held to be given back. `failed`: the worker can't
    do its work. `reload`: children that live are left to the next program of this process."""

    cold: bool = False
    failed: str = ""
    reload: bool = False


Move = (
    Claim
    | Listen
    | StopListening
    | StartJob
    | Settle
    | Release
    | Forget
    | Kill
    | Interrupt
    | AskToStop
    | Drain
    | StartAside
    | KillAside
    | Extend
    | Beat
    | Reap
    | Upkeep
    | Free
    | Register
    | Hangup
    | Probe
    | Log
    | Quit
)

NEEDS_SERVER: Final[frozenset[type[Move]]] = frozenset(
    {Claim, Listen, Settle, Release, Extend, Beat, Reap, Upkeep, Free, Register, Probe}
)
"""What is left out while the server is away."""
