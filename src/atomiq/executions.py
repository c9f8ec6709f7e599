"""Executions: the running attempts of a job (RQ's `rq.executions`).

An execution is opened by the claim of a worker, kept alive by its heartbeat, and closed by its settlement. What RQ has
for doing this by hand is here too, each as one step after which the job is in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from atomiq._commands.alone import begin_job
from atomiq._commands.base import Command, text
from atomiq._commands.registry import beat_execution, drop_executions
from atomiq._commands.views import view_execution, view_executions, view_time
from atomiq._core.ids import new_execution_id
from atomiq._core.keys import Keys
from atomiq._core.timestamp import from_unix
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.registry.base import BaseRegistry
from atomiq.registry.members import remove_up_to
from atomiq.registry.started import lease_of


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
        self.worker_name = text(raw.get(b"worker_name", b""))

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
    def create(cls, job: Any, ttl: int, pipeline: Any, worker_name: str = "") -> Self:
        """Open an execution by hand (RQ): the stored job is started, out of wherever it was, with a lease of `ttl`
        seconds. Nothing happens to one that runs already. `pipeline`: None for at once."""
        execution = cls(new_execution_id(), job.id, job.connection, worker_name)
        execution.created_at = execution.last_heartbeat = datetime.now(UTC)
        begin = begin_job(
            execution._store.keys, job_id=job.id, worker=worker_name, execution=execution.id, lease_ms=lease_of(ttl)
        )
        execution._store.send(begin, pipeline)
        return execution

    def save(self, ttl: int, pipeline: Any = None) -> None:
        """Let it live for another `ttl` seconds (RQ). One that is over is not brought back."""
        self._store.send(self._beat(ttl), pipeline)

    def heartbeat(self, started_job_registry: Any, ttl: int, pipeline: Any) -> None:
        """The same (RQ); the registry and the list of the job's executions know it as well."""
        self.last_heartbeat = datetime.now(UTC)
        self._store.send(self._beat(ttl, started_job_registry.name), pipeline)

    def delete(self, job: Any, pipeline: Any) -> None:
        """Close it by hand, unsettled (RQ). A job that then runs nowhere goes to the front of its queue."""
        keys = self._store.keys
        self._store.send(drop_executions(keys, queue=job.origin, job_id=self.job_id, execution_id=self.id), pipeline)

    @property
    def _store(self) -> Store:
        return Store.of(self.connection)

    def _beat(self, ttl: int, queue: str | None = None) -> Command[str]:
        return beat_execution(
            self._store.keys,
            queue=queue if queue is not None else self.job.origin,
            job_id=self.job_id,
            execution_id=self.id,
            worker=self.worker_name,
            lease_ms=lease_of(ttl),
        )

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
    def job(self) -> Job:
        """The job it runs.

        Raises:
            NoSuchJobError: the job is gone.
        """
        return Job.fetch(self.job_id, connection=self.connection)


def executions_of(found: list[dict[bytes, bytes]], job_id: str, connection: Any, kind: type[Any]) -> list[Any]:
    """Execution objects of class `kind` from their hashes; hashes without an id are no executions."""
    executions = []
    for raw in found:
        if b"id" in raw:
            execution = kind(text(raw[b"id"]), job_id, connection)
            execution.restore(raw)
            executions.append(execution)
    return executions


def by_rank(listed: list[Any], start: int, end: int) -> list[Any]:
    """The part of a list from rank `start` to `end`, both included, negative from the end, as Redis counts."""
    stop = len(listed) if end == -1 else end + 1
    return listed[start:stop]


class ExecutionRegistry(BaseRegistry):
    """The running attempts of one job (RQ). Attempts whose lease is over are not shown."""

    key_template: ClassVar[str] = "rq:executions:{0}"

    def __init__(self, job_id: str, connection: Any) -> None:
        super().__init__(job_id, connection)
        self.job_id = job_id

    def get_executions(self, start: int = 0, end: int = -1) -> list[Execution]:
        """Executions by rank, the oldest heartbeat first."""
        found = self._store.run(view_executions(self._keys(), job_id=self.job_id))
        return by_rank(executions_of(found, self.job_id, self.connection, Execution), start, end)

    def get_execution_ids(self, start: int = 0, end: int = -1) -> list[str]:
        """Ids by rank, the oldest heartbeat first."""
        return [execution.id for execution in self.get_executions(start, end)]

    def get_job_ids(self, start: int = 0, end: int = -1, desc: bool = False, cleanup: bool = True) -> list[str]:
        """Ids of the executions (RQ calls them so in every registry). `cleanup=False` also shows those that are
        over."""
        if not cleanup or desc:
            return super().get_job_ids(start, end, desc, cleanup)
        return self.get_execution_ids(start, end)

    def get_job_count(self, cleanup: bool = True) -> int:
        """How many attempts run. `cleanup=False` also counts those that are over."""
        return len(self.get_executions()) if cleanup else super().get_job_count(cleanup=False)

    def cleanup(self, timestamp: float | None = None, exception_handlers: Any = None) -> None:
        """Drop entries that are over at `timestamp` (unix seconds; default: the server's now)."""
        timestamp = self._store.run(view_time()) if timestamp is None else timestamp
        self._store.run(remove_up_to(self.key, timestamp))

    def add(self, execution: Execution, ttl: int, pipeline: Any) -> Any:  # type: ignore[override]
        """Let an open execution live for another `ttl` seconds (RQ). One that is over is not brought back."""
        execution.save(ttl, pipeline)
        return pipeline

    def remove(self, execution: Execution, pipeline: Any) -> Any:  # type: ignore[override]
        """Close an execution by hand, unsettled (RQ). A job that then runs nowhere goes to the front of its queue."""
        drop = drop_executions(self._keys(), queue=execution.job.origin, job_id=self.job_id, execution_id=execution.id)
        return self._send(drop, pipeline)

    def delete(self, job: Any, pipeline: Any) -> None:
        """The same for all executions of the job (RQ)."""
        self._store.send(drop_executions(self._keys(), queue=job.origin, job_id=self.job_id), pipeline)


def prepare_execution(worker: Any, job: Any) -> Execution:
    """Open an execution of a job for a worker, which is busy then (RQ). One transaction."""
    pipeline = worker.connection.pipeline()
    execution = Execution.create(job, worker.get_heartbeat_ttl(job), pipeline, worker.name)
    worker.set_state("busy", pipeline=pipeline)
    Store.of(worker.connection).execute(pipeline)
    worker.execution = execution
    return execution


def cleanup_execution(worker: Any, job: Any, pipeline: Any) -> None:
    """A worker is done with a job (RQ): it shows none, and the execution is closed if it is still open."""
    worker.set_current_job_id(None, pipeline=pipeline)
    execution = getattr(worker, "execution", None)
    if execution is not None:
        execution.delete(job, pipeline)
    worker.execution = None
