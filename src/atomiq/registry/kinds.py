"""The registries of jobs that don't run: finished, failed, deferred, scheduled, canceled."""

from __future__ import annotations

import warnings
import zlib
from datetime import datetime
from typing import Any

from atomiq._commands.views import view_time
from atomiq._core.settings import DEFAULT_FAILURE_TTL
from atomiq._core.ttl import FOREVER
from atomiq._core.values import JobOrId
from atomiq.registry.base import BaseRegistry
from atomiq.registry.members import due_members, id_of
from atomiq.registry.record import Canceled, Deferred, Failed, Finished, Scheduled


class FinishedJobRegistry(Finished, BaseRegistry):
    """Jobs that have finished, until their result is forgotten (RQ)."""

    def _kept(self, ttl: int) -> int:
        """The job goes with its place in this registry."""
        return max(ttl, 1) if ttl >= 0 else FOREVER


class FailedJobRegistry(Failed, BaseRegistry):
    """Jobs that have failed or were stopped, until they are forgotten (RQ)."""

    def add(  # type: ignore[override]
        self, job: JobOrId, ttl: int | None = None, exc_string: str = "", pipeline: Any = None
    ) -> None:
        """Put a job into this registry by hand (RQ), out of wherever it was; it is then failed, unless it is stopped.

        What is set on a Job object is stored with it.

        Args:
            ttl: seconds that the job is kept, default one year; -1 for ever, 0 not at all.
            exc_string: what went wrong.

        Raises:
            JobIsRunning: it runs; in a pipeline nothing happens then.
        """
        ttl = DEFAULT_FAILURE_TTL if ttl is None else ttl
        fields: dict[str, Any] = {}
        if not isinstance(job, str):
            known: Any = job
            stored = known.was_stored()
            fields = dict(known.changed_fields(False, False) if stored else known.to_new_job().fields)
            known._exc_info = exc_string  # noqa: SLF001 - where RQ's users look for it
        if exc_string:
            fields["exc_info"] = zlib.compress(exc_string.encode("utf-8", "replace"))
        keep = max(FOREVER, ttl)
        score = ttl if ttl < 0 else None
        job_id = id_of(job)
        self._enter(self._entering(job_id, ttl=ttl, score=score, keep=keep, fields=fields), job_id, pipeline)


class DeferredJobRegistry(Deferred, BaseRegistry):
    """Jobs that wait for other jobs (RQ)."""

    def add(self, job: JobOrId, ttl: int | None = None, pipeline: Any = None, xx: bool = False) -> Any:
        """As in the other registries; scored by the time, whatever `ttl` says (RQ)."""
        return super().add(job, 0, pipeline, xx)


class ScheduledJobRegistry(Scheduled, BaseRegistry):
    """Jobs whose time has not come (RQ). Any worker that comes by moves what is due; there is no scheduler process."""

    def schedule(self, job: JobOrId, scheduled_datetime: datetime, pipeline: Any = None) -> Any:
        """Let a job be queued at this time (RQ), wherever it is now. A naive time is local time, by the rules of that
        date. A Job object that was never stored is stored.

        Says 1 if it was not scheduled before, else 0; `pipeline`, if one is given.

        Raises:
            InvalidTime: a ValueError; not a datetime, or out of range.
            JobIsRunning: it runs; in a pipeline nothing happens then.
        """
        return self._enter(self._scheduling(job, scheduled_datetime), id_of(job), pipeline)

    def get_scheduled_time(self, job_or_id: JobOrId) -> datetime:
        """When a job is due, aware UTC.

        Raises:
            NoSuchJobError: it isn't scheduled.
        """
        return self.get_expiration_time(job_or_id)

    def get_jobs_to_schedule(self, timestamp: float | None = None, chunk_size: int = 1000) -> list[str]:
        """Ids that are due at `timestamp` (unix seconds; default: the server's now), at most `chunk_size`."""
        if timestamp is None:
            timestamp = self._store.run(view_time())
        return self._store.run(due_members(self.key, timestamp, chunk_size))

    def get_jobs_to_enqueue(self, timestamp: float | None = None) -> list[str]:
        """Ids that are due at `timestamp` (RQ)."""
        return self.get_expired_job_ids(timestamp)

    def remove_jobs(self, timestamp: float | None = None, pipeline: Any = None) -> Any:
        """Deprecated (RQ): take what is due at `timestamp` (unix seconds; default: the server's now) out of this
        registry, as `remove` does. Says how many; `pipeline`, if one is given.
        """
        warnings.warn("ScheduledJobRegistry.remove_jobs is deprecated", DeprecationWarning, stacklevel=2)
        if pipeline is None:
            return sum(self.remove(job_id) for job_id in self.get_jobs_to_enqueue(timestamp))
        for job_id in self.get_jobs_to_enqueue(timestamp):
            self.remove(job_id, pipeline)
        return pipeline


class CanceledJobRegistry(Canceled, BaseRegistry):
    """Jobs that were canceled, until they are forgotten (RQ)."""

    def get_expired_job_ids(self, timestamp: float | None = None) -> list[str]:
        """Canceled jobs are scored by when they were canceled, so there is no such question (RQ).

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("canceled jobs are not listed by when they expire")
