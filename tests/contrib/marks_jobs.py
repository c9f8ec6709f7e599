"""Jobs that commit their work with a mark; a worker runs them, and dies when they say so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from sqlalchemy import NullPool, create_engine, insert
from sqlalchemy.orm import Session
from tests.contrib.test_sqlalchemy_commit import rows
from tests.tasks import nothing

from atomiq import Queue, get_current_job


def work_and_die(database: str, died: str) -> str:
    """Commits a row and a child, and is killed before anybody hears of it, once."""
    job = get_current_job()
    with Session(create_engine(database, poolclass=NullPool)) as session:
        with job.transaction(session) as work:
            if not work.done:
                session.execute(insert(rows))
                Queue("children", connection=job.connection).enqueue(nothing, job_id="child")
                work.result = f"done at attempt {job.attempts}"
        if not Path(died).exists():
            Path(died).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return f"{work.result}, said at attempt {job.attempts}"
