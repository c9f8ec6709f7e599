"""A job record as the hash that is written."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from atomiq._core.record import WRITERS, JobRecord, Value
from atomiq._core.serial import dump_meta, pack
from atomiq._core.settings import UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.timestamp import utcformat

_ALWAYS: Final[dict[str, Value]] = {
    "created_at": "",
    "data": b"",
    "success_callback_name": "",
    "failure_callback_name": "",
    "stopped_callback_name": "",
    "started_at": "",
    "ended_at": "",
    "last_heartbeat": "",
    "worker_name": "",
    "group_id": "",
}
"""Fields that RQ writes in every hash."""

_ABSENT_IF_EMPTY: Final = _ALWAYS.keys() - {"created_at", "data", "last_heartbeat"}
"""Those that RQ's readers do without. Without last_heartbeat an RQ worker takes the job for deleted."""

OF_ONE_RUN: Final = frozenset(
    {
        "status",
        "enqueued_at",
        "call",
        "changed",
        "attempts",
        "abandoned",
        "last_death",
        "settled",
        "due",
        "stop",
        "waits",
    }
)
"""Fields that belong to one stay of the job on the server and are never carried into the next enqueue."""
_NOT_PLAIN: Final = frozenset({"meta", "_result"})
_OF_A_PLAIN_JOB: Final = frozenset(
    ["connection", "serializer", "_id", "_call", "_status", "created_at", "_data", "origin", "description", "timeout"]
)
"""What an object of a new job without options has, and no more."""


def write_fields(record: JobRecord) -> dict[str, Value]:
    """The complete job hash of a record: what was read, overwritten by what was set.

    Raises:
        UnserializableArguments: a ValueError; meta can't be serialised.
    """
    fields = _ALWAYS.copy()
    for raw_key, raw in record.raw.items():
        fields[raw_key.decode()] = raw
    mine = record.__dict__
    for name, value in mine.items():
        if name in WRITERS and name not in _NOT_PLAIN:
            key, write = WRITERS[name]
            text = write(value)
            if text is None:
                fields.pop(key, None)
            else:
                fields[key] = text
    dependency_ids = mine.get("_dependency_ids")
    if dependency_ids:
        fields["dependency_id"] = dependency_ids[0]
    elif dependency_ids is not None:
        fields.pop("dependency_ids", None)
    if mine.get("_result") is not None:
        fields["result"] = _dump_result(record, mine["_result"])
    if "meta" in mine:
        fields.pop("meta", None)
        if mine["meta"]:
            fields["meta"] = dump_meta(record.serializer, mine["meta"])
    return fields


def _dump_result(record: JobRecord, value: Any) -> Value:
    try:
        return record.serializer.dumps(value)
    except Exception:  # noqa: BLE001 - a serializer may raise anything
        return UNSERIALIZABLE_RETURN_VALUE_PAYLOAD


def write_new(record: JobRecord) -> dict[str, Value]:
    """The fields of a NewJob: without those that the script writes, belong to an earlier run, or would say nothing."""
    return without_state(write_fields(record))


def without_state(fields: dict[str, Value]) -> dict[str, Value]:
    """The fields of a complete hash that a NewJob has."""
    for key in OF_ONE_RUN & fields.keys():
        del fields[key]
    for key in _ABSENT_IF_EMPTY & fields.keys():
        if not fields[key]:
            del fields[key]
    return fields


def write_plain(record: JobRecord) -> dict[str, Value] | None:
    """`write_new`, quicker, for what most jobs are: new and without options. None for any other."""
    mine = record.__dict__
    if mine.keys() != _OF_A_PLAIN_JOB:
        return None
    created_at, timeout = mine["created_at"], mine["timeout"]
    origin, description = mine["origin"], mine["description"]
    if not isinstance(created_at, datetime) or not origin or description is None or timeout is None:
        return None
    return {
        "created_at": utcformat(created_at),
        "data": pack(mine["_data"]),
        "last_heartbeat": "",
        "origin": origin,
        "description": description,
        "timeout": timeout,
    }
