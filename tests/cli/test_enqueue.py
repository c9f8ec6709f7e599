"""`atomiq enqueue`: what it puts on the server, what it prints, what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from tests.cli.conftest import Atomiq

from atomiq import Job, JobStatus, Queue

MESSAGE = "Enqueued tests.tasks.add('5', y=3) with job-id 'e1'.\n"


def test_a_call_is_enqueued(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    done = atomiq("enqueue", "--job-id", "e1", "tests.tasks.add", "5", "y:=3")
    assert (done.exit_code, done.output) == (0, MESSAGE)
    (job,) = Queue(connection=redis_connection).jobs
    assert (job.func_name, job.args, job.kwargs) == ("tests.tasks.add", ("5",), {"y": 3})


def test_every_option_reaches_the_job(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    assert atomiq("enqueue", "-q", "low", "--job-id", "first", "tests.tasks.nothing").exit_code == 0
    options = "--queue low --timeout 5m --result-ttl 1h --ttl 1d --failure-ttl -1 --description words --job-id e1"
    more = "--depends-on first --retry-max 2 --retry-interval 1 --retry-interval 5 --quiet"
    done = atomiq("enqueue", *options.split(), *more.split(), "tests.tasks.nothing")
    assert (done.exit_code, done.output) == (0, "")
    job = Job.fetch("e1", connection=redis_connection)
    assert (job.origin, job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == ("low", 300, 3600, 86400, -1)
    assert (job.description, job.dependency_ids) == ("words", ["first"])
    assert (job.retries_left, job.retry_intervals) == (2, [1, 5])
    assert job.get_status() is JobStatus.DEFERRED


def test_at_front(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    atomiq("enqueue", "--job-id", "last", "tests.tasks.nothing")
    atomiq("enqueue", "--job-id", "next", "--at-front", "tests.tasks.nothing")
    assert Queue(connection=redis_connection).job_ids == ["next", "last"]


@pytest.mark.parametrize("option", ["in", "at"])
def test_schedules(atomiq: Atomiq, redis_connection: redis.Redis, option: str) -> None:
    due = datetime.now().astimezone() + timedelta(minutes=5)
    value = "5m" if option == "in" else due.strftime("%Y-%m-%dT%H:%M:%S")
    assert atomiq("enqueue", f"--schedule-{option}", value, "--job-id", "s1", "tests.tasks.nothing").exit_code == 0
    registry = Queue(connection=redis_connection).scheduled_job_registry
    assert abs(registry.get_scheduled_time("s1") - due.astimezone(UTC)) < timedelta(seconds=3)


def test_json_calls(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    atomiq("enqueue", "-S", "json", "--job-id", "j1", "tests.tasks.add", "%1")
    assert Job.fetch("j1", connection=redis_connection, serializer="json").args == [1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--timeout", "5x", "os.getpid"], 2, "Error: Invalid value for '--timeout': '5x' is not a duration"),
        (["--ttl", "-5", "os.getpid"], 2, "Error: Invalid value for '--ttl': ttl='-5' must be greater than 0"),
        (["--result-ttl", "-2", "os.getpid"], 2, "'--result-ttl'"),
        (["--job-id", "a:b", "os.getpid"], 2, "Job ID must only contain letters, numbers, underscores and dashes"),
        (["--schedule-at", "soon", "os.getpid"], 2, "'soon' is not a local time like 2021-05-27T21:45:00"),
        (["--schedule-in", "5m", "--schedule-at", "2030-01-01T00:00:00", "os.getpid"], 2,
         "Error: You can't specify both --schedule-in and --schedule-at"),
        (["os.getpid", ":}"], 2, "Error: Invalid value: Unable to parse 1. non keyword argument as JSON."),
        (["os.getpid", "@missing"], 1, "Error: Could not open file 'missing': Not found"),
        (["nothing"], 2, "'nothing' is not a dotted name"),
        (["--queue", "a,b", "os.getpid"], 2, "Error: queue name may not contain a comma"),
        ([], 2, "Error: Missing argument 'FUNCTION'."),
    ],
)  # fmt: skip
def test_refusals_write_nothing(
    atomiq: Atomiq, redis_connection: redis.Redis, arguments: list[str], code: int, message: str
) -> None:
    done: Any = atomiq("enqueue", *arguments)
    assert done.exit_code == code
    assert message in done.output
    assert "Traceback" not in done.output
    assert redis_connection.dbsize() == 0


def test_a_running_id_is_refused_in_one_line(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    atomiq("enqueue", "--job-id", "e1", "tests.tasks.nothing")
    redis_connection.hset("rq:job:e1", "status", "started")
    done = atomiq("enqueue", "--job-id", "e1", "tests.tasks.nothing")
    assert done.exit_code == 1
    assert done.output.startswith("Error: job e1 is running now")
    assert done.output.count("\n") == 1
