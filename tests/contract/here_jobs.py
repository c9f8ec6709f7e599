"""Functions for tests of is_async=False."""

from __future__ import annotations

import threading
from typing import Any

from atomiq import Callback, Queue, Retry, get_current_job
from atomiq.timeouts import JobTimeoutException

CALLS: list[Any] = []


def succeeds_at(attempt: int) -> str:
    """Raises until it is called for the n-th time."""
    CALLS.append("call")
    if CALLS.count("call") < attempt:
        raise OSError(f"attempt {CALLS.count('call')}")
    return "done"


def asks_again(times: int, allowed: int) -> Any:
    """Returns a Retry until it is called for the n-th time."""
    CALLS.append("call")
    return Retry(allowed, interval=3600) if CALLS.count("call") < times else "done"


def taken_away_and_fails(how: str) -> None:
    take_away(how)
    raise OSError("what it worked with is gone")


def taken_away_and_asks_again(how: str) -> Any:
    take_away(how)
    return Retry(3)


def take_away(how: str) -> None:
    """At the first call; later ones meet it as they left it."""
    CALLS.append("call")
    job = get_current_job()
    assert job is not None
    if CALLS.count("call") == 1:
        job.cancel() if how == "cancel" else job.delete()


def interrupted() -> None:
    CALLS.append("call")
    raise SystemExit(3)


def in_which_thread() -> str:
    job = get_current_job()
    assert job is not None
    return threading.current_thread().name


def note(job: Any, *args: Any) -> None:
    CALLS.append((job.id, job.get_status(refresh=False).value))


def raising(job: Any, *args: Any) -> None:
    raise LookupError("callback")


def enqueues_here(queue_name: str) -> str:
    """A job that has another one run in its own thread."""
    job = get_current_job()
    assert job is not None
    Queue(queue_name, connection=job.connection, is_async=False).enqueue(
        out_of_time, job_id="inner", retry=Retry(3), on_failure=Callback(note)
    )
    return "went on"


def out_of_time() -> None:
    CALLS.append("call")
    raise JobTimeoutException("over")
