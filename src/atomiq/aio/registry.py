"""Registries, with asyncio: reading, healing and requeueing. RQ's low-level add and remove are not here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from atomiq._commands.change import requeue
from atomiq._commands.queues import EXPIRED_AT_ONCE, expire
from atomiq._commands.views import view_registry, view_registry_size, view_score, view_time
from atomiq._core.classes import lookup
from atomiq._core.errors import NoSuchJobError
from atomiq._core.ids import new_call_token, validate_job_id
from atomiq._core.keys import Keys
from atomiq._core.values import JobOrId
from atomiq._wire.aio import AsyncStore
from atomiq.aio.job import Job
from atomiq.registry.base import milliseconds
from atomiq.registry.members import due_members, id_of, remove_members
from atomiq.registry.record import Canceled, Deferred, Failed, Finished, RegistryRecord, Scheduled, Started


class BaseRegistry(RegistryRecord):
    """`atomiq.registry.BaseRegistry` for asyncio. Arguments as there."""

    job_class: Any = Job

    @property
    def _store(self) -> AsyncStore:
        return AsyncStore.of(self.connection)

    def _keys(self) -> Keys:
        return self._store.keys

    async def get_job_count(self, cleanup: bool = True) -> int:
        """How many jobs are in it. `cleanup=False` also counts those whose time is over."""
        if not cleanup:
            return await self._store.run(view_registry_size(key=self.key))
        view = self._counts()
        if view is None:
            return await self._store.run(view_registry_size(key=self.key))
        await self._heal()
        (counts,) = await self._store.run(view)
        return int(getattr(counts, self.stands_for))

    async def count(self) -> int:
        """How many jobs are in it."""
        return await self.get_job_count()

    async def get_job_ids(self, start: int = 0, end: int = -1, desc: bool = False, cleanup: bool = True) -> list[str]:
        """Job ids by rank in the order of their scores, `end` included."""
        while cleanup and await self._heal() >= EXPIRED_AT_ONCE:
            pass  # a full page: there are more whose time is over
        members = await self._store.run(view_registry(key=self.key, start=start, end=end, desc=desc))
        return [self.parse_job_id(member) for member in members]

    async def contains(self, item: JobOrId) -> bool:
        """Whether a job is in it: `in`, which can't be awaited."""
        return await self._score(id_of(item)) is not None

    async def _score(self, member: str) -> float | None:
        return await self._store.run(view_score(key=self.key, member=member))

    async def get_expiration_time(self, job: JobOrId) -> datetime:
        """When a member is forgotten, aware UTC; the latest time there is for one that is kept for ever.

        Raises:
            NotInRegistry: a NoSuchJobError and TypeError; it isn't a member.
        """
        job_id = id_of(job)
        return self.moment(job_id, await self._score(job_id))

    async def get_expired_job_ids(self, timestamp: float | None = None) -> list[str]:
        """Ids whose score lies between 0 and `timestamp` (unix seconds; default: the server's now)."""
        if timestamp is None:
            timestamp = await self._store.run(view_time())
        return [self.parse_job_id(member) for member in await self._store.run(due_members(self.key, timestamp))]

    def get_queue(self) -> Any:
        """The aio.Queue it belongs to."""
        return lookup("aio.Queue")(self.name, connection=self.connection, serializer=self.serializer)

    async def _heal(self) -> int:
        if not self.outlives or not self._status:
            return 0
        return (await self._store.run(expire(self._keys(), queue=self.name, only=self.key))).removed

    async def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Drop what has outlived its time at `timestamp` (unix seconds; default: the server's now)."""
        offset, more = 0, self.outlives and bool(self._status)
        while more:
            command = expire(self._keys(), queue=self.name, offset=offset, now_ms=milliseconds(timestamp))
            page = await self._store.run(command)
            offset, more = page.next_offset, page.more

    async def requeue(self, job_or_id: JobOrId, at_front: bool = False) -> Job:
        """Put a job that is in this registry back into its queue, in one step. Says the job as it is then.

        Raises:
            InvalidJobOperation: it isn't in this registry.
            NoSuchJobError: it is gone.
            InvalidName: a ValueError; not a job id. RQ once took any text for one, and no worker could run such a job.
        """
        job_id = id_of(job_or_id)
        validate_job_id(job_id)
        token = new_call_token()
        command = requeue(self._keys(), job_id=job_id, registry=self.key, at_front=at_front, token=token)
        self.check_requeued(job_id, await self._store.run(command))
        if isinstance(job_or_id, Job):
            await job_or_id.refresh()
            return job_or_id
        job: Job = await self.job_class.fetch(job_id, connection=self.connection, serializer=self.serializer)
        return job

    async def remove(self, job: JobOrId, pipeline: Any = None, delete_job: bool = False) -> Any:
        """Take a job out of this registry by hand; with `delete_job` it is deleted, in the same step.

        Without, its status is then 'created': it is in no container. One that is somewhere else by now stays there.
        Says 1 if it was in this registry, else 0; `pipeline`, if one is given.

        Raises:
            NoSuchJobError: it was to be deleted and is gone.
        """
        job_id = id_of(job)
        if not self._status and not delete_job:
            removed = await self._store.send(remove_members(self.key, [job_id]), pipeline)
            return pipeline if removed is None else removed
        left = await self._store.send(self._leaving(job_id, delete_job), pipeline)
        if left is None:
            return pipeline
        if delete_job and not left.existed:
            raise NoSuchJobError(f"No such job: {self._keys().job(job_id)}")
        return left.removed


class FinishedJobRegistry(Finished, BaseRegistry):
    """Jobs that have finished, until their result is forgotten."""


class FailedJobRegistry(Failed, BaseRegistry):
    """Jobs that have failed or were stopped, until they are forgotten."""


class DeferredJobRegistry(Deferred, BaseRegistry):
    """Jobs that wait for other jobs."""


class CanceledJobRegistry(Canceled, BaseRegistry):
    """Jobs that were canceled, until they are forgotten."""

    async def get_expired_job_ids(self, timestamp: float | None = None) -> list[str]:
        """Raises NotImplementedError: canceled jobs are scored by when they were canceled."""
        raise NotImplementedError("canceled jobs are not listed by when they expire")


class ScheduledJobRegistry(Scheduled, BaseRegistry):
    """Jobs whose time has not come."""

    async def schedule(self, job: JobOrId, scheduled_datetime: datetime, pipeline: Any = None) -> Any:
        """Let a job be queued at this time, wherever it is now; see the synchronous one. Raises JobIsRunning: it runs
        now."""
        entered = await self._store.send(self._scheduling(job, scheduled_datetime), pipeline)
        return pipeline if entered is None else self.check_entered(id_of(job), entered)

    async def get_scheduled_time(self, job_or_id: JobOrId) -> datetime:
        """When a job is due, aware UTC. Raises NoSuchJobError: it isn't scheduled."""
        return await self.get_expiration_time(job_or_id)

    async def get_jobs_to_schedule(self, timestamp: float | None = None, chunk_size: int = 1000) -> list[str]:
        """Ids that are due at `timestamp` (unix seconds; default: the server's now), at most `chunk_size`."""
        if timestamp is None:
            timestamp = await self._store.run(view_time())
        return await self._store.run(due_members(self.key, timestamp, chunk_size))

    async def get_jobs_to_enqueue(self, timestamp: float | None = None) -> list[str]:
        """Ids that are due at `timestamp`."""
        return await self.get_expired_job_ids(timestamp)


class StartedJobRegistry(Started, BaseRegistry):
    """Jobs that run, scored by the end of their lease."""

    async def get_job_and_execution_ids(
        self, start: int = 0, end: int = -1, desc: bool = False, cleanup: bool = True
    ) -> list[tuple[str, str]]:
        """Pairs of job id and execution id by rank."""
        members = await self._store.run(view_registry(key=self.key, start=start, end=end, desc=desc))
        return [(job_id, execution) for job_id, _, execution in (member.partition(":") for member in members)]

    async def _score(self, member: str) -> float | None:
        for execution in await self._store.run(view_registry(key=self._keys().executions(member))):
            score = await self._store.run(view_score(key=self.key, member=f"{member}:{execution}"))
            if score is not None:
                return score
        return None

    async def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Does nothing. Workers look after abandoned jobs by themselves; the synchronous `cleanup`, which does it by
        hand, calls failure callbacks, that are written for synchronous jobs and connections."""

    async def remove(self, job: JobOrId, pipeline: Any = None, delete_job: bool = False) -> int:
        """Raises NotImplementedError: a running job is settled, canceled or deleted."""
        raise NotImplementedError("a running job leaves the started registry by ending, by cancel() or by delete()")
