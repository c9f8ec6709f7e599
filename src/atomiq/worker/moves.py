"""What the brain is told (events) and what it wants done (moves). Data only; times are seconds.

An execution is named by its id alone: the driver knows what belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# --- events


@dataclass(frozen=True, slots=True)
class Begin:
    """The worker is born. `cut_off_for`: how much longer nobody may judge leases (the server has just started)."""

    cut_off_for: float = 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A claimed job, as much of it as decisions need. `limit`: its soft time limit, None for no limit."""

    execution_id: str
    job_id: str
    queue: str
    limit: float | None = 180.0
    stopped_callback: float | None = None
    """Time limit of its stopped callback; None: it has none."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim. `due_in`: seconds until a scheduled job is due; None: none waits."""

    jobs: tuple[Taken, ...] = ()
    more: bool = False
    suspended: bool = False
    due_in: float | None = None


@dataclass(frozen=True, slots=True)
class Rang:
    """The bell rang."""


@dataclass(frozen=True, slots=True)
class NotRung:
    """The wait for the bell is over without it."""


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The machine has no room for the child of a job; nothing of the job has happened."""

    execution_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Limited:
    """The call in a child may from now on take `seconds` (None: no limit)."""

    execution_id: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call ended: with a report, or by the child's death. `terminated`: it died of SIGTERM or SIGINT."""

    execution_id: str
    reported: bool
    terminated: bool = False


@dataclass(frozen=True, slots=True)
class AsideEnded:
    """A callback that a child of its own ran is over, in whichever way."""

    kind: AsideKind
    name: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The server's word on a settlement or release: ok, already, not_yours, gone. `more`: dependants wait to be
    freed."""

    execution_id: str
    word: str
    more: bool = False


@dataclass(frozen=True, slots=True)
class Extended:
    """The answer to an extension: executions that are no longer ours, and those that somebody wants stopped."""

    lost: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    reborn: bool = False


@dataclass(frozen=True, slots=True)
class Reaped:
    """Leases were looked at. `failed`: jobs abandoned for the last time; each gets its failure callback. `next_in`:
    seconds until the first of the leases that run now is over, unless it is extended."""

    failed: tuple[str, ...] = ()
    next_in: float | None = None


@dataclass(frozen=True, slots=True)
class Freed:
    """Dependants of large parents went on; `more`: others still wait."""

    more: bool


@dataclass(frozen=True, slots=True)
class Signalled:
    """SIGINT, SIGTERM or their like, which came at `at`: in a busy process it may be told only later."""

    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """A remote command: 'kill-horse', 'stop-job'."""

    command: str
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class CutOff:
    """The server can't be reached, or refuses writes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Back:
    """The server answers again."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing happened but time."""


Event = (
    Begin
    | Claimed
    | Rang
    | NotRung
    | NotStarted
    | Limited
    | CallEnded
    | AsideEnded
    | Settled
    | Extended
    | Reaped
    | Freed
    | Signalled
    | Told
    | CutOff
    | Back
    | Tick
)

# --- moves

AsideKind = Literal["stopped", "killed", "abandoned"]


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


Verdict = Literal["reported", "died", "killed", "overran", "stopped"]


@dataclass(frozen=True, slots=True)
class Settle:
    """Tell the server how it ended; with `claim`, ask for the next jobs in the same step."""

    execution_id: str
    verdict: Verdict
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Give executions back to the front of their queues."""

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
    """Ask the child's processes to end (SIGTERM); a Kill follows if they don't."""

    execution_id: str


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
    """Leave the loop. `cold`: children are to be killed and what is held to be given back."""

    cold: bool = False


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
