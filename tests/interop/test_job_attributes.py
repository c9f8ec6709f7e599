"""Attributes of RQ's Job, public ones and the private ones that its users know: the same values on the same jobs."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
import rq.job
import rq.results
from tests.interop import jobs

from atomiq import Callback, Job, JobStatus, Queue, Retry, dependency
from atomiq.exceptions import DeserializationError
from atomiq.results import Result

ATTRIBUTES = [
    "id", "args", "kwargs", "func_name", "instance", "description", "origin", "enqueued_at", "started_at", "ended_at",
    "timeout", "result_ttl", "failure_ttl", "ttl", "worker_name", "meta", "retries_left", "number_of_retries",
    "retry_intervals", "enqueue_at_front_on_retry", "repeats_left", "repeat_intervals", "last_heartbeat",
    "allow_dependency_failures", "enqueue_at_front", "group_id", "webhooks", "success_callback", "failure_callback",
    "stopped_callback", "success_callback_timeout", "failure_callback_timeout", "stopped_callback_timeout",
    "_status", "_dependency_ids", "_dependency_id", "_result", "_exc_info", "_id", "should_retry", "key",
    "dependents_key", "dependencies_key", "redis_server_version",
]  # fmt: skip


def value_of(job: Any, name: str) -> Any:
    try:
        found = getattr(job, name)
    except Exception as error:  # noqa: BLE001  which exception is what is compared
        return type(error).__name__
    return found.value if isinstance(found, rq.job.JobStatus | JobStatus) else found


def values(job: Any) -> dict[str, Any]:
    return {name: value_of(job, name) for name in ATTRIBUTES}


def test_of_an_empty_job(redis_connection: redis.Redis) -> None:
    ours, theirs = Job("x", redis_connection), rq.job.Job("x", redis_connection)
    assert values(ours) == values(theirs)
    assert abs((ours.created_at - theirs.created_at).total_seconds()) < 60
    with pytest.raises(DeserializationError):
        ours.args  # noqa: B018
    with pytest.raises(ValueError, match="Cannot build the job data"):
        ours.data  # noqa: B018


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "retry": Retry(2, [1, 2], enqueue_at_front=True),
            "meta": {"a": 1},
            "result_ttl": 0,
            "ttl": 9,
            "job_id": "mine",
        },
        {"depends_on": ["a", "b"], "on_success": Callback("tests.interop.jobs.add", timeout=9), "failure_ttl": -1},
    ],
    ids=["plain", "many", "more"],
)
def test_of_a_stored_job(redis_connection: redis.Redis, options: dict[str, Any]) -> None:
    job = Queue(connection=redis_connection).enqueue(jobs.add, 1, 2, **options)
    ours, theirs = Job.fetch(job.id, redis_connection), rq.job.Job.fetch(job.id, redis_connection)
    assert values(ours) == values(theirs)
    assert type(ours._status) is JobStatus


def test_of_what_old_versions_wrote(redis_connection: redis.Redis) -> None:
    call = pickle.dumps(("tests.interop.jobs.add", None, (1, 2), {}))
    fields = {"data": call, "dependency_id": "old", "meta": b"?", "result": pickle.dumps(5), "exc_info": b"plain"}
    redis_connection.hset("rq:job:x", mapping={**fields, "created_at": "2026-11-21T01:33:04Z"})
    ours, theirs = Job.fetch("x", redis_connection), rq.job.Job.fetch("x", redis_connection)
    assert values(ours) == values(theirs)
    assert ours.created_at == theirs.created_at == datetime(2026, 11, 21, 1, 33, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "value"),
    [("_result", 5), ("_result", {"a": 1}), ("_exc_info", "Boom"), ("_dependency_ids", ["a"]), ("_dependency_ids", [])],
)
def test_what_is_set_is_written(redis_connection: redis.Redis, name: str, value: Any) -> None:
    made = [
        kind.create("tests.interop.jobs.add", (1, 2), connection=redis_connection, id="x") for kind in (Job, rq.job.Job)
    ]
    written = []
    for job in made:
        setattr(job, name, value)
        assert getattr(job, name) == value
        fields = job.to_dict()
        written.append({key: fields.get(key) for key in ("result", "exc_info", "dependency_id", "dependency_ids")})
    assert written[0] == written[1]
    assert "result" not in made[0].to_dict(include_result=False)


def test_a_result_that_no_serializer_takes(redis_connection: redis.Redis) -> None:
    job = Job.create(jobs.add, (1, 2), connection=redis_connection)
    job._result = lambda: 0
    assert job.to_dict()["result"] == "Unserializable return value"


def test_kinds_of_results() -> None:
    assert repr(Result.Type.FAILED) == repr(rq.results.Result.Type.FAILED)
    assert pickle.loads(pickle.dumps(Result.Type.RETRIED)) is Result.Type.RETRIED


def test_which_jobs_have_met_dependencies(redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    queue.enqueue(jobs.add, 1, 2, job_id="open")
    waits = queue.enqueue(jobs.add, 1, 2, depends_on="open")
    may = Job.create(jobs.add, (1, 2), connection=redis_connection, depends_on="gone")
    with redis_connection.pipeline() as pipeline:
        found = dependency.Dependency.get_jobs_with_met_dependencies(iter([waits, may]), pipeline)
    assert found == ([may], [waits])
