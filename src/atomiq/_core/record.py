"""The job record: fields of RQ's job hash <-> typed values, and the form in which a new job is sent.

Reading is tolerant, as RQ's is: an absent or empty field is its default. A field is decoded when it is first looked at,
so a job with one unreadable field can still be fetched, canceled and deleted.
"""

from __future__ import annotations

import binascii
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, overload

from atomiq._core.errors import DeserializationError
from atomiq._core.serial import DefaultSerializer, Serializer, pack, unpack
from atomiq._core.settings import CALLBACK_TIMEOUT, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import utcformat, utcparse
from atomiq._core.ttl import parse_timeout

T = TypeVar("T")
Value: TypeAlias = bytes | str | int | float
_STATUSES: Final[dict[str, str]] = {status.value: status for status in JobStatus}


@dataclass(slots=True)
class NewJob:
    """A job as the enqueue command takes it.

    `fields` is the complete job hash except `status` and `enqueued_at`, which the script writes. `due_ms` 0 means now,
    a negative one is what `due_in` makes of a delay. `call` names the enqueue call, so that sending it twice
    enqueues once. It is empty when the id was made for this very call, and names it well enough. `after` is a group
    that the job waits for, `when` on what condition: ended, finished or failed.
    """

    id: str
    queue: str
    fields: dict[str, Value]
    depends_on: list[str] = field(default_factory=list)
    allow_failure: bool = False
    at_front: bool = False
    due_ms: int = 0
    ttl: int | None = None
    call: str = ""
    after: str = ""
    when: str = ""


class Field(Generic[T]):
    """An attribute kept in the job hash; decoded on first access, then an ordinary attribute of the instance."""

    def __init__(self, read: Callable[[bytes], T], default: T, key: str = "") -> None:
        self.read = read
        self.default = default
        self.key = key

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.key = self.key or name
        self.raw_key = self.key.encode()

    @overload
    def __get__(self, record: None, owner: type | None = None) -> Field[T]: ...

    @overload
    def __get__(self, record: JobRecord, owner: type | None = None) -> T: ...

    def __get__(self, record: JobRecord | None, owner: type | None = None) -> Field[T] | T:
        if record is None:
            return self
        raw = record.raw.get(self.raw_key)
        if not raw:
            return self.default
        try:
            value = self.read(raw)
        except ValueError as error:
            raise DeserializationError(f"job field {self.key} holds {raw[:80]!r}: {error}") from error
        record.__dict__[self.name] = value
        return value

    if TYPE_CHECKING:
        # Not defined at run time, so that a value set on the instance is found without this descriptor.
        def __set__(self, record: JobRecord, value: T) -> None: ...


def _read_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _read_status(raw: bytes) -> str:
    """A status as such; a word that is none stays as it is."""
    text = _read_text(raw)
    return _STATUSES.get(text, text)


def _read_flag(raw: bytes) -> bool:
    return bool(int(raw))


@lru_cache(256)
def _read_seconds(raw: bytes) -> int | None:
    return parse_timeout(raw.decode())


def _read_list(raw: bytes) -> list[Any]:
    found = json.loads(raw)
    return found if isinstance(found, list) else [found]


def _read_exception(raw: bytes) -> str:
    try:
        return zlib.decompress(raw).decode("utf-8", "replace")
    except zlib.error:
        return _read_text(raw)


def _read_packed(raw: bytes) -> str:
    try:
        return _read_exception(binascii.a2b_base64(raw))
    except binascii.Error:
        return _read_text(raw)


def _time() -> Field[datetime | None]:
    return Field(utcparse, None)


def _number() -> Field[int | None]:
    return Field(int, None)


def _text() -> Field[str | None]:
    return Field(_read_text, None)


class _Ids(Field[list[str]]):
    """Ids of dependencies. Old versions of RQ stored only the first, under a name of its own; without any, each reader
    gets a list of its own."""

    def __get__(self, record: Any, owner: type | None = None) -> Any:
        if record is None or record.raw.get(self.raw_key):
            return super().__get__(record, owner)
        first = record.raw.get(b"dependency_id")
        return [_read_text(first)] if first else []


class JobRecord:
    """The fields of a job, without any I/O. `raw` is the hash as read, `{}` for a job that was never stored."""

    raw: Mapping[bytes, bytes] = {}
    serializer: Serializer = DefaultSerializer

    created_at = _time()
    enqueued_at = _time()
    started_at = _time()
    ended_at = _time()
    last_heartbeat = _time()
    origin: Field[str] = Field(_read_text, "")
    description = _text()
    worker_name = _text()
    group_id = _text()
    timeout: Field[int | None] = Field(_read_seconds, None)
    ttl = _number()
    result_ttl = _number()
    failure_ttl = _number()
    retries_left = _number()
    number_of_retries = _number()
    retry_intervals: Field[list[int] | None] = Field(_read_list, None)
    retry_ms: Field[list[int] | None] = Field(_read_list, None)
    retry_on: Field[list[str] | None] = Field(_read_list, None)
    retry_unless: Field[list[str] | None] = Field(_read_list, None)
    enqueue_at_front_on_retry: Field[bool] = Field(_read_flag, False)
    repeats_left = _number()
    repeat_intervals: Field[list[int] | None] = Field(_read_list, None)
    success_callback_name = _text()
    failure_callback_name = _text()
    stopped_callback_name = _text()
    success_callback_timeout: Field[int] = Field(int, CALLBACK_TIMEOUT)
    failure_callback_timeout: Field[int] = Field(int, CALLBACK_TIMEOUT)
    stopped_callback_timeout: Field[int] = Field(int, CALLBACK_TIMEOUT)
    allow_dependency_failures: Field[bool | None] = Field(_read_flag, None)
    enqueue_at_front: Field[bool | None] = Field(_read_flag, None)

    attempts: Field[int] = Field(int, 0)
    abandonments: Field[int] = Field(int, 0, "abandoned")
    retries_done: Field[int] = Field(int, 0)
    repeats_done: Field[int] = Field(int, 0)
    on_abandoned = _text()
    executor = _text()
    progress = _text()
    last_death: Field[str | None] = Field(_read_packed, None)
    """How the process of an earlier run was killed; base64 of what exc_info holds, as the result stream has it."""

    _requires: Field[str | None] = Field(_read_text, None, "requires")
    _requires_call: Field[bytes | None] = Field(bytes, None, "requires_call")
    _waits: Field[bytes | None] = Field(bytes, None, "waits")

    _data: Field[bytes | None] = Field(unpack, None, "data")
    _status: Field[str | None] = Field(_read_status, JobStatus.CREATED, "status")
    _dependency_ids: Field[list[str]] = _Ids(_read_list, [], "dependency_ids")
    _exc_info: Field[str | None] = Field(_read_exception, None, "exc_info")

    @property
    def meta(self) -> dict[str, Any]:
        """The user's own data on the job; `{'unserialized': bytes}` when it can't be loaded (RQ)."""
        found: dict[str, Any] | None = self.__dict__.get("meta")
        if found is None:
            raw = self.raw.get(b"meta")
            found = self.__dict__["meta"] = self._load(raw, {"unserialized": raw}) if raw else {}
        return found

    @meta.setter
    def meta(self, meta: dict[str, Any]) -> None:
        self.__dict__["meta"] = meta

    def take_meta(self, raw: bytes) -> None:
        """Take over `meta` as the server has just said it; nothing else of the job has been read by that."""
        mine = self.__dict__
        mine.get("_saved", {}).pop("meta", None)
        if self.raw:
            self.raw = {**self.raw, b"meta": raw}
            mine.pop("meta", None)
            return
        mine["meta"] = self._load(raw, {"unserialized": raw}) if raw else {}
        if "_sent" in mine:
            mine["_sent"] = {**mine["_sent"], "meta": raw}

    @property
    def _result(self) -> Any:
        """Legacy result field; the result stream is what counts."""
        if "_result" in self.__dict__:
            return self.__dict__["_result"]
        raw = self.raw.get(b"result")
        return self._load(raw, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD) if raw else None

    @_result.setter
    def _result(self, result: Any) -> None:
        self.__dict__["_result"] = result

    def _load(self, raw: bytes, otherwise: Any) -> Any:
        try:
            return self.serializer.loads(raw)
        except Exception:  # noqa: BLE001 - a serializer may raise anything
            return otherwise

    def load_fields(self, raw: Mapping[bytes, bytes]) -> None:
        """Take the fields of a job hash as read; what was set or decoded before is forgotten."""
        mine = self.__dict__
        for name in WRITERS.keys() & mine.keys():
            del mine[name]
        mine.pop("_saved", None)
        mine["raw"] = raw


def _write_time(value: datetime | str | None) -> str | None:
    return utcformat(value) if isinstance(value, datetime) else value


def _write_list(value: list[Any] | None) -> str | None:
    return None if value is None else json.dumps(value)


def _write_flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _write_set_flag(value: bool | None) -> int | None:
    return 1 if value else None


def _write_filled(value: Value | None) -> Value | None:
    return value or None


def _write_or_empty(value: Value | None) -> Value:
    return "" if value is None else value


def _write_plain(value: Value | None) -> Value | None:
    return value


def _write_packed(value: str | None) -> Value | None:
    return None if value is None else binascii.b2a_base64(zlib.compress(value.encode()), newline=False)


def _write_webhooks(value: list[Any]) -> str | None:
    return json.dumps([each if isinstance(each, dict) else each.to_dict() for each in value]) if value else None


WRITERS: Final[dict[str, tuple[str, Callable[[Any], Value | None]]]] = {
    "created_at": ("created_at", _write_time),
    "enqueued_at": ("enqueued_at", _write_time),
    "started_at": ("started_at", lambda value: _write_time(value) or ""),
    "ended_at": ("ended_at", lambda value: _write_time(value) or ""),
    "last_heartbeat": ("last_heartbeat", lambda value: _write_time(value) or ""),
    "origin": ("origin", _write_filled),
    "description": ("description", _write_plain),
    "worker_name": ("worker_name", _write_or_empty),
    "group_id": ("group_id", _write_or_empty),
    "timeout": ("timeout", _write_plain),
    "ttl": ("ttl", _write_filled),
    "result_ttl": ("result_ttl", _write_plain),
    "failure_ttl": ("failure_ttl", _write_plain),
    "retries_left": ("retries_left", _write_plain),
    "number_of_retries": ("number_of_retries", _write_plain),
    "retry_intervals": ("retry_intervals", _write_list),
    "retry_ms": ("retry_ms", _write_list),
    "retry_on": ("retry_on", _write_list),
    "retry_unless": ("retry_unless", _write_list),
    "enqueue_at_front_on_retry": ("enqueue_at_front_on_retry", _write_set_flag),
    "repeats_left": ("repeats_left", _write_plain),
    "repeat_intervals": ("repeat_intervals", _write_list),
    "success_callback_name": ("success_callback_name", _write_or_empty),
    "failure_callback_name": ("failure_callback_name", _write_or_empty),
    "stopped_callback_name": ("stopped_callback_name", _write_or_empty),
    "success_callback_timeout": ("success_callback_timeout", _write_plain),
    "failure_callback_timeout": ("failure_callback_timeout", _write_plain),
    "stopped_callback_timeout": ("stopped_callback_timeout", _write_plain),
    "allow_dependency_failures": ("allow_dependency_failures", _write_flag),
    "enqueue_at_front": ("enqueue_at_front", _write_flag),
    "on_abandoned": ("on_abandoned", _write_filled),
    "executor": ("executor", _write_filled),
    "progress": ("progress", _write_plain),
    "webhooks": ("webhooks", _write_webhooks),
    "attempts": ("attempts", _write_plain),
    "abandonments": ("abandoned", _write_plain),
    "retries_done": ("retries_done", _write_plain),
    "repeats_done": ("repeats_done", _write_plain),
    "last_death": ("last_death", _write_packed),
    "_requires": ("requires", _write_filled),
    "_requires_call": ("requires_call", _write_filled),
    "_waits": ("waits", _write_filled),
    "_data": ("data", lambda value: None if value is None else pack(value)),
    "_status": ("status", _write_plain),
    "_dependency_ids": ("dependency_ids", _write_list),
    "_exc_info": ("exc_info", lambda value: None if value is None else zlib.compress(value.encode())),
    "_result": ("result", _write_plain),
    "meta": ("meta", _write_plain),
}
"""Attribute -> hash field and how its value is written; None means that the field is left out."""
