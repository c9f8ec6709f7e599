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
