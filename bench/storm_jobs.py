"""What the kill storm runs."""

from __future__ import annotations

import asyncio
import random
import time

from atomiq import get_current_job

STARTED = "storm:started"


def work(longest: float) -> str:
    """Note the start on the server, and take a while."""
    job_id = _start()
    time.sleep(random.uniform(0, longest))
    return job_id[::-1]


async def work_in_loop(longest: float) -> str:
    """The same beside others in one loop."""
    job_id = _start()
    await asyncio.sleep(random.uniform(0, longest))
    return job_id[::-1]


def _start() -> str:
    job = get_current_job()
    assert job is not None
    job.connection.hincrby(STARTED, job.id, 1)
    return str(job.id)
