"""A job as a row: what is written, and what a relay reads. The payload is JSON in ASCII, so no database's encoding or
escaping can change it, and reading it runs no code."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any, Final

from atomiq._core.errors import AtomiqError, InvalidName, PayloadTooLarge
from atomiq._core.ids import new_call_token, validate_group_name, validate_job_id, validate_queue_name
from atomiq._core.record import NewJob, Value
from atomiq.outbox.table import LONGEST_JOB_ID

PAYLOAD_VERSION: Final = 1
MAX_PAYLOAD: Final = 8_000_000
"""Bytes of a payload. MariaDB takes 16 MB in one statement unless it is told otherwise."""


class BadRow(AtomiqError):
    """A row that no relay of this version can send."""


@dataclass(slots=True)
class Outgoing:
    """A row that a relay has read. `name` is the one under which servers remember it."""

    id: int
    session_id: int
    job: NewJob
    unique: bool
    group: str
    name: str
    created_ms: int
    tries: int


def values_of(new: NewJob, unique: bool, group: str, route: str) -> dict[str, Any]:
    """The values of a new row.

    Raises:
        PayloadTooLarge: a ValueError; more than MAX_PAYLOAD bytes.
        InvalidName: a ValueError; an id that doesn't fit into its column.
    """
    if len(new.id) > LONGEST_JOB_ID:
        raise InvalidName(
            f"job id {new.id[:40]!r}... has {len(new.id)} characters; in the outbox it can have {LONGEST_JOB_ID}"
        )
    payload = dump(new, unique, group)
    if len(payload) > MAX_PAYLOAD:
        raise PayloadTooLarge(
            f"job {new.id} for queue {new.queue} has {len(payload):,} bytes, and a row of the outbox at most "
            f"{MAX_PAYLOAD:,}; store the data elsewhere and pass a reference to it"
        )
    return {
        "version": PAYLOAD_VERSION,
        "route": route,
        "queue": new.queue,
        "job_id": new.id,
        "token": new.call or new_call_token(),
        "size": len(payload),
        "created_ms": time.time_ns() // 1_000_000,
        "payload": payload,
    }


def dump(new: NewJob, unique: bool, group: str) -> str:
    """The payload of a job."""
    data: dict[str, Any] = {"fields": {name: _dumped(value) for name, value in new.fields.items()}, "call": new.call}
    for name in ("depends_on", "allow_failure", "at_front", "due_ms", "ttl", "after", "when"):
        if value := getattr(new, name):
            data[name] = value
    if unique:
        data["unique"] = True
    if group:
        data["group"] = group
    return json.dumps(data, separators=(",", ":"))


def load(found: Any) -> Outgoing:
    """A row of the columns sql.READ.

    Raises:
        BadRow: says what is wrong with it.
    """
    row_id, version, session_id, queue, job_id, token, _size, created_ms, tries, payload = found
    if version != PAYLOAD_VERSION:
        raise BadRow(f"payload version {version}, this relay knows {PAYLOAD_VERSION}; upgrade it, then retry the row")
    try:
        data = json.loads(payload)
        job = NewJob(
            id=job_id,
            queue=queue,
            fields={str(name): _loaded(value) for name, value in data["fields"].items()},
            depends_on=[str(each) for each in data.get("depends_on", ())],
            allow_failure=bool(data.get("allow_failure")),
            at_front=bool(data.get("at_front")),
            due_ms=int(data.get("due_ms", 0)),
            ttl=None if data.get("ttl") is None else int(data["ttl"]),
            call=str(data["call"]),
            after=str(data.get("after", "")),
            when=str(data.get("when", "")),
        )
        group = str(data.get("group", ""))
        validate_job_id(job.id)
        validate_queue_name(job.queue)
        if group:
            validate_group_name(group)
        for each in job.depends_on:
            validate_job_id(each)
        if "\\u" in payload:
            json.dumps(data, ensure_ascii=False).encode()  # half a surrogate pair can't be sent to any server
        if "data" not in job.fields:
            raise ValueError("the job has no data")
        unique = bool(data.get("unique"))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise BadRow(f"bad payload: {type(error).__name__}: {error}") from error
    return Outgoing(int(row_id), int(session_id), job, unique, group, f"{row_id}.{token}", int(created_ms), int(tries))


def _dumped(value: Value) -> Any:
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes | bytearray | memoryview) else value


def _loaded(value: Any) -> Value:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"a field of the job is {value!r}")
    return value
