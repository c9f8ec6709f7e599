"""Functions that both sides' workers run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rq


def add(x: int, y: int = 0) -> int:
    return x + y


def boom() -> None:
    raise RuntimeError("Boom")


def nothing() -> None:
    return None


def append(path: str, line: str) -> None:
    """Leave a trace outside of the server: what ran, in which order."""
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


def ask_rq_for_a_retry(path: str, runs: int) -> int | rq.Retry:
    """Ask, with RQ's own class, to be run again until it has been run so often."""
    append(path, "run")
    done = len(Path(path).read_text().splitlines())
    return rq.Retry(max=5) if done < runs else done


def fail_until(path: str, runs: int) -> int:
    """Fail until it has been run so often."""
    append(path, "run")
    done = len(Path(path).read_text().splitlines())
    if done < runs:
        raise RuntimeError(f"run {done}")
    return done


def wait_for(path: str) -> str:
    """Run until a file appears."""
    while not Path(path).exists():
        time.sleep(0.01)
    return Path(path).read_text()


def on_success(job: Any, connection: Any, result: Any) -> None:
    connection.set(f"success:{job.id}", result)


def on_failure(job: Any, connection: Any, kind: Any, value: Any, trace: Any) -> None:
    connection.set(f"failure:{job.id}", str(value))


def told(job: Any, kind: Any, value: Any, trace: Any) -> bool:
    """An exception handler."""
    print(f"told of {job.id}: {value}", flush=True)
    return True


class Counter:
    def __init__(self, start: int) -> None:
        self.start = start

    def plus(self, more: int) -> int:
        return self.start + more
