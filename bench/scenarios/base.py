"""What a scenario is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.arena import Arena
from bench.contenders import Contender

Measure = Callable[[Arena, Contender, int | None], dict[str, Any]]


@dataclass(frozen=True)
class Scenario:
    """One measurement for all contenders.

    role: modes that have it take part; None: each peer once.
    measure: (arena, contender, number of jobs or None for the default) -> figures.
    ideal: whether a plain loop without any queue takes part too.
    together: nobody is in another's way, so all run at once, each with a server of its own.
    """

    name: str
    role: str | None
    measure: Measure
    rounds: int = 3
    ideal: bool = False
    together: bool = False
    queues: int = 1


# Held by whoever is busy while others only wait (scenarios with `together`).
BUSY = threading.Lock()
