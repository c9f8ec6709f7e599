"""Jobs that tools enqueue; copied into the folder where their programs run."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import sentry_sdk
from rq import get_current_job


def add(x: int, y: int) -> int:
    return x + y


def boom(word: str = "boom") -> None:
    sentry_sdk.add_breadcrumb(message=f"before {word}")
    sentry_sdk.set_tag("word", word)
    raise ValueError(word)


def who(**_: Any) -> dict[str, Any]:
    """Facts about where a job runs."""
    job = get_current_job()
    assert job is not None
    return {"job": job.id, "pid": os.getpid(), "class": f"{type(job).__module__}.{type(job).__qualname__}"}


def traced() -> str:
    with sentry_sdk.start_span(op="work", name="inner"):
        span = sentry_sdk.get_current_span()
        assert span is not None
        return span.trace_id


def hang() -> None:
    """Until it is stopped."""
    job = get_current_job()
    assert job is not None
    job.connection.set("hanging", job.id)
    time.sleep(120)


def die() -> None:
    """As by the kernel's out-of-memory killer."""
    os.kill(os.getpid(), signal.SIGKILL)
