"""The registry of jobs that run. Reading it never abandons a job."""

from __future__ import annotations

from typing import Any

from atomiq._commands.settle import reap
from atomiq._commands.views import view_registry, view_score
from atomiq._core.errors import AbandonedJobError
from atomiq._core.log import get_logger
from atomiq._core.settings import DEFAULT_ABANDONED, DEFAULT_MAX_ABANDONED
from atomiq._core.values import JobOrId
from atomiq.registry.base import BaseRegistry, milliseconds
from atomiq.registry.members import id_of
from atomiq.registry.record import Started
from atomiq.timeouts import get_default_death_penalty_class

logger = get_logger("registry")


class StartedJobRegistry(Started, BaseRegistry):
    """Jobs that run, scored by the end of their lease (RQ)."""

    def get_job_and_execution_ids(
        self, start: int = 0, end: int = -1, desc: bool = False, cleanup: bool = True
    ) -> list[tuple[str, str]]:
        """Pairs of job id and execution id by rank."""
        members = self._store.run(view_registry(key=self.key, start=start, end=end, desc=desc))
        return [(job_id, execution) for job_id, _, execution in (member.partition(":") for member in members)]

    def __contains__(self, item: JobOrId) -> bool:
        return self._score(id_of(item)) is not None

    def _score(self, member: str) -> float | None:
        """The end of the lease of the job's execution."""
        for execution in self._store.run(view_registry(key=self._keys().executions(member))):
            score = self._store.run(view_score(key=self.key, member=f"{member}:{execution}"))
            if score is not None:
                return score
        return None

    def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Deal with abandoned jobs: those whose lease is over run again, and fail when that happened too often.

        Workers do this by themselves. For jobs that fail by it, failure callback and exception handlers run here and
        now (RQ); what they raise is logged.
        """
        more = True
        while more:
            reaped = self._store.run(
                reap(
                    self._keys(),
                    queue=self.name,
                    max_abandoned=DEFAULT_MAX_ABANDONED,
                    policy=DEFAULT_ABANDONED,
                    now_ms=milliseconds(timestamp),
                )
            )
            for job_id in reaped.failed:
                self._report(job_id, as_list(exception_handlers))
            more = reaped.more

    def _report(self, job_id: str, exception_handlers: list[Any]) -> None:
        """Run the failure callback and the handlers of a job that was given up."""
        error = AbandonedJobError(f"the worker running job {job_id} went away")
        penalty = self.death_penalty_class or get_default_death_penalty_class()
        try:
            job = self.job_class.fetch(job_id, connection=self.connection, serializer=self.serializer)
            job.execute_failure_callback(penalty, AbandonedJobError, error, None)
        except Exception:
            logger.exception("failure callback of abandoned job %s", job_id)
            return
        for handler in exception_handlers:
            try:
                going_on = handler(job, AbandonedJobError, error, None)
            except Exception:
                logger.exception("exception handler for abandoned job %s", job_id)
                return
            if going_on is not None and not going_on:
                return

    def add(self, job: JobOrId, ttl: int = 0, pipeline: Any = None, xx: bool = False) -> int:
        """Raises NotImplementedError (RQ): only a claim starts a job."""
        raise NotImplementedError("only a worker's claim puts a job into the started registry")

    def remove(self, job: JobOrId, pipeline: Any = None, delete_job: bool = False) -> int:
        """Raises NotImplementedError (RQ): a running job is settled, canceled or deleted."""
        raise NotImplementedError("a running job leaves the started registry by ending, by cancel() or by delete()")


def as_list(handlers: Any) -> list[Any]:
    """One handler, several, or None, as a list."""
    if handlers is None:
        return []
    return list(handlers) if isinstance(handlers, (list, tuple)) else [handlers]
