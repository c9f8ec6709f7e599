"""Job: one enqueued call, as producers and workers see it (RQ's API)."""

from __future__ import annotations

import importlib
import warnings
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
from atomiq._core.serial import dump_meta, resolve_serializer
from atomiq._core.states import JobStatus
from atomiq._wire.sync import Store
from atomiq.job.base import BaseJob
from atomiq.job.current import current
from atomiq.job.planned import are_met, check_requeued, note_canceled
from atomiq.job.steps import SteppingJob
from atomiq.results import Result


class Job(SteppingJob):
    """One call of a function, stored on the server.

    `Job(id, connection)` is an empty shell; use `Job.fetch` for a stored job and `Queue.enqueue` or `Job.create` for a
    new one. A field is decoded when it is first read; an unreadable one raises DeserializationError then.
    """

    # -- reading ------------------------------------------------------------------------------------------------------

    @classmethod
    def fetch(
        cls,
        id: str,  # noqa: A002 - RQ's name
        connection: Any = None,
        serializer: Any = None,
    ) -> Self:
        """The stored job of an id; `job:execution` stands for the job (RQ).

        Raises:
            NoSuchJobError: there is none, or its hash is no job's.
            InvalidName: a ValueError; not a job id.
        """
        job = cls(parse_job_id(id), connection=connection, serializer=serializer)
        job.refresh()
        return job

    @classmethod
    def fetch_many(cls, job_ids: Iterable[str], connection: Any, serializer: Any = None) -> list[Self | None]:
        """Stored jobs in the order of the ids, up to 1,000 read at one instant; None where there is none (RQ)."""
        ids = [parse_job_id(job_id) for job_id in job_ids]
        for job_id in ids:
            validate_job_id(job_id)
        if not ids:
            return []
        store = Store.of(connection)
        found = [raw for view in view_many_jobs(store.keys, ids) for raw in store.run(view)]
        return [
            cls.from_hash(job_id, raw, connection, serializer) if raw and b"data" in raw else None
            for job_id, raw in zip(ids, found, strict=True)
        ]

    @classmethod
    def from_hash(cls, job_id: str, raw: Mapping[bytes, bytes], connection: Any, serializer: Any = None) -> Self:
        """A job from its hash, such as claim hands to a worker. Raises NoSuchJobError when it is no job's."""
        if cls is Job and connection is not None and b"data" in raw and raw.get(b"created_at"):
            validate_job_id(job_id)  # nothing else is left to be done: the short way for every job that a worker claims
            job = cls.__new__(cls)
            mine = job.__dict__
            mine["_id"], mine["raw"], mine["connection"] = job_id, raw, connection
            mine["serializer"] = resolve_serializer(serializer)
            return job
        job = cls(job_id, connection=connection, serializer=serializer)
        job.restore(raw)
        return job

    @classmethod
    def exists(cls, job_id: str, connection: Any) -> bool:
        """Whether a job of this id is stored (RQ)."""
        store = Store.of(connection)
        return store.run(view_exists(store.keys, job_id=job_id))

    def refresh(self) -> None:
        """Read the job again (RQ). Raises NoSuchJobError when it is gone."""
        raw = self._store.run(view_job(self._store.keys, job_id=self.id))
        if not raw:
            raise NoSuchJobError(f"No such job: {self.key}")
        self.restore(raw)

    def get_status(self, refresh: bool = True) -> JobStatus:
        """The job's status; `refresh=False` gives the one last seen (RQ).

        Raises:
            InvalidJobOperation: the job is gone.
        """
        if refresh:
            return self.take_status(self._store.run(view_status(self._store.keys, job_id=self.id)))
        return self.known_status

    @property
    def is_finished(self) -> bool:
        return self.get_status() is JobStatus.FINISHED

    @property
    def is_queued(self) -> bool:
        return self.get_status() is JobStatus.QUEUED

    @property
    def is_failed(self) -> bool:
        return self.get_status() is JobStatus.FAILED

    @property
    def is_started(self) -> bool:
        return self.get_status() is JobStatus.STARTED

    @property
    def is_deferred(self) -> bool:
        return self.get_status() is JobStatus.DEFERRED

    @property
    def is_canceled(self) -> bool:
        return self.get_status() is JobStatus.CANCELED

    @property
    def is_scheduled(self) -> bool:
        return self.get_status() is JobStatus.SCHEDULED

    @property
    def is_stopped(self) -> bool:
        return self.get_status() is JobStatus.STOPPED

    def get_position(self) -> int | None:
        """Place in its queue, 0 is next; None when it doesn't wait in it (RQ). O(length of the queue)."""
        return self._store.run(view_position(self._store.keys, queue=self.origin, job_id=self.id))

    def get_meta(self, refresh: bool = True) -> dict[str, Any]:
        """The user's data on the job, read again unless `refresh=False` (RQ)."""
        if refresh:
            raw = self._store.run(view_job(self._store.keys, job_id=self.id)) or {}
            self.take_meta(raw.get(b"meta", b""))
        return self.meta

    # -- writing ------------------------------------------------------------------------------------------------------

    def save(self, pipeline: Any = None, include_meta: bool = True, include_result: bool = True) -> None:
        """Store the fields set on this object, never the state; a new job is then 'created', in no queue (RQ).

        Raises:
            NoSuchJobError: it was stored, and has been deleted since: nothing of it is brought back.
            UnserializableArguments: a ValueError; the call or meta can't be serialised.
        """
        fields = self.changed_fields(include_meta, include_result)
        if not self.was_stored():
            self._store.send(save_job(self._store.keys, job_id=self.id, fields=fields), pipeline)
            self.__dict__["_sent"] = self.to_dict()
        elif fields:
            self._touch(fields, pipeline)

    def transaction(self, where: Any = None, *, using: str | None = None, step: str = "", route: str = "") -> Any:
        """A transaction that commits the job's rows with a mark, so that a run after a crash sees that they are there:

            with job.transaction(session) as work:
                if not work.done:
                    work.result = charge(session, order)
            return work.result

        What is enqueued inside goes through the outbox of the same transaction. An exception rolls all of it back.

        Args:
            where: SQLAlchemy Session or Connection, AsyncSession (`async with`), or DB-API connection.
            using: instead, the alias of a Django database.
            step: tells several transactions of one job apart. Default ''.
            route: of the outbox's rows. Default ''.

        Raises:
            TypeError, InvalidOption; on entering NotInTransaction, OutboxTableMissing, InvalidJobOperation.
        """
        marks = importlib.import_module("atomiq.outbox.marks")
        return marks.JobTransaction(self, where, using=using, step=step, route=route)

    def save_meta(self) -> None:
        """Store `meta` (RQ). Raises NoSuchJobError when the job is gone: nothing of it is brought back."""
        self._touch({"meta": dump_meta(self.serializer, self.meta)})

    def cancel(
        self, pipeline: Any = None, enqueue_dependents: bool = False, remove_from_dependencies: bool = False
    ) -> None:
        """Take the job out of wherever it is; one that runs loses its lease, and its result is dropped (RQ).

        Args:
            pipeline: only add it to this pipeline; refusals then go unnoticed.
            enqueue_dependents: let jobs that waited only for this one run.
            remove_from_dependencies: the jobs it waits for forget it.

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
        changed = self._store.send(command, pipeline)
        note_canceled(self, changed)

    def requeue(self, at_front: bool = False) -> Self:
        """Put a failed or stopped job into its queue again (RQ).

        Raises:
            InvalidJobOperation: it is not in the failed registry of its queue.
        """
        keys = self._store.keys
        registry, token = keys.failed(self.origin), new_call_token()
        command = requeue(keys, job_id=self.id, registry=registry, at_front=at_front, token=token)
        check_requeued(self, self._store.run(command))
        self.refresh()
        return self

    def delete(self, pipeline: Any = None, remove_from_queue: bool = True, delete_dependents: bool = False) -> None:
        """Remove the job and everything kept about it, results too (RQ). A job that is gone already is no error.

        Args:
            pipeline: only add it to this pipeline.
            remove_from_queue: RQ's; a deleted job never stays in a queue here.
            delete_dependents: delete the jobs that wait for it, too.
        """
        self._store.send(delete(self._store.keys, job_id=self.id, delete_dependents=delete_dependents), pipeline)

    def delete_dependents(self, pipeline: Any = None) -> None:
        """Delete the jobs that wait for this one (RQ)."""
        for job_id in self.dependent_ids:
            self._store.send(delete(self._store.keys, job_id=job_id), pipeline)

    def cleanup(self, ttl: int | None = None, pipeline: Any = None, remove_from_queue: bool = True) -> None:
        """Delete the job now (0) or after `ttl` seconds; None and negative values do nothing (RQ)."""
        if ttl == 0:
            self.delete(pipeline=pipeline, remove_from_queue=remove_from_queue)
        elif ttl is not None and ttl > 0:
            for key in (self.key, self.dependents_key, self.dependencies_key):
                self._store.send(plain("EXPIRE", (key, ttl), int), pipeline)

    # -- results ------------------------------------------------------------------------------------------------------

    def latest_result(self, timeout: float = 0) -> Result | None:
        """The newest result; with a timeout (seconds) waits for the first one to arrive (RQ). Woken, not polling."""
        return Result.fetch_latest(self, serializer=self.serializer, timeout=timeout)

    def results(self) -> list[Result]:
        """All results kept, newest first (RQ)."""
        return Result.all(self, serializer=self.serializer)

    def return_value(self, refresh: bool = False) -> Any:
        """What the function returned; None before it has succeeded (RQ). Kept once seen, unless `refresh`."""
        seen: Result | None = self.__dict__.get("_latest_result")
        if seen is None or refresh:
            seen = self.latest_result()
            if seen is None or seen.type is not Result.Type.SUCCESSFUL:  # another run may still succeed
                self.__dict__.pop("_latest_result", None)
                return None
            self.__dict__["_latest_result"] = seen
        return seen.return_value

    @property
    def result(self) -> Any:
        """The return value, or what old versions of RQ stored in the job itself (RQ). Deprecated: `return_value`."""
        warnings.warn("job.result is deprecated, use job.return_value()", DeprecationWarning, stacklevel=2)
        value = self.return_value(refresh=True)
        return self._result if value is None else value

    @property
    def exc_info(self) -> str | None:
        """Traceback of the latest failure (RQ). Deprecated: `latest_result`."""
        warnings.warn("job.exc_info is deprecated, use job.latest_result()", DeprecationWarning, stacklevel=2)
        latest = self.latest_result()
        if latest is not None and latest.type in (Result.Type.FAILED, Result.Type.STOPPED):
            return latest.exc_string
        return self._exc_info

    # -- dependencies -------------------------------------------------------------------------------------------------

    @property
    def dependency_ids(self) -> list[str]:
        """Ids of the jobs this one waits for, as registered on the server (RQ)."""
        return self._store.run(view_dependencies(self._store.keys, job_id=self.id))

    @property
    def dependent_ids(self) -> list[str]:
        """Ids of the jobs that wait for this one (RQ)."""
        return self._store.run(view_dependents(self._store.keys, job_id=self.id))

    @property
    def dependency(self) -> Self | None:
        """The first job this one depends on, fetched once; None without one (RQ). Raises NoSuchJobError when gone."""
        ids = self._dependency_ids
        if not ids:
            return None
        known = self.__dict__.get("_dependency")
        if known is None:
            known = self.__dict__["_dependency"] = self.fetch(ids[0], self.connection, self.serializer)
        return known

    def fetch_dependencies(self, watch: bool = False, pipeline: Any = None) -> list[Self]:
        """The jobs this one depends on, without those that are gone (RQ). Both arguments are RQ's, without effect."""
        found = self.fetch_many(self._dependency_ids or (), self.connection, self.serializer)
        return [job for job in found if job is not None]

    def dependencies_are_met(
        self,
        parent_job: BaseJob | None = None,
        pipeline: Any = None,
        exclude_job_id: str | None = None,
        refresh_job_status: bool = True,
    ) -> bool:
        """Whether the job could run as far as its dependencies go: each is gone, finished, or allowed to fail (RQ)."""
        ids = [job_id for job_id in self._dependency_ids or () if job_id != exclude_job_id]
        return are_met(self, self._store.run(view_jobs(self._store.keys, job_ids=ids)) if ids else [])

    def get_executions(self) -> list[Any]:
        """Its open executions (RQ)."""
        return list(self.execution_registry.get_executions())


def get_current_job(connection: Any = None, job_class: Any = None) -> Job | None:
    """The job that is running in this thread or task, None outside of jobs (RQ).

    Both arguments are RQ's, deprecated there too, and have no effect.
    """
    if connection is not None or job_class is not None:
        warnings.warn("the arguments of get_current_job have no effect", DeprecationWarning, stacklevel=2)
    job: Job | None = current()
    return job


def cancel_job(job_id: str, connection: Any, serializer: Any = None, enqueue_dependents: bool = False) -> None:
    """Cancel a job by its id (RQ). Raises NoSuchJobError, or InvalidJobOperation when it is canceled already."""
    Job.fetch(job_id, connection=connection, serializer=serializer).cancel(enqueue_dependents=enqueue_dependents)


def requeue_job(job_id: str, connection: Any, serializer: Any = None) -> Job:
    """Put a failed job into its queue again (RQ). Raises NoSuchJobError, or InvalidJobOperation if it hasn't failed."""
    return Job.fetch(job_id, connection=connection, serializer=serializer).requeue()
