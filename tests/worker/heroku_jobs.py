"""A worker for machines that leave little time."""

from __future__ import annotations

from typing import Any

from atomiq import Job
from atomiq.worker import HerokuWorker


class AtOnce(HerokuWorker):
    imminent_shutdown_delay = 0


class AskedAsItForks(AtOnce):
    """The signal comes when the work horse is there, and the worker doesn't know its pid yet."""

    def fork_work_horse(self, job: Job, queue: Any) -> None:
        self.request_stop()
        super().fork_work_horse(job, queue)
