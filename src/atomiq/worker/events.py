"""What the brain is told. Data only; times are seconds. An execution is named by its id alone: the driver knows what
belongs to it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

AsideKind = Literal["stopped", "killed", "abandoned"]


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
    shared: bool = False
    """Other jobs run in the same process: it is asked to stop before it is killed."""


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
    """The call in a child may from now on take `seconds` (None: no limit). `key`: an execution, or a callback's kind
    and name."""

    key: Hashable
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call ended: with a report, or by the child's death. `terminated`: it died of SIGTERM or SIGINT. `collateral`:
    it died because we killed its process for another job's sake. `released`: it was interrupted, and is to be run
    again. `waits`: what it requires is not there yet."""

    execution_id: str
    reported: bool
    terminated: bool = False
    collateral: bool = False
    released: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Sighted:
    """A job that a station runs, doing since `since` (the loop's clock) what `job.limit` is the limit of."""

    job: Taken
    since: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What stations run now, and which executions they no longer do: those they have settled themselves."""

    running: tuple[Sighted, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrewState:
    """The stations together. `idle_since`: since when all of them have had nothing to do, None if one works;
    `resting`: work is suspended; `members`: how many live; `done`: jobs they have settled, all told; `spent`: they may
    take no further job, as many as were wanted have been taken."""

    idle_since: float | None = None
    resting: bool = False
    members: int = 0
    done: int = 0
    spent: bool = False


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A station has claimed a job that is for another executor."""

    job: Taken


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The process of a job has grown beyond the limit of memory."""

    execution_id: str
    used: int


@dataclass(frozen=True, slots=True)
class ReloadWanted:
    """Changed code is to be used from now on (SIGHUP)."""


@dataclass(frozen=True, slots=True)
class Hopeless:
    """No station can be had."""

    reason: str


@dataclass(frozen=True, slots=True)
class AsideEnded:
    """A callback that a child of its own ran is over, in whichever way."""

    kind: AsideKind
    name: str


@dataclass(frozen=True, slots=True)
class AsidePutOff:
    """A callback could not be started, as the server that has its job is away; nothing of it has happened."""

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
    seconds until the first of the leases that run now is over, unless it is extended. `more`: dependants of large
    parents, or jobs after large groups, still wait for somebody to go on with them."""

    failed: tuple[str, ...] = ()
    next_in: float | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """Jobs that a dead child had ended unheard, and that were abandoned for the last time."""

    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Upkeep was done; `any`: where it was this worker's turn, so that dependants may wait to be freed; `more`: not all
    of it."""

    any: bool
    more: bool


@dataclass(frozen=True, slots=True)
class Freed:
    """Dependants of large parents went on, `freed` of them; `more`: others still wait."""

    more: bool
    freed: int = 0


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
    | Seen
    | CrewState
    | HandedOver
    | TooLarge
    | Hopeless
    | ReloadWanted
    | AsideEnded
    | AsidePutOff
    | Settled
    | Extended
    | Reaped
    | Failed
    | Cleaned
    | Freed
    | Signalled
    | Told
    | CutOff
    | Back
    | Tick
)
