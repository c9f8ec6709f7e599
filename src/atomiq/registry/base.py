"""What all registries can do (RQ's `BaseRegistry`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from atomiq._commands.base import Command
from atomiq._commands.change import requeue
from atomiq._commands.queues import EXPIRED_AT_ONCE, expire
from atomiq._commands.registry import KEEP_AS_IT_IS, Entered
from atomiq._commands.views import view_registry, view_registry_size, view_score, view_time
from atomiq._core.classes import lookup
from atomiq._core.errors import NoSuchJobError
from atomiq._core.ids import new_call_token, validate_job_id
from atomiq._core.keys import Keys
from atomiq._core.values import JobOrId
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.registry.members import add_member, due_members, id_of, remove_members
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

    job_class: Any = Job

    @property
    def _store(self) -> Store:
        return Store.of(self.connection)

    def _keys(self) -> Keys:
        return self._store.keys

    def _send(self, command: Command[int], pipeline: Any) -> Any:
        """Run a command now, or put it into a caller's pipeline; then the answer is that pipeline (RQ)."""
        said = self._store.send(command, pipeline)
        return pipeline if said is None else said

    def _enter(self, command: Command[Entered], job_id: str, pipeline: Any) -> Any:
        entered = self._store.send(command, pipeline)
        return pipeline if entered is None else self.check_entered(job_id, entered)

    # -- reading ------------------------------------------------------------------------------------------------------

    def get_job_count(self, cleanup: bool = True) -> int:
        """How many jobs are in it. `cleanup=False` also counts those whose time is over."""
        if not cleanup:
            return self._store.run(view_registry_size(key=self.key))
        view = self._counts()
        if view is None:
            return self._store.run(view_registry_size(key=self.key))
        self._heal()
        (counts,) = self._store.run(view)
        return int(getattr(counts, self.stands_for))

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
        while cleanup and self._heal() >= EXPIRED_AT_ONCE:
            pass  # a full page: there are more whose time is over
        members = self._store.run(view_registry(key=self.key, start=start, end=end, desc=desc))
        return [self.parse_job_id(member) for member in members]

    def __contains__(self, item: JobOrId) -> bool:
        return self._score(id_of(item)) is not None

    def _score(self, member: str) -> float | None:
        return self._store.run(view_score(key=self.key, member=member))

    def get_expiration_time(self, job: JobOrId) -> datetime:
        """When a member is forgotten, aware UTC; the latest time there is for one that is kept for ever.

        Raises:
            NotInRegistry: a NoSuchJobError and TypeError; it isn't a member.
        """
        job_id = id_of(job)
        return self.moment(job_id, self._score(job_id))

    def get_expired_job_ids(self, timestamp: float | None = None) -> list[str]:
        """Ids whose score lies between 0 and `timestamp` (unix seconds; default: the server's now)."""
        if timestamp is None:
            timestamp = self._store.run(view_time())
        return [self.parse_job_id(member) for member in self._store.run(due_members(self.key, timestamp))]

    def get_queue(self) -> Any:
        """The Queue it belongs to."""
        return lookup("Queue")(self.name, connection=self.connection, serializer=self.serializer)

    # -- changing -----------------------------------------------------------------------------------------------------

    def _heal(self) -> int:
        """Drop members that have outlived their jobs, one bounded step. Says how many."""
        if not self.outlives or not self._status:
            return 0
        return self._store.run(expire(self._keys(), queue=self.name, only=self.key)).removed

    def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Drop what has outlived its time at `timestamp` (unix seconds; default: the server's now)."""
        offset, more = 0, self.outlives and bool(self._status)
        while more:
            page = self._store.run(expire(self._keys(), queue=self.name, offset=offset, now_ms=milliseconds(timestamp)))
            offset, more = page.next_offset, page.more

    def requeue(self, job_or_id: JobOrId, at_front: bool = False) -> Job:
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
        changed = self._store.run(command)
        self.check_requeued(job_id, changed)
        if isinstance(job_or_id, Job):
            job_or_id.refresh()
            return job_or_id
        job: Job = self.job_class.fetch(job_id, connection=self.connection, serializer=self.serializer)
        return job

    def add(self, job: JobOrId, ttl: int = 0, pipeline: Any = None, xx: bool = False) -> Any:
        """Put a job into this registry by hand (RQ), out of wherever it was; it then has the status of the registry.

        Args:
            ttl: seconds from now until its score; -1 is for ever, what is below a score itself.
            xx: only if it is in this registry already.

        Says 1 if it was not there before, else 0; `pipeline`, if one is given. An id without a job is written down.

        Raises:
            JobIsRunning: it runs; in a pipeline nothing happens then.
        """
        job_id = id_of(job)
        score = self._literal_score(ttl)
        if self._status:
            command = self._entering(job_id, ttl=ttl, score=score, only_move=xx, keep=self._kept(ttl))
            return self._enter(command, job_id, pipeline)
        score = int(self._store.run(view_time())) + ttl if score is None else score
        return self._send(add_member(self.key, job_id, score, xx), pipeline)

    def _kept(self, ttl: int) -> int:
        """Seconds that a job is kept that enters this registry."""
        return KEEP_AS_IT_IS

    def _literal_score(self, ttl: int) -> float | str | None:
        """A ttl that is no number of seconds."""
        if ttl >= 0:
            return None
        return "+inf" if ttl == -1 else ttl

    def remove(self, job: JobOrId, pipeline: Any = None, delete_job: bool = False) -> Any:
        """Take a job out of this registry by hand (RQ); with `delete_job` it is deleted, in the same step.

        Without, its status is then 'created': it is in no container. One that is somewhere else by now stays there.
        Says 1 if it was in this registry, else 0; `pipeline`, if one is given.

        Raises:
            NoSuchJobError: it was to be deleted and is gone.
        """
        job_id = id_of(job)
        if not self._status and not delete_job:
            return self._send(remove_members(self.key, [job_id]), pipeline)
        left = self._store.send(self._leaving(job_id, delete_job), pipeline)
        if left is None:
            return pipeline
        if delete_job and not left.existed:
            raise NoSuchJobError(f"No such job: {self._keys().job(job_id)}")
        return left.removed


def milliseconds(timestamp: float | None) -> int:
    """Unix seconds as a command's `now_ms`; 0, the server's clock, for None."""
    return 0 if timestamp is None else int(timestamp * 1000)
