"""RQ's low-level steps of a job, with asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from atomiq._commands.change import touch
from atomiq._core.errors import NoSuchJobError
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import utcformat
from atomiq._wire.aio import AsyncStore
from atomiq.job.base import BaseJob
from atomiq.job.planned import Plan, preparation, registration, repeat_plan, retry_plan, status_command, status_of


class SteppingJob(BaseJob):
    """A job that somebody moves by hand. With a pipeline a step is only added to it, and refusals go unnoticed."""

    @cached_property
    def _store(self) -> AsyncStore:
        return AsyncStore.of(self.connection)

    async def set_status(self, status: JobStatus | str, pipeline: Any = None) -> None:
        """Say what the job is, and move it into the container of this status; see `atomiq.Job.set_status`.

        Raises:
            InvalidOption: a ValueError; no status.
            NoSuchJobError: the job is gone.
        """
        wanted = status_of(status)
        said = await self._store.send(status_command(self._store.keys, self, wanted), pipeline)
        if said == "gone" and self.was_stored():
            raise NoSuchJobError(f"No such job: {self.key}")
        self._status = wanted

    async def prepare_for_execution(self, worker_name: str, pipeline: Any) -> None:
        """Note that a worker runs the job from now on. Raises NoSuchJobError: the job is gone."""
        if await self._store.send(preparation(self._store.keys, self, worker_name), pipeline) == "gone":
            raise NoSuchJobError(f"No such job: {self.key}")
        self._status = JobStatus.STARTED

    async def retry(self, queue: Any, pipeline: Any) -> None:
        """Count a retry and put the job into `queue`, or its schedule, by its Retry.

        Raises:
            InvalidJobOperation: no retry is left.
            NoSuchJobError: the job is gone.
        """
        plan = retry_plan(self._store.keys, self, queue.name)
        await self._run_again(plan, queue.name, pipeline)
        self.retries_left, self.retries_done = plan.left, self.retries_done + 1

    async def repeat(self, queue: Any, pipeline: Any = None) -> None:
        """Count a repetition and put the job into `queue`, or its schedule, by its Repeat.

        Raises:
            InvalidOption: a ValueError; no repetition is left.
            NoSuchJobError: the job is gone.
        """
        plan = repeat_plan(self._store.keys, self, queue.name)
        await self._run_again(plan, queue.name, pipeline)
        self.repeats_left, self.repeats_done = plan.left, self.repeats_done + 1

    async def _run_again(self, plan: Plan, queue: str, pipeline: Any) -> None:
        said = await self._store.send(plan.command, pipeline)
        if said is not None and said[0] == "gone":
            raise NoSuchJobError(f"No such job: {self.key}")
        self.origin = queue
        self._status = plan.status if said is None else status_of(said[1])

    async def register_dependency(self, pipeline: Any = None) -> None:
        """Store the job and have it wait for those it depends on; with all of them met already it is queued at once.

        Raises:
            InvalidJobOperation: it has no origin, the queue that it will go to.
            JobIsRunning: it runs.
        """
        if not self._dependency_ids:
            return
        said = await self._store.send(registration(self._store.keys, self), pipeline)
        if said is None:
            self._status = JobStatus.DEFERRED
        else:
            self.mark_enqueued(said[0].word, said[0].enqueued_at_ms)

    async def heartbeat(self, timestamp: datetime, ttl: int, pipeline: Any = None, xx: bool = False) -> None:
        """Store `last_heartbeat`; ttl and xx have no effect. Raises NoSuchJobError: it is gone."""
        self.last_heartbeat = timestamp
        await self._touch({"last_heartbeat": utcformat(timestamp)}, pipeline)

    async def _touch(self, fields: Mapping[str, Any], pipeline: Any = None) -> None:
        if await self._store.send(touch(self._store.keys, job_id=self.id, fields=fields), pipeline) == "gone":
            raise NoSuchJobError(f"No such job: {self.key}")
        self.note_saved(fields, pipeline)

    # -- keys ---------------------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Key of the job hash."""
        return self._store.keys.job(self.id)

    @property
    def dependents_key(self) -> str:
        """Key of the set of jobs that wait for this one."""
        return self._store.keys.dependents(self.id)

    @property
    def dependencies_key(self) -> str:
        """Key of the set of jobs this one waits for."""
        return self._store.keys.dependencies(self.id)
