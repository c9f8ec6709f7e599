"""How a job of the model test is enqueued."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Spec:
    """How a job is enqueued."""

    id: str
    queue: str = "q"
    deps: tuple[str, ...] = ()
    allow: bool = False
    due: int = 0
    front: bool = False
    ttl: int = 0
    retries: int = 0
    intervals: tuple[int, ...] = ()
    repeats: int = 0
    repeat_intervals: tuple[int, ...] = (0,)
    policy: str = ""
    front_on_retry: bool = False
    call: str = ""


def lease_end(now: int, lease: int) -> int:
    """One of ten seconds and more ends with a whole second."""
    return now + lease if lease < 10_000 else -(-(now + lease) // 1000) * 1000
