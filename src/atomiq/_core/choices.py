"""Where atomiq's default differs from RQ's: what workers do that aren't told. `contrib.rq_alias` puts RQ's in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atomiq._core.settings import DEFAULT_ABANDONED


@dataclass(slots=True)
class Choices:
    """`abandoned`: what becomes of a job that lost its worker, 'retry' or 'fail'. `executor`: how a plain Worker runs
    jobs; None for the best of the platform. `missed`: what becomes of a cron entry's missed ticks, 'once' or 'skip'."""

    abandoned: str = DEFAULT_ABANDONED
    executor: str | None = None
    missed: str = "once"


CHOICES: Final = Choices()
"""Of this process. Read when a worker or a cron entry is made."""
