"""What the mixed fleet runs: the same functions under both packages, which know nothing of either."""

from __future__ import annotations

import random
import time
from pathlib import Path


class NotYet(RuntimeError):
    """The job wants another try."""


def work(folder: str, name: str, longest: float, failures: int = 0) -> str:
    """Note the start, take a while, and fail as often as wished."""
    note = Path(folder) / name
    with note.open("a") as file:
        file.write("x")
    time.sleep(random.uniform(0, longest))
    if note.stat().st_size <= failures:
        raise NotYet(f"{name} wants to fail {failures} times")
    return name[::-1]


def report(job: object, connection: object, kind: object, value: object, traceback: object) -> None:
    """A failure callback."""
