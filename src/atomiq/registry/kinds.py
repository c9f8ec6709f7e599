"""The registries of jobs that don't run: finished, failed, deferred, scheduled, canceled."""

from __future__ import annotations

import warnings
from datetime import datetime
from typing import Any

from atomiq._core.settings import DEFAULT_FAILURE_TTL
from atomiq._core.values import JobOrId
from atomiq.registry.base import BaseRegistry
from atomiq.registry.members import add_member, due_members, expire_key, id_of, remove_up_to, server_time
from atomiq.registry.record import Canceled, Deferred, Failed, Finished, Scheduled


class FinishedJobRegistry(Finished, BaseRegistry):
    """Jobs that have finished, until their result is forgotten (RQ)."""


class FailedJobRegistry(Failed, BaseRegistry):
    """Jobs that have failed or were stopped, until they are forgotten (RQ)."""

    def add(  # type: ignore[override]
        self, job: JobOrId, ttl: int | None = None, exc_string: str = "", pipeline: Any = None, xx: bool = False
    ) -> int:
        """Low level (RQ): write only the member and the job's lifetime (default one year). Leaves the status alone."""
        ttl = DEFAULT_FAILURE_TTL if ttl is None else ttl
        score = -1 if ttl == -1 else self._score_in(ttl)
        if ttl > 0:
            self._send(expire_key(self._keys().job(id_of(job)), ttl), pipeline)
        return self._send(add_member(self.key, id_of(job), score, xx), pipeline)


class DeferredJobRegistry(Deferred, BaseRegistry):
    """Jobs that wait for other jobs (RQ)."""

    def add(self, job: JobOrId, ttl: int | None = None, pipeline: Any = None, xx: bool = False) -> int:
        """Low level (RQ): write only the member. Leaves the status alone."""
        return super().add(job, ttl or 0, pipeline, xx)


class ScheduledJobRegistry(Scheduled, BaseRegistry):
    """Jobs whose time has not come (RQ). Any worker that comes by moves what is due; there is no scheduler process."""

    def schedule(self, job: Any, scheduled_datetime: datetime, pipeline: Any = None) -> int:
        """Schedule a job of this queue anew, for another time (RQ). A naive time is local time.

        Raises:
            JobIsRunning: it runs now.
        """
        self.get_queue().schedule_job(job, scheduled_datetime, pipeline=pipeline)
        return 1

    def get_scheduled_time(self, job_or_id: JobOrId) -> datetime:
        """When a job is due, aware UTC.

        Raises:
            NoSuchJobError: it isn't scheduled.
        """
        return self.get_expiration_time(job_or_id)

    def get_jobs_to_schedule(self, timestamp: float | None = None, chunk_size: int = 1000) -> list[str]:
        """Ids that are due at `timestamp` (unix seconds; default: the server's now), at most `chunk_size`."""
        if timestamp is None:
            timestamp = self._store.run(server_time())
        return self._store.run(due_members(self.key, timestamp, chunk_size))

    def get_jobs_to_enqueue(self, timestamp: float | None = None) -> list[str]:
        """Ids that are due at `timestamp` (RQ)."""
        return self.get_expired_job_ids(timestamp)

    def remove_jobs(self, timestamp: float | None = None, pipeline: Any = None) -> int:
        """Low level and deprecated (RQ): forget what is due; these jobs are then in no container."""
        warnings.warn("ScheduledJobRegistry.remove_jobs is deprecated", DeprecationWarning, stacklevel=2)
        if timestamp is None:
            timestamp = self._store.run(server_time())
        return self._send(remove_up_to(self.key, timestamp), pipeline)


class CanceledJobRegistry(Canceled, BaseRegistry):
    """Jobs that were canceled, until they are forgotten (RQ)."""

    def get_expired_job_ids(self, timestamp: float | None = None) -> list[str]:
        """Canceled jobs are scored by when they were canceled, so there is no such question (RQ).

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("canceled jobs are not listed by when they expire")
