"""Who takes part: a peer, the ways its worker is run, and what a bench may ask of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DRAIN, LATENCY, IDLE, RECOVERY, CHILD, PAIR = "drain", "latency", "idle", "recovery", "child", "pair"
EVERYTHING = frozenset({DRAIN, LATENCY, IDLE, RECOVERY})


@dataclass(frozen=True)
class Launch:
    """What a worker's command line is made of."""

    bin: Path
    url: str
    queues: Sequence[str]

    def script(self, name: str) -> str:
        """Path of a command of the peer's environment."""
        return str(self.bin / name)


@dataclass(frozen=True)
class Mode:
    """A way to run a peer's worker.

    roles: the scenarios it takes part in; `pair` is the setting for two jobs at a time,
        `child` means that jobs run in a process of their own that can be killed.
    jobs: how many it drains by default: two to three seconds' worth.
    gap_ms: between two jobs when latency is measured: more than it needs for a job.
    width: processes that run jobs: like is compared with like.
    many_queues: whether one worker process can serve 20 queues; the idle figure of others is for one queue.
    """

    name: str
    settings: str
    command: Callable[[Launch], list[str]]
    jobs: int
    roles: frozenset[str] = EVERYTHING
    env: dict[str, str] = field(default_factory=dict)
    gap_ms: float = 20.0
    width: int = 1
    many_queues: bool = True


@dataclass(frozen=True)
class Peer:
    """A queue. `requirements` go into its own environment; `module` is in work/ and has its jobs and producer.

    delivery: what becomes of a job whose worker dies, by its documentation.
    asyncio: whether its worker runs coroutines.
    bulk: jobs for the bulk measurement, about two seconds' worth.
    """

    name: str
    requirements: Sequence[str]
    module: str
    modes: Sequence[Mode]
    delivery: str
    bulk: int = 10_000
    pythonpath: Sequence[Path] = ()
    asyncio: bool = False


@dataclass(frozen=True)
class Contender:
    """A peer in one of its modes."""

    peer: Peer
    mode: Mode

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.peer.name} {self.mode.name}".strip()
