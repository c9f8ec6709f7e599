"""Executions, read with asyncio."""

from __future__ import annotations

from typing import Any, Self

from atomiq._commands.views import view_execution, view_executions
from atomiq._wire.aio import AsyncStore
from atomiq.aio.late import classes
from atomiq.executions import ExecutionRecord, by_rank, executions_of


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

    async def job(self) -> Any:
        """The job it runs. Raises NoSuchJobError: the job is gone."""
        return await classes["Job"].fetch(self.job_id, connection=self.connection)


class ExecutionRegistry:
    """`atomiq.executions.ExecutionRegistry` for asyncio."""

    def __init__(self, job_id: str, connection: Any) -> None:
        self.job_id = job_id
        self.connection = connection
        self.key = AsyncStore.of(connection).keys.executions(job_id)

    async def get_executions(self, start: int = 0, end: int = -1) -> list[Execution]:
        """Executions by rank, the oldest heartbeat first."""
        store = AsyncStore.of(self.connection)
        found = await store.run(view_executions(store.keys, job_id=self.job_id))
        return by_rank(executions_of(found, self.job_id, self.connection, Execution), start, end)

    async def get_execution_ids(self, start: int = 0, end: int = -1) -> list[str]:
        """Ids by rank, the oldest heartbeat first."""
        return [execution.id for execution in await self.get_executions(start, end)]

    async def count(self) -> int:
        """How many attempts run."""
        return len(await self.get_executions())

    async def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Nothing to do: entries end with their lease."""
