"""What all registries can do (RQ's `BaseRegistry`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from atomiq._commands.base import Command
from atomiq._commands.change import delete, requeue
from atomiq._commands.queues import expire
from atomiq._commands.views import view_registry, view_registry_size, view_score
from atomiq._core.classes import lookup
from atomiq._core.keys import Keys
from atomiq._core.values import JobOrId
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.registry.members import add_member, due_members, id_of, remove_members, server_time
from atomiq.registry.record import RegistryRecord


class BaseRegistry(RegistryRecord):
    """Jobs of one queue that are in one state (RQ).

    Args:
        name: of the queue. Default 'default'.
        connection: a redis.Redis; needed unless `queue` is given.
        job_class: class (or its dotted name) that jobs are fetched with. Default Job.
        queue: takes name, connection and serializer from a Queue.
        serializer: as for Queue.
        death_penalty_class: RQ's; how callbacks of abandoned jobs are limited.
    """

    @property
    def _store(self) -> Store:
        return Store.of(self.connection)

    def _keys(self) -> Keys:
        return self._store.keys

    def default_job_class(self) -> Any:
        """Job."""
        return Job

    def _send(self, command: Command[int], pipeline: Any) -> int:
        """Run a command now, or put it into a caller's pipeline; then the answer is 0."""
        if pipeline is None:
            return self._store.run(command)
        self._store.queue_in(pipeline, command)
        return 0

    # -- reading ------------------------------------------------------------------------------------------------------

    def get_job_count(self, cleanup: bool = True) -> int:
        """How many jobs are in it. `cleanup=False` also counts those whose time is over."""
        if not cleanup:
            return self._store.run(view_registry_size(key=self.key))
        self._heal()
        (counts,) = self._store.run(self.counts(self._keys()))
        return int(getattr(counts, self.shown_as))

    @property
    def count(self) -> int:
        """How many jobs are in it."""
        return self.get_job_count()

    def __len__(self) -> int:
        return self.count

    def get_job_ids(self, start: int = 0, end: int = -1, desc: bool = False, cleanup: bool = True) -> list[str]:
        """Job ids by rank in the order of their scores, `end` included.

        `cleanup=False` also shows those whose time is over.
        """
        if cleanup:
            self._heal()
        members = self._store.run(view_registry(key=self.key, start=start, end=end, desc=desc))
        return [self.parse_job_id(member) for member in members]

    def __contains__(self, item: JobOrId) -> bool:
        return self._score(id_of(item)) is not None

    def _score(self, member: str) -> float | None:
        return self._store.run(view_score(key=self.key, member=member))

    def get_expiration_time(self, job: JobOrId) -> datetime:
        """When a member is forgotten, aware UTC; the latest time there is for one that is kept for ever.

        Raises:
            NoSuchJobError: it isn't a member.
        """
        job_id = id_of(job)
        return self.moment(job_id, self._score(job_id))

    def get_expired_job_ids(self, timestamp: float | None = None) -> list[str]:
        """Ids whose score lies between 0 and `timestamp` (unix seconds; default: the server's now)."""
        if timestamp is None:
            timestamp = self._store.run(server_time())
        return [self.parse_job_id(member) for member in self._store.run(due_members(self.key, timestamp))]

    def get_queue(self) -> Any:
        """The Queue it belongs to."""
        return lookup("Queue")(self.name, connection=self.connection, serializer=self.serializer)

    # -- changing -----------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """Drop members that have outlived their jobs, one bounded step."""
        if self.outlives:
            self._store.run(expire(self._keys(), queue=self.name))

    def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Drop what has outlived its time at `timestamp` (unix seconds; default: the server's now)."""
        offset, more = 0, self.outlives
        while more:
            page = self._store.run(expire(self._keys(), queue=self.name, offset=offset, now_ms=milliseconds(timestamp)))
            offset, more = page.next_offset, page.more

    def requeue(self, job_or_id: JobOrId, at_front: bool = False) -> Job:
        """Put a job that is in this registry back into its queue, in one step. Says the job as it is then.

        Raises:
            InvalidJobOperation: it isn't in this registry.
            NoSuchJobError: it is gone.
        """
        job_id = id_of(job_or_id)
        changed = self._store.run(requeue(self._keys(), job_id=job_id, registry=self.key, at_front=at_front))
        self.check_requeued(job_id, changed)
        if isinstance(job_or_id, Job):
            job_or_id.refresh()
            return job_or_id
        job: Job = self.job_class.fetch(job_id, connection=self.connection, serializer=self.serializer)
        return job

    def add(self, job: JobOrId, ttl: int = 0, pipeline: Any = None, xx: bool = False) -> int:
        """Low level (RQ): write only the member, scored `ttl` s from now (-1: for ever); the status stays."""
        return self._send(add_member(self.key, id_of(job), self._score_in(ttl), xx), pipeline)

    def _score_in(self, ttl: int) -> float | str:
        if ttl < 0:
            return "+inf" if ttl == -1 else ttl
        return self._store.run(server_time()) + ttl

    def remove(self, job: JobOrId, pipeline: Any = None, delete_job: bool = False) -> int:
        """Remove a job from the registry (RQ). With `delete_job` the job is deleted, in one step.

        Without it this is low level: only the member goes, and the job is then in no container.
        """
        job_id = id_of(job)
        if not delete_job:
            return self._send(remove_members(self.key, [job_id]), pipeline)
        command = delete(self._keys(), job_id=job_id)
        if pipeline is not None:
            self._store.queue_in(pipeline, command)
            return 0
        return int(self._store.run(command).word == "ok")


def milliseconds(timestamp: float | None) -> int:
    """Unix seconds as a command's `now_ms`; 0, the server's clock, for None."""
    return 0 if timestamp is None else int(timestamp * 1000)
