"""Groups, with asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from atomiq._commands.group import GroupProgress, group_leave, group_progress, group_read, groups_read
from atomiq._commands.views import view_jobs
from atomiq._core.values import EnqueueData
from atomiq._wire.aio import AsyncStore
from atomiq.aio.job import Job
from atomiq.group import PAGE, ROUNDS, GroupRecord, followers, no_such_group, present
from atomiq.queue.batch import Follower


class Group(GroupRecord):
    """`atomiq.group.Group` for asyncio. Arguments as there."""

    @property
    def _store(self) -> AsyncStore:
        return AsyncStore.of(self.connection)

    @property
    def key(self) -> str:
        """Key of the set of its job ids."""
        return self._store.keys.group(self.name)

    async def enqueue_many(
        self,
        queue: Any,
        job_datas: Iterable[EnqueueData],
        pipeline: Any = None,
        *,
        on_finished: EnqueueData | None = None,
        on_failed: EnqueueData | None = None,
        on_ended: EnqueueData | None = None,
    ) -> list[Job]:
        """Enqueue calls made by `Queue.prepare_data` and make them members, in one step for each 1,000.

        A given pipeline is executed. `on_finished`, `on_failed` and `on_ended` run when the whole group has ended, as
        `then` explains. Raises InvalidInput, a ValueError; nothing of that step is enqueued.
        """
        after = followers(on_ended, on_finished, on_failed)
        calls = [*job_datas, *after] if after else job_datas
        jobs: list[Job] = await queue.enqueue_many(calls, pipeline=pipeline, group_id=self.name)
        if pipeline is not None:
            await pipeline.execute()
        return jobs[: len(jobs) - len(after)]

    async def then(self, queue: Any, job_data: EnqueueData, *, when: str = "ended", pipeline: Any = None) -> Job:
        """Enqueue a call that waits until every member has ended, and runs exactly once; `atomiq.group.Group.then`
        says when. Raises NoSuchGroupError: the group has no jobs yet; InvalidInput: the call can't be used."""
        if pipeline is None and not (await self.progress()).total:
            raise no_such_group(self.name)
        follower = Follower.of(job_data, when)
        jobs: list[Job] = await queue.enqueue_many([follower], pipeline=pipeline, group_id=self.name)
        return jobs[0]

    async def progress(self) -> GroupProgress:
        """How many of its jobs have ended and how, read at one instant; jobs that are no longer kept count as well."""
        for _ in range(ROUNDS):
            told = await self._store.run(group_progress(self._store.keys, name=self.name))
            if told.is_whole:
                break
        return told

    async def job_ids(self) -> list[str]:
        """Ids of the members whose job exists, sorted."""
        ids: set[str] = set()
        cursor = ""
        while cursor != "0":
            command = group_read(self._store.keys, name=self.name, cursor=cursor or "0", limit=PAGE)
            page = await self._store.run(command)
            ids.update(page.ids)
            cursor = page.cursor
        return sorted(ids)

    async def get_jobs(self) -> list[Job]:
        """The members. Those whose job is gone are removed, not reported."""
        ids, jobs = await self.job_ids(), []
        for start in range(0, len(ids), PAGE):
            some = ids[start : start + PAGE]
            found = await self._store.run(view_jobs(self._store.keys, job_ids=some))
            for job_id, raw, is_there in zip(some, found, present(found), strict=True):
                if is_there and raw is not None:
                    jobs.append(Job.from_hash(job_id, raw, self.connection))
        return jobs

    async def cleanup(self) -> None:
        """Remove members whose job is gone. Reading does the same."""
        await self.job_ids()

    async def delete_job(self, job_id: str, pipeline: Any = None) -> None:
        """Take a job out of the group; the job stays."""
        await self._store.send(group_leave(self._store.keys, name=self.name, job_id=job_id), pipeline)

    @classmethod
    async def fetch(cls, name: str, connection: Any) -> Self:
        """The group of this name. Raises NoSuchGroupError: it has no members, or never had."""
        group = cls._named(connection, name)
        store = AsyncStore.of(connection)
        page = await store.run(group_read(store.keys, name=name, limit=PAGE))
        if not page.exists:
            raise no_such_group(name)
        return group

    @classmethod
    async def all(cls, connection: Any) -> list[Self]:
        """All groups that have members, by name."""
        store = AsyncStore.of(connection)
        names: set[str] = set()
        cursor = ""
        while cursor != "0":
            page = await store.run(groups_read(store.keys, cursor=cursor or "0", limit=PAGE))
            names.update(page.names)
            cursor = page.cursor
        return [cls._named(connection, name) for name in sorted(names)]

    @classmethod
    async def clean_registries(cls, connection: Any) -> None:
        """Remove vanished jobs from all groups and vanished groups from the list."""
        for group in await cls.all(connection):
            await group.cleanup()
