"""Results of jobs (RQ's `rq.results`): one entry of a stream for each attempt that is on record."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Protocol, Self

from atomiq._commands.base import Command, plain, text
from atomiq._commands.settle import pack_exception
from atomiq._commands.views import delete_results, view_result_count, view_results
from atomiq._core.errors import DeserializationError
from atomiq._core.keys import Keys
from atomiq._core.serial import Serializer, resolve_serializer
from atomiq._core.settings import UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.timestamp import from_ms, from_unix
from atomiq._core.ttl import check_wait
from atomiq._wire.sync import Store
from atomiq._wire.wait import wait_result

KEPT_RESULTS = 10
FIRST_ENTRY = "0-0"


class HasResults(Protocol):
    """What of a job is needed to find its results."""

    @property
    def id(self) -> str: ...

    @property
    def connection(self) -> Any: ...

    @property
    def serializer(self) -> Any: ...


def get_key(job_id: str) -> str:
    """Key of a job's result stream under the default prefix (RQ)."""
    return Keys().results(job_id)


class ResultType(Enum):
    """How an attempt ended. STOPPED is RQ's and never written, by neither."""

    SUCCESSFUL = 1
    FAILED = 2
    STOPPED = 3
    RETRIED = 4
    MAX_RETRIES_EXCEEDED = 5


ResultType.__name__, ResultType.__qualname__ = "Type", "Result.Type"  # RQ's; what is shown and pickled


class ResultRecord:
    """One result as data, without I/O.

    Attributes:
        id: the stream's entry id, None until saved.
        job_id, worker_name: whose result, and who produced it (empty for an abandoned job).
        type: a `Result.Type`.
        created_at: when it was recorded, aware UTC.
        exc_string: the traceback of a failed attempt.
        execution_id, execution_started_at, execution_ended_at: of the execution, None where not known; times aware UTC.
    """

    Type = ResultType

    def __init__(
        self,
        job_id: str,
        type: ResultType,  # noqa: A002 - RQ's
        connection: Any,
        id: str | None = None,  # noqa: A002 - RQ's
        created_at: datetime | None = None,
        return_value: Any | None = None,
        exc_string: str | None = None,
        worker_name: str = "",
        serializer: Any = None,
        execution_id: str | None = None,
        execution_started_at: datetime | None = None,
        execution_ended_at: datetime | None = None,
    ) -> None:
        self.job_id = job_id
        self.type = type
        self.connection = connection
        self.id = id
        self.created_at = created_at
        self.exc_string = exc_string
        self.worker_name = worker_name
        self.serializer: Serializer = resolve_serializer(serializer)
        self.execution_id = execution_id
        self.execution_started_at = execution_started_at
        self.execution_ended_at = execution_ended_at
        self._return_value = return_value
        self._stored: bytes | None = None

    @property
    def return_value(self) -> Any | None:
        """What the function returned; loaded when it is asked for.

        Raises:
            DeserializationError: the serializer can't load what is stored.
        """
        if self._stored is not None:
            try:
                self._return_value = self.serializer.loads(b64decode(self._stored))
            except Exception as error:
                raise DeserializationError(
                    f"the return value of job {self.job_id} can't be loaded: {type(error).__name__}: {error}"
                ) from error
            self._stored = None
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value, self._stored = value, None

    @classmethod
    def restore(
        cls, job_id: str, result_id: str, payload: Mapping[Any, Any], connection: Any, serializer: Any = None
    ) -> Self:
        """A result from the fields of a stream entry (RQ)."""
        fields = {text(name): value for name, value in payload.items()}
        packed = fields.get("exc_string")
        result = cls(
            job_id,
            ResultType(int(fields["type"])),
            connection,
            id=result_id,
            created_at=from_ms(int(result_id.partition("-")[0])),
            exc_string=_unpack_exception(packed) if packed else None,
            worker_name=text(fields.get("worker_name") or ""),
            serializer=serializer,
            execution_id=text(fields["execution_id"]) if fields.get("execution_id") else None,
            execution_started_at=_time(fields.get("execution_started_at")),
            execution_ended_at=_time(fields.get("execution_ended_at")),
        )
        stored = fields.get("return_value")
        if stored:
            result._stored = stored.encode() if isinstance(stored, str) else stored
        return result

    @classmethod
    def _restored(cls, job: HasResults, entries: list[tuple[str, dict[bytes, bytes]]], serializer: Any) -> list[Self]:
        serializer = serializer or job.serializer
        return [cls.restore(job.id, entry_id, fields, job.connection, serializer) for entry_id, fields in entries]

    @classmethod
    def get_key(cls, job_id: str) -> str:
        """Key of a job's result stream under the default prefix (RQ)."""
        return get_key(job_id)

    def serialize(self) -> dict[str, Any]:
        """The fields of a stream entry (RQ)."""
        fields: dict[str, Any] = {"type": self.type.value, "worker_name": self.worker_name}
        if self.exc_string is not None:
            fields["exc_string"] = pack_exception(self.exc_string).decode()
        if self._stored is not None:
            fields["return_value"] = self._stored.decode()
        elif self._return_value is not None:
            fields["return_value"] = b64encode(self._dumped()).decode()
        if self.execution_id:
            fields["execution_id"] = self.execution_id
        if self.execution_started_at:
            fields["execution_started_at"] = self.execution_started_at.timestamp()
        if self.execution_ended_at:
            fields["execution_ended_at"] = self.execution_ended_at.timestamp()
        return fields

    def _dumped(self) -> bytes:
        try:
            return self.serializer.dumps(self._return_value)
        except Exception:  # noqa: BLE001 - whatever a serializer raises
            return self.serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id}, type={self.type.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResultRecord) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __bool__(self) -> bool:
        return bool(self.id)


def _time(value: Any) -> datetime | None:
    return from_unix(float(value)) if value else None


def _unpack_exception(packed: bytes | str) -> str:
    """The traceback of an entry; bytes that were not packed as expected are shown as they are."""
    try:
        return zlib.decompress(b64decode(packed)).decode("utf-8", "replace")
    except (ValueError, zlib.error):
        return packed.decode("utf-8", "replace") if isinstance(packed, bytes) else packed


class Result(ResultRecord):
    """One result of a job (RQ). Its attributes are those of `ResultRecord`."""

    @classmethod
    def all(cls, job: HasResults, serializer: Any = None) -> list[Self]:
        """All results on record, newest first; about the last 10 to 110 attempts are kept."""
        store = Store.of(job.connection)
        return cls._restored(job, store.run(view_results(store.keys, job_id=job.id)), serializer)

    @classmethod
    def count(cls, job: HasResults) -> int:
        """How many results are on record."""
        store = Store.of(job.connection)
        return store.run(view_result_count(store.keys, job_id=job.id))

    @classmethod
    def delete_all(cls, job: HasResults) -> None:
        """Forget all results of a job; the job itself stays."""
        store = Store.of(job.connection)
        store.run(delete_results(store.keys, job_id=job.id))

    @classmethod
    def fetch(cls, job: HasResults, serializer: Any = None) -> Self | None:
        """The newest result, None without one (in RQ a stub that answers None)."""
        return cls.fetch_latest(job, serializer)

    @classmethod
    def fetch_latest(cls, job: HasResults, serializer: Any = None, timeout: float = 0) -> Self | None:
        """The newest result. Without one, waits up to `timeout` seconds to be woken by the first; then None."""
        store = Store.of(job.connection)
        seconds = check_wait(timeout)
        newest = view_results(store.keys, job_id=job.id, count=1)
        found = store.run(newest)
        if not found and seconds and wait_result(store, job.id, FIRST_ENTRY, seconds):
            found = store.run(newest)
        return next(iter(cls._restored(job, found, serializer)), None)

    @classmethod
    def create(
        cls,
        job: HasResults,
        type: ResultType,  # noqa: A002 - RQ's
        ttl: int | None,
        return_value: Any | None = None,
        exc_string: str | None = None,
        worker_name: str = "",
        pipeline: Any = None,
        execution_id: str | None = None,
        execution_started_at: datetime | None = None,
        execution_ended_at: datetime | None = None,
    ) -> Self:
        """Put a result on record (RQ). atomiq's workers record theirs in the step that settles the job, not by this."""
        result = cls(
            job.id,
            type,
            job.connection,
            return_value=return_value,
            exc_string=exc_string,
            worker_name=worker_name,
            serializer=job.serializer,
            execution_id=execution_id,
            execution_started_at=execution_started_at,
            execution_ended_at=execution_ended_at,
        )
        result.id = result.save(ttl, pipeline=pipeline)
        return result

    @classmethod
    def create_failure(
        cls,
        job: HasResults,
        ttl: int | None,
        exc_string: str,
        worker_name: str = "",
        pipeline: Any = None,
        execution_id: str | None = None,
        execution_started_at: datetime | None = None,
        execution_ended_at: datetime | None = None,
    ) -> Self:
        """`create` with type FAILED (RQ)."""
        times = (execution_id, execution_started_at, execution_ended_at)
        return cls.create(job, ResultType.FAILED, ttl, None, exc_string, worker_name, pipeline, *times)

    @classmethod
    def create_retried(
        cls,
        job: HasResults,
        ttl: int | None,
        return_value: Any,
        worker_name: str,
        execution_id: str,
        execution_started_at: datetime | None,
        execution_ended_at: datetime | None,
        pipeline: Any = None,
    ) -> Self:
        """`create` with type RETRIED (RQ)."""
        times = (execution_id, execution_started_at, execution_ended_at)
        return cls.create(job, ResultType.RETRIED, ttl, return_value, None, worker_name, pipeline, *times)

    @classmethod
    def create_max_retries_exceeded(
        cls,
        job: HasResults,
        ttl: int | None,
        return_value: Any,
        worker_name: str,
        execution_id: str,
        execution_started_at: datetime | None,
        execution_ended_at: datetime | None,
        pipeline: Any = None,
    ) -> Self:
        """`create` with type MAX_RETRIES_EXCEEDED (RQ)."""
        times = (execution_id, execution_started_at, execution_ended_at)
        return cls.create(job, ResultType.MAX_RETRIES_EXCEEDED, ttl, return_value, None, worker_name, pipeline, *times)

    def save(self, ttl: int | None, pipeline: Any = None) -> str | None:
        """Append to the job's stream and set its lifetime: seconds, -1 for ever, None as it is (RQ).

        Says the entry id; None when it goes into a caller's pipeline.
        """
        store = Store.of(self.connection)
        given = self.connection.pipeline() if pipeline is None else pipeline
        for step in _save_commands(store.keys, self, ttl):
            store.queue_in(given, step)
        return text(store.execute(given)[0]) if pipeline is None else None


def _save_commands(keys: Keys, result: ResultRecord, ttl: int | None) -> list[Command[Any]]:
    key = keys.results(result.job_id)
    fields = [part for pair in result.serialize().items() for part in pair]
    steps: list[Command[Any]] = [
        plain("XADD", (key, "MAXLEN", "~", KEPT_RESULTS, "*", *fields), text, safe_to_repeat=False)
    ]
    if ttl == -1:
        steps.append(plain("PERSIST", (key,), int))
    elif ttl is not None:
        steps.append(plain("EXPIRE", (key, ttl), int))
    return steps
