"""Jobs, with asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from atomiq._commands.alone import save_job
from atomiq._commands.base import plain
from atomiq._commands.change import cancel, delete, requeue
from atomiq._commands.views import (
    view_dependencies,
    view_dependents,
    view_exists,
    view_job,
    view_jobs,
    view_many_jobs,
    view_position,
    view_status,
)
from atomiq._core.errors import NoSuchJobError
from atomiq._core.ids import new_call_token, parse_job_id, validate_job_id
from atomiq._core.serial import dump_meta
from atomiq._core.states import JobStatus
from atomiq._wire.aio import AsyncStore
from atomiq.aio.job_steps import SteppingJob
from atomiq.aio.results import Result
from atomiq.job.base import BaseJob
from atomiq.job.planned import are_met, check_requeued, note_canceled


class Job(SteppingJob):
    """`atomiq.Job` for asyncio: same methods, awaited; a property there that asks the server is a method here."""

    _twins = "aio."

    # -- reading ------------------------------------------------------------------------------------------------------

    @classmethod
    async def fetch(cls, id: str, connection: Any = None, serializer: Any = None) -> Self:  # noqa: A002 - RQ's
        """The stored job of an id. Raises NoSuchJobError: there is none, or its hash is no job's."""
        job = cls(parse_job_id(id), connection=connection, serializer=serializer)
        await job.refresh()
        return job

    @classmethod
    async def fetch_many(cls, job_ids: Iterable[str], connection: Any, serializer: Any = None) -> list[Self | None]:
        """Stored jobs in the order of the ids, up to 1,000 read at one instant; None where there is none."""
        ids = [parse_job_id(job_id) for job_id in job_ids]
        for job_id in ids:
            validate_job_id(job_id)
        if not ids:
            return []
        store = AsyncStore.of(connection)
        found = [raw for view in view_many_jobs(store.keys, ids) for raw in await store.run(view)]
        return [
            cls.from_hash(job_id, raw, connection, serializer) if raw and b"data" in raw else None
            for job_id, raw in zip(ids, found, strict=True)
        ]

    @classmethod
    def from_hash(cls, job_id: str, raw: Mapping[bytes, bytes], connection: Any, serializer: Any = None) -> Self:
        """A job from its hash. Raises NoSuchJobError when it is no job's."""
        job = cls(job_id, connection=connection, serializer=serializer)
        job.restore(raw)
        return job

    @classmethod
    async def exists(cls, job_id: str, connection: Any) -> bool:
        """Whether a job of this id is stored."""
        store = AsyncStore.of(connection)
        return await store.run(view_exists(store.keys, job_id=job_id))

    async def refresh(self) -> None:
        """Read the job again. Raises NoSuchJobError when it is gone."""
        raw = await self._store.run(view_job(self._store.keys, job_id=self.id))
        if not raw:
            raise NoSuchJobError(f"No such job: {self.key}")
        self.restore(raw)

    async def get_status(self, refresh: bool = True) -> JobStatus:
        """The job's status; `refresh=False` gives the one last seen. Raises InvalidJobOperation when it is gone."""
        if refresh:
            return self.take_status(await self._store.run(view_status(self._store.keys, job_id=self.id)))
        return self.known_status

    async def is_finished(self) -> bool:
        return await self.get_status() is JobStatus.FINISHED

    async def is_queued(self) -> bool:
        return await self.get_status() is JobStatus.QUEUED

    async def is_failed(self) -> bool:
        return await self.get_status() is JobStatus.FAILED

    async def is_started(self) -> bool:
        return await self.get_status() is JobStatus.STARTED

    async def is_deferred(self) -> bool:
        return await self.get_status() is JobStatus.DEFERRED

    async def is_canceled(self) -> bool:
        return await self.get_status() is JobStatus.CANCELED

    async def is_scheduled(self) -> bool:
        return await self.get_status() is JobStatus.SCHEDULED

    async def is_stopped(self) -> bool:
        return await self.get_status() is JobStatus.STOPPED

    async def get_position(self) -> int | None:
        """Place in its queue, 0 is next; None when it doesn't wait in it. O(length of the queue)."""
        return await self._store.run(view_position(self._store.keys, queue=self.origin, job_id=self.id))

    async def get_meta(self, refresh: bool = True) -> dict[str, Any]:
        """The user's data on the job, read again unless `refresh=False`."""
        if refresh:
            raw = await self._store.run(view_job(self._store.keys, job_id=self.id)) or {}
            self.take_meta(raw.get(b"meta", b""))
        return self.meta

    # -- writing ------------------------------------------------------------------------------------------------------

    async def save(self, pipeline: Any = None, include_meta: bool = True, include_result: bool = True) -> None:
        """Store the job's changed fields, never its state; a job that was not stored is then 'created', in no queue.

        Raises:
            NoSuchJobError: it was stored, and has been deleted since: nothing of it is brought back.
            UnserializableArguments: a ValueError; the call or meta can't be serialised.
        """
        fields = self.changed_fields(include_meta, include_result)
        if not self.was_stored():
            await self._store.send(save_job(self._store.keys, job_id=self.id, fields=fields), pipeline)
            self.__dict__["_sent"] = self.to_dict()
        elif fields:
            await self._touch(fields, pipeline)

    async def save_meta(self) -> None:
        """Store `meta`. Raises NoSuchJobError when the job is gone: nothing of it is brought back."""
        await self._touch({"meta": dump_meta(self.serializer, self.meta)})

    async def cancel(
        self, pipeline: Any = None, enqueue_dependents: bool = False, remove_from_dependencies: bool = False
    ) -> None:
        """Take the job out of wherever it is; one that runs loses its lease, and its result is dropped.

        Raises:
            InvalidJobOperation: it is canceled already, or gone.
        """
        command = cancel(
            self._store.keys,
            job_id=self.id,
            enqueue_dependents=enqueue_dependents,
            remove_from_dependencies=remove_from_dependencies,
            token=new_call_token(),
        )
        changed = await self._store.send(command, pipeline)
        note_canceled(self, changed)

    async def requeue(self, at_front: bool = False) -> Self:
        """Put a failed or stopped job into its queue again.

        Raises:
            InvalidJobOperation: it is not in the failed registry of its queue.
        """
        keys = self._store.keys
        registry, token = keys.failed(self.origin), new_call_token()
        command = requeue(keys, job_id=self.id, registry=registry, at_front=at_front, token=token)
        check_requeued(self, await self._store.run(command))
        await self.refresh()
        return self

    async def delete(
        self, pipeline: Any = None, remove_from_queue: bool = True, delete_dependents: bool = False
    ) -> None:
        """Remove the job and everything kept about it, results too. A job that is gone already is no error."""
        await self._store.send(delete(self._store.keys, job_id=self.id, delete_dependents=delete_dependents), pipeline)

    async def delete_dependents(self, pipeline: Any = None) -> None:
        """Delete the jobs that wait for this one."""
        for job_id in await self.dependent_ids():
            await self._store.send(delete(self._store.keys, job_id=job_id), pipeline)

    async def cleanup(self, ttl: int | None = None, pipeline: Any = None, remove_from_queue: bool = True) -> None:
        """Delete the job now (0) or after `ttl` seconds; None and negative values do nothing."""
        if ttl == 0:
            await self.delete(pipeline=pipeline, remove_from_queue=remove_from_queue)
        elif ttl is not None and ttl > 0:
            for key in (self.key, self.dependents_key, self.dependencies_key):
                await self._store.send(plain("EXPIRE", (key, ttl), int), pipeline)

    # -- results ------------------------------------------------------------------------------------------------------

    async def latest_result(self, timeout: float = 0) -> Result | None:
        """The newest result; with a timeout (seconds) waits for the first one. Woken, not polling; cancellable."""
        return await Result.fetch_latest(self, serializer=self.serializer, timeout=timeout)

    async def results(self) -> list[Result]:
        """All results kept, newest first."""
        return await Result.all(self, serializer=self.serializer)

    async def return_value(self, refresh: bool = False) -> Any:
        """What the function returned; None before it has succeeded. Kept once seen, unless `refresh`."""
        seen: Result | None = self.__dict__.get("_latest_result")
        if seen is None or refresh:
            seen = await self.latest_result()
            if seen is None or seen.type is not Result.Type.SUCCESSFUL:  # another run may still succeed
                self.__dict__.pop("_latest_result", None)
                return None
            self.__dict__["_latest_result"] = seen
        return seen.return_value

    async def result(self) -> Any:
        """The return value, or what old versions of RQ stored in the job itself."""
        value = await self.return_value(refresh=True)
        return self._result if value is None else value

    async def exc_info(self) -> str | None:
        """Traceback of the latest failure."""
        latest = await self.latest_result()
        if latest is not None and latest.type in (Result.Type.FAILED, Result.Type.STOPPED):
            return latest.exc_string
        return self._exc_info

    # -- dependencies -------------------------------------------------------------------------------------------------

    async def dependency_ids(self) -> list[str]:
        """Ids of the jobs this one waits for, as registered on the server."""
        return await self._store.run(view_dependencies(self._store.keys, job_id=self.id))

    async def dependent_ids(self) -> list[str]:
        """Ids of the jobs that wait for this one."""
        return await self._store.run(view_dependents(self._store.keys, job_id=self.id))

    async def dependency(self) -> Self | None:
        """The first job this one depends on; None without one. Raises NoSuchJobError when it is gone."""
        ids = self._dependency_ids
        return await self.fetch(ids[0], self.connection, self.serializer) if ids else None

    async def fetch_dependencies(self, watch: bool = False, pipeline: Any = None) -> list[Self]:
        """The jobs this one depends on, without those that are gone. Both arguments have no effect."""
        found = await self.fetch_many(self._dependency_ids or (), self.connection, self.serializer)
        return [job for job in found if job is not None]

    async def dependencies_are_met(
        self,
        parent_job: BaseJob | None = None,
        pipeline: Any = None,
        exclude_job_id: str | None = None,
        refresh_job_status: bool = True,
    ) -> bool:
        """Whether the job could run as far as its dependencies go: each is gone, finished, or allowed to fail."""
        ids = [job_id for job_id in self._dependency_ids or () if job_id != exclude_job_id]
        return are_met(self, await self._store.run(view_jobs(self._store.keys, job_ids=ids)) if ids else [])

    async def get_executions(self) -> list[Any]:
        """Its open executions."""
        return list(await self.execution_registry.get_executions())


async def cancel_job(job_id: str, connection: Any, serializer: Any = None, enqueue_dependents: bool = False) -> None:
    """Cancel a job by its id. Raises NoSuchJobError, or InvalidJobOperation when it is canceled already."""
    job = await Job.fetch(job_id, connection=connection, serializer=serializer)
    await job.cancel(enqueue_dependents=enqueue_dependents)


async def requeue_job(job_id: str, connection: Any, serializer: Any = None) -> Job:
    """Put a failed job into its queue again. Raises NoSuchJobError, or InvalidJobOperation when it has not failed."""
    job = await Job.fetch(job_id, connection=connection, serializer=serializer)
    return await job.requeue()
