"""Jobs of bench/doctor.py."""

from __future__ import annotations

import time

from atomiq import get_current_job


def work() -> int:
    """Long enough for the fleet to be at it while the doctor looks."""
    time.sleep(0.004)
    return 1


def fail_at_first(number: int) -> int:
    job = get_current_job()
    assert job is not None
    if (job.retries_left or 0) > number % 3:
        raise RuntimeError("not yet")
    return number
