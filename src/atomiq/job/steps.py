"""RQ's low-level steps of a job, which code written for RQ takes by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from atomiq._commands.change import touch
from atomiq._core.errors import NoSuchJobError
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import utcformat
from atomiq._wire.sync import Store
from atomiq.job.base import BaseJob
from atomiq.job.planned import Plan, preparation, registration, repeat_plan, retry_plan, status_command, status_of


class SteppingJob(BaseJob):
    """A job that somebody moves by hand. With a pipeline a step is only added to it, and refusals go unnoticed."""

    @cached_property
    def _store(self) -> Store:
        return Store.of(self.connection)

    def set_status(self, status: JobStatus | str, pipeline: Any = None) -> None:
        """Say what the job is (RQ), and move it into the container that this status names: a queued job that is called
        finished runs no more, one that is called queued goes to the back of its queue. An execution of it loses its
        lease. Called started, it has until a minute after its time limit; called scheduled, it is due in a year unless
        the schedule is told otherwise. A job that was never stored only remembers it.

        Raises:
            InvalidOption: a ValueError; no status.
            NoSuchJobError: the job is gone.
        """
        wanted = status_of(status)
        said = self._store.send(status_command(self._store.keys, self, wanted), pipeline)
        if said == "gone" and self.was_stored():
            raise NoSuchJobError(f"No such job: {self.key}")
        self._status = wanted

    def prepare_for_execution(self, worker_name: str, pipeline: Any) -> None:
        """Note that a worker runs the job from now on (RQ). One that was not claimed is claimed by it, with a lease
        until a minute after its time limit.

        Raises:
            NoSuchJobError: the job is gone.
        """
        if self._store.send(preparation(self._store.keys, self, worker_name), pipeline) == "gone":
            raise NoSuchJobError(f"No such job: {self.key}")
        self._status = JobStatus.STARTED

    def retry(self, queue: Any, pipeline: Any) -> None:
        """Count a retry and put the job into `queue`, or its schedule, by its Retry (RQ). What has changed on this
        object is stored in the same step.

        Raises:
            InvalidJobOperation: no retry is left.
            NoSuchJobError: the job is gone.
        """
        plan = retry_plan(self._store.keys, self, queue.name)
        self._run_again(plan, queue.name, pipeline)
        self.retries_left, self.retries_done = plan.left, self.retries_done + 1

    def repeat(self, queue: Any, pipeline: Any = None) -> None:
        """Count a repetition and put the job into `queue`, or its schedule, by its Repeat: what `Repeat.schedule` does.

        Raises:
            InvalidOption: a ValueError; no repetition is left.
            NoSuchJobError: the job is gone.
        """
        plan = repeat_plan(self._store.keys, self, queue.name)
        self._run_again(plan, queue.name, pipeline)
        self.repeats_left, self.repeats_done = plan.left, self.repeats_done + 1

    def _run_again(self, plan: Plan, queue: str, pipeline: Any) -> None:
        said = self._store.send(plan.command, pipeline)
        if said is not None and said[0] == "gone":
            raise NoSuchJobError(f"No such job: {self.key}")
        self.origin = queue
        self._status = plan.status if said is None else status_of(said[1])

    def register_dependency(self, pipeline: Any = None) -> None:
        """Store the job and have it wait for those it depends on (RQ); with all of them met already it is queued at
        once. Without dependencies nothing happens.

        Raises:
            InvalidJobOperation: it has no origin, the queue that it will go to.
            JobIsRunning: it runs.
        """
        if not self._dependency_ids:
            return
        said = self._store.send(registration(self._store.keys, self), pipeline)
        if said is None:
            self._status = JobStatus.DEFERRED
        else:
            self.mark_enqueued(said[0].word, said[0].enqueued_at_ms)

    def heartbeat(self, timestamp: datetime, ttl: int, pipeline: Any = None, xx: bool = False) -> None:
        """Store `last_heartbeat` (RQ); ttl and xx have no effect there either. Raises NoSuchJobError: it is gone."""
        self.last_heartbeat = timestamp
        self._touch({"last_heartbeat": utcformat(timestamp)}, pipeline)

    def _touch(self, fields: Mapping[str, Any], pipeline: Any = None) -> None:
        if self._store.send(touch(self._store.keys, job_id=self.id, fields=fields), pipeline) == "gone":
            raise NoSuchJobError(f"No such job: {self.key}")
        self.note_saved(fields, pipeline)

    # -- keys ---------------------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Key of the job hash (RQ)."""
        return self._store.keys.job(self.id)

    @property
    def dependents_key(self) -> str:
        """Key of the set of jobs that wait for this one (RQ)."""
        return self._store.keys.dependents(self.id)

    @property
    def dependencies_key(self) -> str:
        """Key of the set of jobs this one waits for (RQ)."""
        return self._store.keys.dependencies(self.id)
