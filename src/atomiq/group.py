"""Groups: jobs under one name (RQ's `rq.group`), how far they are, and what runs when all of them have ended.

Members whose job is gone disappear as a group is read; reading never raises because of them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from atomiq._commands.group import GroupProgress, group_leave, group_progress, group_read, groups_read
from atomiq._commands.views import view_jobs
from atomiq._core.errors import NoSuchGroupError
from atomiq._core.ids import validate_group_name
from atomiq._core.keys import Keys
from atomiq._core.values import EnqueueData
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.queue.batch import Follower

__all__ = ["Group", "GroupProgress"]

PAGE = 500
ROUNDS = 10_000


class GroupRecord:
    """A group as a name. No I/O.

    Attributes:
        name: of the group; its jobs carry it as `group_id`.
        key: of the set of its job ids.
    """

    REDIS_GROUP_NAME_PREFIX = Keys().group("")
    REDIS_GROUP_KEY = Keys().groups()

    def __init__(self, connection: Any, name: str | None = None) -> None:
        if connection is None:
            raise TypeError("a group needs a connection: Group(connection, name)")
        if name is not None:
            validate_group_name(name)
        self.name = name or uuid.uuid4().hex
        self.connection = connection

    @classmethod
    def create(cls, connection: Any, name: str | None = None) -> Self:
        """A group that is not stored yet; it is when it gets its first jobs (RQ). Default name: a random one."""
        return cls(connection, name)

    @classmethod
    def get_key(cls, name: str) -> str:
        """Key of a group's set, under the default prefix (RQ)."""
        return Keys().group(name)

    @classmethod
    def _named(cls, connection: Any, name: str) -> Self:
        """A group of a stored name, which may be one that RQ accepts and atomiq would not."""
        group = cls(connection)
        group.name = name
        return group

    def __repr__(self) -> str:
        return f"Group(id={self.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GroupRecord) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def followers(
    on_ended: EnqueueData | None, on_finished: EnqueueData | None, on_failed: EnqueueData | None
) -> list[Follower]:
    """The calls that wait for a group, checked."""
    given = {"ended": on_ended, "finished": on_finished, "failed": on_failed}
    return [Follower.of(data, when) for when, data in given.items() if data is not None]


def present(found: Sequence[Mapping[bytes, bytes] | None]) -> list[bool]:
    """Which hashes are jobs."""
    return [raw is not None and b"data" in raw for raw in found]


def no_such_group(name: str) -> NoSuchGroupError:
    return NoSuchGroupError(f"No such group: {name}")


class Group(GroupRecord):
    """Jobs under one name (RQ).

    Args:
        connection: a redis.Redis.
        name: default a random one.

    Raises:
        InvalidName: a ValueError; a name that can't be used.
    """

    @property
    def _store(self) -> Store:
        return Store.of(self.connection)

    @property
    def key(self) -> str:
        """Key of the set of its job ids."""
        return self._store.keys.group(self.name)

    def enqueue_many(
        self,
        queue: Any,
        job_datas: Iterable[EnqueueData],
        pipeline: Any = None,
        *,
        on_finished: EnqueueData | None = None,
        on_failed: EnqueueData | None = None,
        on_ended: EnqueueData | None = None,
    ) -> list[Job]:
        """Enqueue calls made by `Queue.prepare_data` and make them members, in one step for each 1,000 (RQ).

        Dependencies between them hold, in whatever order they come. A given pipeline is executed, as RQ does.

        Args:
            queue: where to enqueue them.
            job_datas: the calls.
            pipeline: a redis pipeline that takes the commands.
            on_finished: a call, made by `prepare_data` as well, that runs when all members have finished.
            on_failed: one that runs when all have ended, and not all of them well.
            on_ended: one that runs when all have ended, however that was. Details of all three: `then`.

        Returns:
            The members, in the order of `Queue.enqueue_many`.

        Raises:
            InvalidInput: a ValueError; nothing of that step is enqueued.
            InvalidJobDependency: they depend on each other in a circle.
        """
        after = followers(on_ended, on_finished, on_failed)
        calls = [*job_datas, *after] if after else job_datas
        jobs: list[Job] = queue.enqueue_many(calls, pipeline=pipeline, group_id=self.name)
        if pipeline is not None:
            pipeline.execute()
        return jobs[: len(jobs) - len(after)]

    def then(self, queue: Any, job_data: EnqueueData, *, when: str = "ended", pipeline: Any = None) -> Job:
        """Enqueue a call that waits, deferred, until every member has ended, and runs exactly once.

        It goes to its queue in the very step that ends the last member: by its success, its last failure, a stop, a
        cancellation, its deletion. Members that expire, or that RQ's workers end, are noticed within seconds by any
        atomiq worker. A member that is to be retried or repeated has not ended. Jobs that are added while others are
        open are waited for as well. It is no member of the group; it can be canceled, deleted or requeued as any job.

        Args:
            queue: where it is to run.
            job_data: made by `Queue.prepare_data`, without `depends_on`.
            when: 'ended', however that was; 'finished', all of them well: while one that has not finished can still be
                requeued this one waits, and it is canceled when that is gone; 'failed', not all of them well: it is
                canceled if all have finished.
            pipeline: only add it to this pipeline.

        Raises:
            NoSuchGroupError: the group has no jobs yet, and none in this pipeline.
            InvalidInput: a ValueError; the call can't be used.
        """
        if pipeline is None and not self.progress().total:
            raise no_such_group(self.name)
        jobs: list[Job] = queue.enqueue_many([Follower.of(job_data, when)], pipeline=pipeline, group_id=self.name)
        return jobs[0]

    def progress(self) -> GroupProgress:
        """How many of its jobs have ended and how, read at one instant; jobs that are no longer kept count as well.

        Of RQ's groups only those jobs are known that are kept when this is called first. The numbers are kept until a
        day after the last job has ended.
        """
        for _ in range(ROUNDS):
            told = self._store.run(group_progress(self._store.keys, name=self.name))
            if told.is_whole:
                break
        return told

    def job_ids(self) -> list[str]:
        """Ids of the members whose job exists, sorted."""
        ids: set[str] = set()
        cursor = ""
        while cursor != "0":
            page = self._store.run(group_read(self._store.keys, name=self.name, cursor=cursor or "0", limit=PAGE))
            ids.update(page.ids)
            cursor = page.cursor
        return sorted(ids)

    def get_jobs(self) -> list[Job]:
        """The members. Those whose job is gone are removed, not reported."""
        ids, jobs = self.job_ids(), []
        for start in range(0, len(ids), PAGE):
            some = ids[start : start + PAGE]
            found = self._store.run(view_jobs(self._store.keys, job_ids=some))
            for job_id, raw, is_there in zip(some, found, present(found), strict=True):
                if is_there and raw is not None:
                    jobs.append(Job.from_hash(job_id, raw, self.connection))
        return jobs

    def cleanup(self) -> None:
        """Remove members whose job is gone. Reading does the same."""
        self.job_ids()

    def delete_job(self, job_id: str, pipeline: Any = None) -> None:
        """Take a job out of the group; the job stays (RQ). Nothing waits for it on behalf of the group any more."""
        self._store.send(group_leave(self._store.keys, name=self.name, job_id=job_id), pipeline)

    @classmethod
    def fetch(cls, name: str, connection: Any) -> Self:
        """The group of this name.

        Raises:
            NoSuchGroupError: it has no members, or never had.
        """
        group = cls._named(connection, name)
        store = Store.of(connection)
        page = store.run(group_read(store.keys, name=name, limit=PAGE))
        if not page.exists:
            raise no_such_group(name)
        return group

    @classmethod
    def all(cls, connection: Any) -> list[Self]:
        """All groups that have members, by name."""
        store = Store.of(connection)
        names: set[str] = set()
        cursor = ""
        while cursor != "0":
            page = store.run(groups_read(store.keys, cursor=cursor or "0", limit=PAGE))
            names.update(page.names)
            cursor = page.cursor
        return [cls._named(connection, name) for name in sorted(names)]

    @classmethod
    def clean_registries(cls, connection: Any) -> None:
        """Remove vanished jobs from all groups and vanished groups from the list (RQ)."""
        for group in cls.all(connection):
            group.cleanup()
