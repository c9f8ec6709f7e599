"""Results of jobs, read with asyncio."""

from __future__ import annotations

from typing import Any, Self

from atomiq._commands.views import delete_results, view_result_count, view_results
from atomiq._core.ttl import check_wait
from atomiq._wire.aio import AsyncStore
from atomiq._wire.aio_wait import wait_result
from atomiq.results import FIRST_ENTRY, HasResults, ResultRecord


class Result(ResultRecord):
    """`atomiq.results.Result` for asyncio: the reads. Its attributes are those of `ResultRecord`."""

    @classmethod
    async def all(cls, job: HasResults, serializer: Any = None) -> list[Self]:
        """All results on record, newest first."""
        store = AsyncStore.of(job.connection)
        return cls._restored(job, await store.run(view_results(store.keys, job_id=job.id)), serializer)

    @classmethod
    async def count(cls, job: HasResults) -> int:
        """How many results are on record."""
        store = AsyncStore.of(job.connection)
        return await store.run(view_result_count(store.keys, job_id=job.id))

    @classmethod
    async def delete_all(cls, job: HasResults) -> None:
        """Forget all results of a job; the job itself stays."""
        store = AsyncStore.of(job.connection)
        await store.run(delete_results(store.keys, job_id=job.id))

    @classmethod
    async def fetch(cls, job: HasResults, serializer: Any = None) -> Self | None:
        """The newest result, None without one."""
        return await cls.fetch_latest(job, serializer)

    @classmethod
    async def fetch_latest(cls, job: HasResults, serializer: Any = None, timeout: float = 0) -> Self | None:
        """The newest result. Without one, waits up to `timeout` seconds to be woken by the first; then None.

        Cancelling the task ends the wait and its connection.
        """
        store = AsyncStore.of(job.connection)
        seconds = check_wait(timeout)
        newest = view_results(store.keys, job_id=job.id, count=1)
        found = await store.run(newest)
        if not found and seconds and await wait_result(store, job.id, FIRST_ENTRY, seconds):
            found = await store.run(newest)
        return next(iter(cls._restored(job, found, serializer)), None)
