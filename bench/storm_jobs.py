"""What the kill storm runs."""

from __future__ import annotations

import random
import time

from atomiq import get_current_job

STARTED = "storm:started"


def work(longest: float) -> str:
    """Note the start on the server, and take a while."""
    job = get_current_job()
    assert job is not None
    job.connection.hincrby(STARTED, job.id, 1)
    time.sleep(random.uniform(0, longest))
    return job.id[::-1]
