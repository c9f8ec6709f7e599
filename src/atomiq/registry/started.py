"""The registry of jobs that run. Reading it never abandons a job."""

from __future__ import annotations

from typing import Any

from atomiq._commands.alone import begin_job
from atomiq._commands.base import Command
from atomiq._commands.change import delete
from atomiq._commands.registry import beat_execution, drop_executions
from atomiq._commands.settle import reap
from atomiq._commands.views import view_registry, view_score
from atomiq._core.choices import CHOICES
from atomiq._core.errors import AbandonedJobError
from atomiq._core.log import get_logger
from atomiq._core.settings import DEFAULT_MAX_ABANDONED
from atomiq._core.ttl import LONGEST_SECONDS
from atomiq._core.values import JobOrId
from atomiq.registry.base import BaseRegistry, milliseconds
from atomiq.registry.members import id_of
from atomiq.registry.record import Started

logger = get_logger("registry")


class StartedJobRegistry(Started, BaseRegistry):
    """Jobs that run, scored by the end of their lease (RQ)."""

    def get_job_and_execution_ids(
        self, start: int = 0, end: int = -1, desc: bool = False, cleanup: bool = True
    ) -> list[tuple[str, str]]:
        """Pairs of job id and execution id by rank."""
        members = self._store.run(view_registry(key=self.key, start=start, end=end, desc=desc))
        return [(job_id, execution) for job_id, _, execution in (member.partition(":") for member in members)]

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
                    policy=CHOICES.abandoned,
                    now_ms=milliseconds(timestamp),
                )
            )
            for job_id in reaped.failed:
                self._report(job_id, as_list(exception_handlers))
            more = reaped.more

    def _report(self, job_id: str, exception_handlers: list[Any]) -> None:
        """Run the failure callback and the handlers of a job that was given up."""
        error = AbandonedJobError(f"the worker running job {job_id} went away")
        try:
            job = self.job_class.fetch(job_id, connection=self.connection, serializer=self.serializer)
            job.execute_failure_callback(self.death_penalty_class, AbandonedJobError, error, None)
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

    def add_execution(self, execution: Any, pipeline: Any, ttl: int = 0, xx: bool = False) -> Any:
        """Let an execution hold its job for `ttl` seconds, by hand (RQ): the job is started, out of wherever it was;
        with `xx` only if it is open already.

        Says 1 for a job that was not running, else 0; `pipeline`, unless that is None.
        """
        job_id, keys = execution.job_id, self._keys()
        lease_ms = lease_of(ttl)
        if xx:
            worker = execution.worker_name
            beat = beat_execution(
                keys, queue=self.name, job_id=job_id, execution_id=execution.id, worker=worker, lease_ms=lease_ms
            )
            return self._done(beat, pipeline, 0)
        begin = begin_job(keys, job_id=job_id, worker=execution.worker_name, execution=execution.id, lease_ms=lease_ms)
        return self._done(begin, pipeline, 1)

    def _done(self, command: Command[Any], pipeline: Any, when_ok: int) -> Any:
        said = self._store.send(command, pipeline)
        if said is None:
            return pipeline
        return when_ok if "ok" in (said, said[0]) else 0

    def remove_execution(self, execution: Any, job: Any = None, pipeline: Any = None, delete_job: bool = False) -> None:
        """Close an execution by hand, unsettled (RQ). A job that then runs nowhere goes to the front of its queue, so
        that it is in one place; with `delete_job` it is deleted instead."""
        if delete_job:
            command: Command[Any] = delete(self._keys(), job_id=execution.job_id)
        else:
            command = drop_executions(self._keys(), queue=self.name, job_id=execution.job_id, execution_id=execution.id)
        self._send(command, pipeline)

    def remove_executions(self, job: JobOrId, pipeline: Any = None) -> None:
        """The same for all executions of a job (RQ)."""
        self._send(drop_executions(self._keys(), queue=self.name, job_id=id_of(job)), pipeline)

    def add(self, job: JobOrId, ttl: int = 0, pipeline: Any = None, xx: bool = False) -> int:
        """Raises NotImplementedError (RQ): only a claim, or `add_execution`, starts a job."""
        raise NotImplementedError("only a worker's claim, or add_execution, puts a job into the started registry")

    def remove(self, job: JobOrId, pipeline: Any = None, delete_job: bool = False) -> int:
        """Raises NotImplementedError (RQ): a running job is settled, canceled or deleted."""
        raise NotImplementedError("a running job leaves the started registry by ending, by cancel() or by delete()")


def lease_of(ttl: float) -> int:
    """Milliseconds of a lease of `ttl` seconds; -1 is as good as for ever."""
    return round(ttl * 1000) if ttl >= 0 else LONGEST_SECONDS * 1000


def as_list(handlers: Any) -> list[Any]:
    """One handler, several, or None, as a list."""
    if handlers is None:
        return []
    return list(handlers) if isinstance(handlers, (list, tuple)) else [handlers]
