"""A worker for machines that leave little time."""

from __future__ import annotations

from atomiq.worker import HerokuWorker


class AtOnce(HerokuWorker):
    imminent_shutdown_delay = 0
