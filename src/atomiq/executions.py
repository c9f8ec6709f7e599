"""Executions: the running attempts of a job (RQ's `rq.executions`, its reading side).

An execution is opened by the claim of a worker, kept alive by its heartbeat, and closed by its settlement; nothing else
writes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from atomiq._commands.views import view_execution, view_executions
from atomiq._core.classes import lookup
from atomiq._core.keys import Keys
from atomiq._core.timestamp import from_unix
from atomiq._wire.sync import Store


class ExecutionRecord:
    """One running attempt as data, without I/O.

    Attributes:
        id, job_id, worker_name: which attempt, of which job, by whom.
        created_at, last_heartbeat: aware UTC times; None before it is read.
    """

    def __init__(self, id: str, job_id: str, connection: Any, worker_name: str = "") -> None:  # noqa: A002 - RQ's
        self.id = id
        self.job_id = job_id
        self.connection = connection
        self.worker_name = worker_name
        self.created_at: datetime | None = None
        self.last_heartbeat: datetime | None = None

    @property
    def key(self) -> str:
        """Key of its hash, under the default prefix."""
        return Keys().execution(self.job_id, self.id)

    @property
    def composite_key(self) -> str:
        """`job:execution`, its name in the started registry."""
        return f"{self.job_id}:{self.id}"

    @classmethod
    def from_composite_key(cls, composite_key: str, connection: Any) -> Self:
        """An execution from its name in the started registry; nothing is read."""
        job_id, _, execution_id = composite_key.partition(":")
        return cls(execution_id, job_id, connection)

    def restore(self, raw: Mapping[bytes, bytes]) -> None:
        """Take over the fields of its hash; what is missing stays None."""
        created, beat = raw.get(b"created_at"), raw.get(b"last_heartbeat")
        self.created_at = from_unix(float(created)) if created else None
        self.last_heartbeat = from_unix(float(beat)) if beat else None
        self.worker_name = raw.get(b"worker_name", b"").decode()

    def take(self, found: Mapping[bytes, bytes] | None) -> None:
        """`restore` what was found. Raises ValueError: nothing was."""
        if found is None:
            raise ValueError(f"Execution {self.id} of job {self.job_id} not found")
        self.restore(found)

    def serialize(self) -> dict[str, Any]:
        """Its hash's fields (RQ)."""
        fields: dict[str, Any] = {"id": self.id, "worker_name": self.worker_name}
        if self.created_at:
            fields["created_at"] = self.created_at.timestamp()
        if self.last_heartbeat:
            fields["last_heartbeat"] = self.last_heartbeat.timestamp()
        return fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionRecord) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r}, {self.job_id!r})"


class Execution(ExecutionRecord):
    """One running attempt of a job (RQ)."""

    @classmethod
    def fetch(cls, id: str, job_id: str, connection: Any) -> Self:  # noqa: A002 - RQ's
        """The execution with this id.

        Raises:
            ValueError: there is none; it has ended, or its lease is over.
        """
        execution = cls(id, job_id, connection)
        execution.refresh()
        return execution

    def refresh(self) -> None:
        """Read it again.

        Raises:
            ValueError: it has ended, or its lease is over.
        """
        store = Store.of(self.connection)
        self.take(store.run(view_execution(store.keys, job_id=self.job_id, execution_id=self.id)))

    @property
    def key(self) -> str:
        """Key of its hash."""
        return Store.of(self.connection).keys.execution(self.job_id, self.id)

    @property
    def job(self) -> Any:
        """The job it runs.

        Raises:
            NoSuchJobError: the job is gone.
        """
        return lookup("Job").fetch(self.job_id, connection=self.connection)


def executions_of(found: list[dict[bytes, bytes]], job_id: str, connection: Any, kind: type[Any]) -> list[Any]:
    """Execution objects of class `kind` from their hashes; hashes without an id are no executions."""
    executions = []
    for raw in found:
        if b"id" in raw:
            execution = kind(raw[b"id"].decode(), job_id, connection)
            execution.restore(raw)
            executions.append(execution)
    return executions


def by_rank(listed: list[Any], start: int, end: int) -> list[Any]:
    """The part of a list from rank `start` to `end`, both included, negative from the end, as Redis counts."""
    stop = len(listed) if end == -1 else end + 1
    return listed[start:stop]


class ExecutionRegistry:
    """The running attempts of one job (RQ). Attempts whose lease is over are not shown."""

    def __init__(self, job_id: str, connection: Any) -> None:
        self.job_id = job_id
        self.connection = connection
        self.key = Store.of(connection).keys.executions(job_id)

    def get_executions(self, start: int = 0, end: int = -1) -> list[Execution]:
        """Executions by rank, the oldest heartbeat first."""
        store = Store.of(self.connection)
        found = store.run(view_executions(store.keys, job_id=self.job_id))
        return by_rank(executions_of(found, self.job_id, self.connection, Execution), start, end)

    def get_execution_ids(self, start: int = 0, end: int = -1) -> list[str]:
        """Ids by rank, the oldest heartbeat first."""
        return [execution.id for execution in self.get_executions(start, end)]

    @property
    def count(self) -> int:
        """How many attempts run."""
        return len(self.get_executions())

    def __len__(self) -> int:
        return self.count

    def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Nothing to do: entries end with their lease (RQ needs this)."""
