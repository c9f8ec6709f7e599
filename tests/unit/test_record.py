"""Job hash <-> typed values."""

from __future__ import annotations

import base64
import pickle
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomiq._core.errors import DeserializationError, UnserializableArguments
from atomiq._core.record import WRITERS, JobRecord, NewJob
from atomiq._core.written import OF_ONE_RUN, write_fields, write_new, write_plain

MOMENT = datetime(2026, 11, 21, 1, 33, 4, 267659, tzinfo=UTC)
STAMP = "2026-11-21T01:33:04.267659Z"

# Attribute, its value, hash field, stored bytes: every field of layout section 2 that is not bytes or text as it is.
FIELDS: list[tuple[str, Any, str, bytes]] = [
    ("created_at", MOMENT, "created_at", STAMP.encode()),
    ("enqueued_at", MOMENT, "enqueued_at", STAMP.encode()),
    ("started_at", MOMENT, "started_at", STAMP.encode()),
    ("ended_at", MOMENT, "ended_at", STAMP.encode()),
    ("last_heartbeat", MOMENT, "last_heartbeat", STAMP.encode()),
    ("origin", "default", "origin", b"default"),
    ("description", "f(1)", "description", b"f(1)"),
    ("worker_name", "w", "worker_name", b"w"),
    ("group_id", "g", "group_id", b"g"),
    ("timeout", -1, "timeout", b"-1"),
    ("ttl", 100, "ttl", b"100"),
    ("result_ttl", 0, "result_ttl", b"0"),
    ("failure_ttl", -1, "failure_ttl", b"-1"),
    ("retries_left", 0, "retries_left", b"0"),
    ("number_of_retries", 2, "number_of_retries", b"2"),
    ("retry_intervals", [1, 2], "retry_intervals", b"[1, 2]"),
    ("retry_ms", [500, 1250], "retry_ms", b"[500, 1250]"),
    ("retry_on", ["builtins.OSError"], "retry_on", b'["builtins.OSError"]'),
    ("retry_unless", ["builtins.ValueError"], "retry_unless", b'["builtins.ValueError"]'),
    ("enqueue_at_front_on_retry", True, "enqueue_at_front_on_retry", b"1"),
    ("repeats_left", 2, "repeats_left", b"2"),
    ("repeat_intervals", [5], "repeat_intervals", b"[5]"),
    ("success_callback_name", "m.ok", "success_callback_name", b"m.ok"),
    ("success_callback_timeout", 10, "success_callback_timeout", b"10"),
    ("failure_callback_name", "m.bad", "failure_callback_name", b"m.bad"),
    ("failure_callback_timeout", 20, "failure_callback_timeout", b"20"),
    ("stopped_callback_name", "m.stop", "stopped_callback_name", b"m.stop"),
    ("stopped_callback_timeout", 30, "stopped_callback_timeout", b"30"),
    ("allow_dependency_failures", False, "allow_dependency_failures", b"0"),
    ("enqueue_at_front", True, "enqueue_at_front", b"1"),
    ("_dependency_ids", ["a", "b"], "dependency_ids", b'["a", "b"]'),
    ("_requires", '{"what": "f()"}', "requires", b'{"what": "f()"}'),
    ("_requires_call", b"\x80check", "requires_call", b"\x80check"),
    ("_waits", b"[[1,5,1,0],[]]", "waits", b"[[1,5,1,0],[]]"),
    ("_data", b"\x80call", "data", b"\x80call"),
    ("_status", "queued", "status", b"queued"),
    ("_exc_info", "Traceback", "exc_info", zlib.compress(b"Traceback")),
    ("attempts", 2, "attempts", b"2"),
    ("abandonments", 1, "abandoned", b"1"),
    ("retries_done", 1, "retries_done", b"1"),
    ("repeats_done", 1, "repeats_done", b"1"),
    ("on_abandoned", "fail", "on_abandoned", b"fail"),
    ("executor", "thread", "executor", b"thread"),
    ("progress", "50 %", "progress", b"50 %"),
    ("last_death", "killed by SIGKILL", "last_death", base64.b64encode(zlib.compress(b"killed by SIGKILL"))),
]


def as_stored(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def record_of(raw: dict[str, bytes]) -> JobRecord:
    record = JobRecord()
    record.load_fields({name.encode(): value for name, value in raw.items()})
    return record


@pytest.mark.parametrize(("attribute", "value", "field", "stored"), FIELDS)
def test_a_field_is_written_and_read(attribute: str, value: Any, field: str, stored: bytes) -> None:
    record = JobRecord()
    setattr(record, attribute, value)
    assert as_stored(write_fields(record)[field]) == stored
    assert getattr(record_of({field: stored}), attribute) == value


def test_the_table_above_is_complete() -> None:
    assert {row[0] for row in FIELDS} | {"meta", "_result", "webhooks"} == set(WRITERS)


@pytest.mark.parametrize(("attribute", "value", "field", "stored"), FIELDS)
def test_absent_and_empty_are_the_same(attribute: str, value: Any, field: str, stored: bytes) -> None:
    assert getattr(record_of({}), attribute) == getattr(record_of({field: b""}), attribute)


def test_an_empty_record_has_what_rq_always_writes() -> None:
    fields = write_fields(JobRecord())
    assert fields == {
        "created_at": "", "data": b"", "success_callback_name": "", "failure_callback_name": "",
        "stopped_callback_name": "", "started_at": "", "ended_at": "", "last_heartbeat": "", "worker_name": "",
        "group_id": "",
    }  # fmt: skip


def test_defaults_that_were_only_looked_at_are_not_written() -> None:
    record = JobRecord()
    assert record.success_callback_timeout == 60
    assert record.timeout is None
    assert "success_callback_timeout" not in write_fields(record)


def test_none_takes_an_optional_field_out() -> None:
    record = record_of({"timeout": b"5", "retries_left": b"1", "meta": pickle.dumps({"a": 1})})
    record.timeout = None
    record.meta = {}
    fields = write_fields(record)
    assert "timeout" not in fields
    assert "meta" not in fields
    assert fields["retries_left"] == b"1"


def test_the_first_dependency_is_written_alone_too() -> None:
    record = JobRecord()
    record._dependency_ids = ["a", "b"]
    assert write_fields(record)["dependency_id"] == "a"


def test_one_unreadable_field_does_not_spoil_the_others() -> None:
    record = record_of({"timeout": b"soon", "retry_intervals": b"[1", "origin": b"q", "ended_at": b"never"})
    assert record.origin == "q"
    for name in ("timeout", "retry_intervals", "ended_at"):
        with pytest.raises(DeserializationError, match=name):
            getattr(record, name)


def test_meta_is_kept_and_tolerant() -> None:
    record = record_of({"meta": pickle.dumps({"a": 1})})
    record.meta["b"] = 2
    assert record.meta == {"a": 1, "b": 2}
    assert pickle.loads(write_fields(record)["meta"]) == {"a": 1, "b": 2}  # type: ignore[arg-type]
    assert record_of({"meta": b"rubbish"}).meta == {"unserialized": b"rubbish"}


def test_meta_that_can_not_be_serialised() -> None:
    record = JobRecord()
    record.meta = {"f": lambda: 0}
    with pytest.raises(UnserializableArguments):
        write_fields(record)


def test_legacy_fields() -> None:
    assert record_of({"result": pickle.dumps(5)})._result == 5
    assert record_of({"result": b"rubbish"})._result == "Unserializable return value"
    assert record_of({"exc_info": b"not compressed"})._exc_info == "not compressed"
    assert record_of({"data": zlib.compress(b"call")})._data == b"call"


def test_reading_again_forgets_what_was_set() -> None:
    record = record_of({"timeout": b"5"})
    record.timeout = 9
    record.meta = {"a": 1}
    record.load_fields({b"timeout": b"7"})
    assert record.timeout == 7
    assert record.meta == {}


def test_a_new_job_has_no_traces_of_an_earlier_run() -> None:
    record = record_of(dict.fromkeys(OF_ONE_RUN, b"1") | {"retries_left": b"1", "data": b"x"})
    assert not OF_ONE_RUN & write_new(record).keys()
    assert write_new(record)["retries_left"] == b"1"


def test_a_new_job_is_sent_nothing_that_says_nothing() -> None:
    """Each empty field is memory of the server; without last_heartbeat RQ takes a job for deleted."""
    record = JobRecord()
    record.created_at, record._data, record.worker_name, record.group_id = MOMENT, b"\x80call", "", "g"
    assert write_new(record) == {"created_at": STAMP, "data": b"\x80call", "last_heartbeat": "", "group_id": "g"}


def plain_record(**changed: Any) -> JobRecord:
    record = JobRecord()
    record.__dict__.update(
        {"connection": 1, "serializer": 2, "_id": "a", "_call": 3, "_status": "queued", "created_at": MOMENT,
         "_data": b"x" * 2000, "origin": "q", "description": "", "timeout": 0} | changed
    )  # fmt: skip
    return record


@pytest.mark.parametrize("changed", [{}, {"_data": b"\x80call", "description": "f(1)", "timeout": -1}])
def test_a_plain_job_is_written_as_any_other(changed: dict[str, Any]) -> None:
    record = plain_record(**changed)
    assert write_plain(record) == write_new(record)
    assert write_plain(record) is not None


@pytest.mark.parametrize(
    "changed", [{"ttl": 5}, {"meta": {}}, {"created_at": STAMP}, {"origin": ""}, {"description": None}, {"raw": {}}]
)
def test_what_is_no_plain_job(changed: dict[str, Any]) -> None:
    assert write_plain(plain_record(**changed)) is None


def test_new_job_defaults() -> None:
    new = NewJob("id", "queue", {})
    assert (new.depends_on, new.at_front, new.due_ms, new.ttl, new.call) == ([], False, 0, None, "")


@given(st.dictionaries(st.sampled_from([row[2] for row in FIELDS]), st.binary(max_size=30)))
def test_no_bytes_in_a_hash_break_more_than_their_own_field(raw: dict[str, bytes]) -> None:
    record = record_of(raw)
    for attribute in WRITERS.keys() - {"webhooks"}:  # TellingJob reads them
        try:
            getattr(record, attribute)
        except DeserializationError:
            continue
    write_fields(record)
