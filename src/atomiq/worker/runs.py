"""An execution in the brain's books, and the brain's patience. Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from atomiq.worker import events as e
from atomiq.worker import moves as m

Phase = Literal["working", "reloading", "stopping", "over"]
Intent = Literal["", "stop", "kill", "overrun", "memory", "lost", "release"]

DOUBLE_SIGNAL: Final = 1.0
"""Seconds in which a second signal is an echo of the first: a terminal signals a whole group, as RQ's pool does."""
ECHO_OF_STOP: Final = 0.25
"""How long after a child's death by SIGTERM our own may still come."""
ECHO_OF_SETTLEMENT: Final = 0.6
"""How long a job that its station has settled may still look as if it ran: a bit more than two looks at the ledgers."""
KILL_AFTER_INTERRUPT: Final = 1.0
LONGEST_BACK_OFF: Final = 5.0
STOP_PATIENCE: Final = 2.0
"""Seconds that a job which shares its process gets to end when it is asked to, before the process is killed."""
NO_ROOM_PAUSE: Final = 1.0
"""How long nothing is claimed when the machine had no room for a child, and no probe let in without one for a file."""


@dataclass(slots=True)
class Run:
    """One execution that this worker holds. `over`: the call has ended, and the server is to be told, perhaps after a
    callback (`in_aside`), or once it is clear why it ended (`doubt_until`); `sent`: it has been told. `stationed`: a
    station runs it, and settles it itself unless it dies. `lost_at`: from when on to believe that its lease is
    lost, if it is still seen to run. `waits`: what it requires is not there, its function was not called."""

    job: e.Taken
    kill_at: float | None
    intent: Intent = ""
    verdict: m.Verdict | None = None
    over: bool = False
    doubt_until: float | None = None
    in_aside: bool = False
    sent: bool = False
    stationed: bool = False
    lost_at: float | None = None
    waits: bool = False


OUR_DOING: Final[dict[str, m.Verdict]] = {"overrun": "overran", "kill": "killed", "memory": "memory"}
"""What a child's death means when we meant it; else it died, and for all we know it was no fault of the job."""
