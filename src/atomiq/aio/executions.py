"""Executions, read with asyncio."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from atomiq._commands.registry import drop_executions
from atomiq._commands.views import view_execution, view_executions, view_time
from atomiq._wire.aio import AsyncStore
from atomiq.aio.job import Job
from atomiq.aio.registry import BaseRegistry
from atomiq.executions import ExecutionRecord, by_rank, executions_of
from atomiq.registry.members import remove_up_to


class Execution(ExecutionRecord):
    """`atomiq.executions.Execution` for asyncio."""

    @classmethod
    async def fetch(cls, id: str, job_id: str, connection: Any) -> Self:  # noqa: A002 - RQ's
        """The execution with this id. Raises ValueError: it has ended, or its lease is over."""
        execution = cls(id, job_id, connection)
        await execution.refresh()
        return execution

    async def refresh(self) -> None:
        """Read it again. Raises ValueError: it has ended, or its lease is over."""
        store = AsyncStore.of(self.connection)
        found = await store.run(view_execution(store.keys, job_id=self.job_id, execution_id=self.id))
        self.take(found)

    @property
    def key(self) -> str:
        """Key of its hash."""
        return AsyncStore.of(self.connection).keys.execution(self.job_id, self.id)

    async def job(self) -> Job:
        """The job it runs. Raises NoSuchJobError: the job is gone."""
        return await Job.fetch(self.job_id, connection=self.connection)


class ExecutionRegistry(BaseRegistry):
    """`atomiq.executions.ExecutionRegistry` for asyncio."""

    key_template: ClassVar[str] = "rq:executions:{0}"

    def __init__(self, job_id: str, connection: Any) -> None:
        super().__init__(job_id, connection)
        self.job_id = job_id

    async def get_executions(self, start: int = 0, end: int = -1) -> list[Execution]:
        """Executions by rank, the oldest heartbeat first."""
        found = await self._store.run(view_executions(self._keys(), job_id=self.job_id))
        return by_rank(executions_of(found, self.job_id, self.connection, Execution), start, end)

    async def get_execution_ids(self, start: int = 0, end: int = -1) -> list[str]:
        """Ids by rank, the oldest heartbeat first."""
        return [execution.id for execution in await self.get_executions(start, end)]

    async def get_job_ids(self, start: int = 0, end: int = -1, desc: bool = False, cleanup: bool = True) -> list[str]:
        """Ids of the executions. `cleanup=False` also shows those that are over."""
        if not cleanup or desc:
            return await super().get_job_ids(start, end, desc, cleanup)
        return await self.get_execution_ids(start, end)

    async def get_job_count(self, cleanup: bool = True) -> int:
        """How many attempts run. `cleanup=False` also counts those that are over."""
        return len(await self.get_executions()) if cleanup else await super().get_job_count(cleanup=False)

    async def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Drop entries that are over at `timestamp` (unix seconds; default: the server's now)."""
        timestamp = await self._store.run(view_time()) if timestamp is None else timestamp
        await self._store.run(remove_up_to(self.key, timestamp))

    async def remove(self, execution: Execution, pipeline: Any) -> Any:  # type: ignore[override]
        """Close an execution by hand, unsettled. A job that then runs nowhere goes to the front of its queue."""
        job = await execution.job()
        command = drop_executions(self._keys(), queue=job.origin, job_id=self.job_id, execution_id=execution.id)
        closed = await self._store.send(command, pipeline)
        return pipeline if closed is None else closed

    async def delete(self, job: Any, pipeline: Any) -> None:
        """The same for all executions of the job."""
        await self._store.send(drop_executions(self._keys(), queue=job.origin, job_id=self.job_id), pipeline)
