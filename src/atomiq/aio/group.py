"""Groups, with asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from atomiq._commands.group import group_read, groups_read
from atomiq._commands.views import view_jobs
from atomiq._core.errors import NoSuchGroupError
from atomiq._core.values import EnqueueData
from atomiq._wire.aio import AsyncStore
from atomiq.aio.job import Job
from atomiq.aio.send import send
from atomiq.group import PAGE, GroupRecord, forget_member, present


class Group(GroupRecord):
    """`atomiq.group.Group` for asyncio. Arguments as there."""

    @property
    def _store(self) -> AsyncStore:
        return AsyncStore.of(self.connection)

    @property
    def key(self) -> str:
        """Key of the set of its job ids."""
        return self._store.keys.group(self.name)

    async def enqueue_many(self, queue: Any, job_datas: Iterable[EnqueueData], pipeline: Any = None) -> list[Job]:
        """Enqueue calls made by `Queue.prepare_data` and make them members, in one step for each 1,000.

        A given pipeline is executed. Raises InvalidInput, a ValueError; nothing of that step is enqueued.
        """
        jobs: list[Job] = await queue.enqueue_many(job_datas, pipeline=pipeline, group_id=self.name)
        if pipeline is not None:
            await pipeline.execute()
        return jobs

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
        await send(self._store, forget_member(self._store.keys, self.name, job_id), pipeline)

    @classmethod
    async def fetch(cls, name: str, connection: Any) -> Self:
        """The group of this name. Raises NoSuchGroupError: it has no members, or never had."""
        group = cls(connection, name)
        page = await group._store.run(group_read(group._store.keys, name=name, limit=PAGE))
        if not page.exists:
            raise NoSuchGroupError(f"No such group: {name}")
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
