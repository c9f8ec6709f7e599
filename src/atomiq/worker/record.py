"""A worker as others see it: its hash on the server, and finding workers (RQ's class methods)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self

from atomiq._commands.base import as_is, plain, text
from atomiq._commands.views import view_worker, view_workers
from atomiq._commands.worker import worker_beat
from atomiq._core.keys import DEFAULT_PREFIX
from atomiq._core.timestamp import utcformat, utcparse
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.worker.overrides import our_own

UNKNOWN_STATE = "?"


@our_own
class WorkerRecord:
    """What is stored of a worker. Made by BaseWorker."""

    redis_worker_namespace_prefix: ClassVar[str] = f"{DEFAULT_PREFIX}worker:"
    redis_workers_keys: ClassVar[str] = f"{DEFAULT_PREFIX}workers"

    name: str
    connection: Any
    serializer: Any
    job_class: type[Job]
    worker_ttl: int
    queues: list[Any]
    hostname: str | None = None
    ip_address: str | None = None
    pid: int | None = None
    version: str | None = None
    python_version: str | None = None
    birth_date: datetime | None = None
    last_heartbeat: datetime | None = None
    successful_job_count: int = 0
    failed_job_count: int = 0
    total_working_time: float = 0
    current_job_working_time: float = 0
    _state: str = "starting"
    _fields: Mapping[bytes, bytes] = {}

    # --- finding workers

    @classmethod
    def all(
        cls,
        connection: Any = None,
        job_class: Any = None,
        queue_class: Any = None,
        queue: Any = None,
        serializer: Any = None,
    ) -> list[Self]:
        """The living workers of a server, or of one queue (RQ). Entries of vanished workers are removed on the way."""
        connection = connection if connection is not None else getattr(queue, "connection", None)
        if connection is None:
            raise ValueError("a connection or a queue is needed")
        store = Store.of(connection)
        found = store.run(view_workers(store.keys, queue=queue.name if queue is not None else None))
        return [cls._restored(name, fields, connection, job_class, queue_class, serializer) for name, fields in found]

    @classmethod
    def all_keys(cls, connection: Any = None, queue: Any = None) -> list[str]:
        """Keys of the living workers' hashes (RQ)."""
        connection = connection if connection is not None else queue.connection
        store = Store.of(connection)
        found = store.run(view_workers(store.keys, queue=queue.name if queue is not None else None))
        return [store.keys.worker(name) for name, _ in found]

    @classmethod
    def count(cls, connection: Any = None, queue: Any = None) -> int:
        """Number of living workers (RQ)."""
        return len(cls.all_keys(connection, queue))

    @classmethod
    def find_by_key(
        cls, worker_key: str, connection: Any, job_class: Any = None, queue_class: Any = None, serializer: Any = None
    ) -> Self | None:
        """The worker of a key such as 'rq:worker:name', None when it is gone (RQ).

        Raises:
            ValueError: the key is not a worker's.
        """
        store = Store.of(connection)
        prefix = store.keys.worker("")
        if not worker_key.startswith(prefix):
            raise ValueError(f"Not a valid RQ worker key: {worker_key}")
        name = worker_key[len(prefix) :]
        fields = store.run(view_worker(store.keys, worker=name))
        if not fields:
            store.run(plain("SREM", (store.keys.workers(), worker_key), int))
            return None
        return cls._restored(name, fields, connection, job_class, queue_class, serializer)

    @classmethod
    def _restored(
        cls,
        name: str,
        fields: Mapping[bytes, bytes],
        connection: Any,
        job_class: Any,
        queue_class: Any,
        serializer: Any,
    ) -> Self:
        queues = [queue for queue in text(fields.get(b"queues", b"")).split(",") if queue]
        make: Any = cls
        worker: Self = make(
            queues,
            name,
            connection=connection,
            job_class=job_class,
            queue_class=queue_class,
            serializer=serializer,
            prepare_for_work=False,
        )
        worker._take_fields(fields)
        return worker

    # --- reading its hash

    @property
    def _store(self) -> Store:
        return Store.of(self.connection)

    @property
    def key(self) -> str:
        """Key of the worker's hash."""
        return self._store.keys.worker(self.name)

    @property
    def pubsub_channel_name(self) -> str:
        """Channel on which the worker takes commands."""
        return self._store.keys.pubsub(self.name)

    def refresh(self) -> None:
        """Read the worker's hash again (RQ)."""
        fields = self._store.run(view_worker(self._store.keys, worker=self.name))
        self._take_fields(fields or {})

    def _take_fields(self, fields: Mapping[bytes, bytes]) -> None:
        self._fields = fields
        texts = {text(name): value.decode("utf-8", "replace") for name, value in fields.items()}
        self.hostname = texts.get("hostname")
        self.ip_address = texts.get("ip_address")
        self.pid = int(texts["pid"]) if texts.get("pid", "").isdecimal() else None
        self.version = texts.get("version")
        self.python_version = texts.get("python_version")
        self._state = texts.get("state") or UNKNOWN_STATE
        self.birth_date, self.last_heartbeat = _moment(texts.get("birth")), _moment(texts.get("last_heartbeat"))
        self.successful_job_count = int(texts.get("successful_job_count") or 0)
        self.failed_job_count = int(texts.get("failed_job_count") or 0)
        self.total_working_time = float(texts.get("total_working_time") or 0)
        self.current_job_working_time = float(texts.get("current_job_working_time") or 0)

    def _field(self, name: str) -> str | None:
        value = self._store.run(plain("HGET", (self.key, name), as_is))
        return None if value is None else text(value)

    @property
    def shutdown_requested_date(self) -> datetime | None:
        """When it was asked to finish what it runs and go, None if it wasn't."""
        return _moment(self._field("shutdown_requested_date"))

    @property
    def death_date(self) -> datetime | None:
        """When it took its leave, None if it didn't."""
        return _moment(self._field("death"))

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """A sign of life; its hash then lives `timeout` seconds (default: worker_ttl + 60) (RQ)."""
        self._beat({}, pipeline, timeout)

    def _beat(self, fields: Mapping[str, str], pipeline: Any = None, ttl: int | None = None) -> str | None:
        beat = worker_beat(self._store.keys, worker=self.name, ttl=ttl or self.worker_ttl + 60, fields=fields)
        return self._store.send(beat, pipeline)

    def get_current_job_id(self, pipeline: Any = None) -> str | None:
        """Id of the job it runs (RQ)."""
        return self._field("current_job")

    def get_current_job(self) -> Job | None:
        """The job it runs (RQ). Raises NoSuchJobError if that has just gone."""
        job_id = self.get_current_job_id()
        return None if job_id is None else self.job_class.fetch(job_id, self.connection, self.serializer)

    def queue_names(self) -> list[str]:
        """Names of its queues, in order of priority."""
        return [queue.name for queue in self.queues]

    def queue_keys(self) -> list[str]:
        """Keys of its queues, in order of priority."""
        return [queue.key for queue in self.queues]

    def serialize(self) -> dict[str, Any]:
        """What its hash says of it at birth (RQ)."""
        return {
            "birth": utcformat(self.birth_date) if self.birth_date else "",
            "last_heartbeat": utcformat(self.last_heartbeat) if self.last_heartbeat else "",
            **self._birth_fields(),
        }

    def _birth_fields(self) -> dict[str, str | int]:
        return {
            "queues": ",".join(self.queue_names()),
            "pid": self.pid or 0,
            "hostname": self.hostname or "",
            "ip_address": self.ip_address or "",
            "version": self.version or "",
            "python_version": self.python_version or "",
            "state": self._state,
        }

    def __eq__(self, other: object) -> bool:
        """Workers of one class are equal by name. Raises TypeError for anything else (RQ)."""
        if not isinstance(other, type(self)):
            raise TypeError("Cannot compare workers to other types (of workers)")
        return self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


def _moment(text: str | None) -> datetime | None:
    return utcparse(text) if text else None
