"""Bad input gets a clear error where the caller can see it, and nothing is half written."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
import redis
from tests.contract.jobs import Counter, add, say, snapshot

import atomiq
from atomiq import Callback, Dependency, Job, Queue, Repeat, Retry
from atomiq.exceptions import (
    InvalidArguments,
    InvalidFunction,
    InvalidInput,
    InvalidJobDependency,
    InvalidName,
    InvalidOption,
    InvalidTime,
    InvalidURL,
    PermissionDenied,
    ServerOutOfMemory,
    ServerReadOnly,
    ServerUnavailable,
    TimeoutFormatError,
    UnserializableArguments,
)


def nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


def in_main() -> Callable[[], None]:
    def made() -> None: ...

    made.__qualname__, made.__module__ = "made", "__main__"
    return made


BAD_CALLS: list[tuple[str, Any, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ("a lambda", lambda: 0, (), {}, InvalidFunction, "lambda"),
    ("a nested function", nested(), (), {}, InvalidFunction, "nested"),
    ("a function of __main__", in_main(), (), {}, InvalidFunction, "__main__"),
    ("a class", Counter, (1,), {}, TypeError, "class"),
    ("no function", 5, (), {}, TypeError, "int"),
    ("no dotted name", "not a name", (), {}, InvalidFunction, "dotted"),
    ("arguments that can't be pickled", add, (threading.Lock(),), {}, UnserializableArguments, "argument 1"),
    ("a keyword argument that can't be pickled", say, ("x",), {"loud": lambda: 0}, UnserializableArguments, "'loud'"),
    ("too few arguments", add, (), {}, InvalidArguments, "add.*'a'"),
    ("too many arguments", add, (1, 2, 3), {}, InvalidArguments, "add.*too many"),
    ("an argument twice", add, (1,), {"a": 2}, InvalidArguments, "add.*'a'"),
    ("an unknown keyword", add, (1,), {"colour": 2}, InvalidArguments, "add.*'colour'"),
    ("a misspelt option", add, (1,), {"job_timout": 5}, InvalidOption, "did you mean job_timeout"),
    ("another option's name", add, (1,), {"timeout": 5}, InvalidOption, "did you mean job_timeout"),
    ("a job id with a blank", add, (1,), {"job_id": "a b"}, InvalidName, "Job ID"),
    ("an empty job id", add, (1,), {"job_id": ""}, InvalidName, "Job ID"),
    ("a job id that is no string", add, (1,), {"job_id": 5}, TypeError, "Job ID"),
    ("a negative ttl", add, (1,), {"ttl": -1}, InvalidTime, "ttl"),
    ("a ttl of zero", add, (1,), {"ttl": 0}, InvalidTime, "ttl"),
    ("a negative result_ttl", add, (1,), {"result_ttl": -5}, InvalidTime, "result_ttl"),
    ("a negative failure_ttl", add, (1,), {"failure_ttl": -5}, InvalidTime, "failure_ttl"),
    ("a time limit of zero", add, (1,), {"job_timeout": 0}, InvalidTime, "job_timeout"),
    ("a time limit in words", add, (1,), {"job_timeout": "soon"}, TimeoutFormatError, "soon"),
    ("a retry that is a number", add, (1,), {"retry": 3}, InvalidOption, "Retry"),
    ("a repeat that is a number", add, (1,), {"repeat": 3}, InvalidOption, "Repeat"),
    ("meta that is no dict", add, (1,), {"meta": "x"}, InvalidOption, "meta"),
    ("meta that can't be pickled", add, (1,), {"meta": {"f": lambda: 0}}, UnserializableArguments, "meta"),
    ("a dependency that is no job", add, (1,), {"depends_on": 5}, InvalidOption, "depends_on"),
    ("a dependency on itself", add, (1,), {"depends_on": "me", "job_id": "me"}, InvalidJobDependency, "itself"),
    ("unique without an id", add, (1,), {"unique": True}, InvalidOption, "job_id"),
    ("unique and late", add, (1,), {"unique": True, "job_id": "x", "depends_on": "y"}, InvalidOption, "depends_on"),
    ("arguments given twice", add, (1,), {"args": (2,)}, InvalidArguments, "args"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "func", "args", "kwargs", "error", "message"), BAD_CALLS, ids=[row[0] for row in BAD_CALLS]
)
@pytest.mark.parametrize("how", ["enqueue", "enqueue_in", "pipeline", "is_async=False"])
def test_bad_calls(
    case: str, func: Any, args: Any, kwargs: Any, error: Any, message: str, how: str, redis_connection: redis.Redis
) -> None:
    queue = Queue(connection=redis_connection, is_async=how != "is_async=False")
    with redis_connection.pipeline() as pipeline:
        first = (timedelta(1), func) if how == "enqueue_in" else (func,)
        enqueue = queue.enqueue_in if how == "enqueue_in" else queue.enqueue
        extra = {"pipeline": pipeline} if how == "pipeline" else {}
        with pytest.raises(error, match=message):
            enqueue(*first, *args, **kwargs, **extra)  # type: ignore[operator]
        assert len(pipeline) == 0
    assert snapshot(redis_connection) == {}


def test_a_serializer_that_makes_text(redis_connection: redis.Redis) -> None:
    """As the module json does, and as RQ refuses. It was stored, and run; then the result was no bytes, and what had
    been done was recorded as failed."""
    queue = Queue(connection=redis_connection, serializer=json)  # type: ignore[arg-type]
    with pytest.raises(UnserializableArguments, match="must return bytes, not str"):
        queue.enqueue(add, 1)
    assert snapshot(redis_connection) == {}


# prepare_data has no such keyword, or takes timeout under this name.
BAD_DATAS = [row for row in BAD_CALLS if not {"args", "job_timout", "timeout", "unique"} & row[3].keys()]


@pytest.mark.parametrize(
    ("case", "func", "args", "kwargs", "error", "message"), BAD_DATAS, ids=[row[0] for row in BAD_DATAS]
)
def test_one_bad_call_of_many_stops_all(
    case: str, func: Any, args: Any, kwargs: Any, error: Any, message: str, redis_connection: redis.Redis
) -> None:
    options = {name: kwargs[name] for name in kwargs if name in Queue.prepare_data.__annotations__}
    call_kwargs = {name: kwargs[name] for name in kwargs if name not in options and name != "job_timeout"}
    if "job_timeout" in kwargs:
        options["timeout"] = kwargs["job_timeout"]
    queue = Queue(connection=redis_connection)
    datas = [Queue.prepare_data(add, (n,)) for n in range(1500)]
    datas.append(Queue.prepare_data(func, args, call_kwargs, **options))
    with pytest.raises(error, match=message.replace("job_timeout", "timeout")):
        queue.enqueue_many(datas)
    assert snapshot(redis_connection) == {}


@pytest.mark.parametrize("name", ["", "a,b", " a", "a\n", "\ud800", "x:intermediate", "x" * 600])
def test_bad_queue_names(name: str, redis_connection: redis.Redis) -> None:
    with pytest.raises(InvalidName, match="queue name"):
        Queue(name, redis_connection)


def test_a_queue_name_that_is_no_string(redis_connection: redis.Redis) -> None:
    with pytest.raises(TypeError, match="queue name"):
        Queue(5, redis_connection)  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", ["2030-01-01", 5, None, date(2030, 1, 1), timedelta(1)])
def test_bad_due_times(moment: Any, redis_connection: redis.Redis) -> None:
    with pytest.raises(InvalidTime, match="datetime"):
        Queue(connection=redis_connection).enqueue_at(moment, add, 1)
    assert snapshot(redis_connection) == {}


@pytest.mark.parametrize("delay", [5, "5", None, datetime(2030, 1, 1), timedelta(days=999_999)])  # noqa: DTZ001
def test_bad_delays(delay: Any, redis_connection: redis.Redis) -> None:
    with pytest.raises(InvalidTime, match="time_delta"):
        Queue(connection=redis_connection).enqueue_in(delay, add, 1)
    assert snapshot(redis_connection) == {}


def test_bad_values_of_options(redis_connection: redis.Redis) -> None:
    for make in (
        lambda: Retry(0), lambda: Retry(1, 1.5), lambda: Retry(1, []), lambda: Repeat(0), lambda: Repeat(1, None),  # type: ignore[arg-type]
        lambda: Callback(lambda: 0), lambda: Callback(5), lambda: Dependency([]), lambda: Dependency(5),  # type: ignore[arg-type]
        lambda: Queue("a", redis_connection, abandoned="explode"),
        lambda: Queue("a", redis_connection, default_timeout="x"),
        lambda: Job.create(add, (1,), connection=redis_connection, ttl=-1),
        lambda: Job.create(add, (1, 2, 3), connection=redis_connection),
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            make()
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://localhost", "redis://localhost:port", "", "embedded:", "nonsense://x"]
)
def test_wrong_urls(url: str) -> None:
    with pytest.raises(InvalidURL):
        atomiq.connect(url)


def test_a_server_that_is_not_there() -> None:
    connection = redis.Redis(host="127.0.0.1", port=1, retry=None)  # type: ignore[call-overload]
    with pytest.raises(ServerUnavailable) as caught:
        Queue(connection=connection).enqueue(add, 1)
    assert isinstance(caught.value, redis.ConnectionError), "code that catches the client's error goes on working"
    connection.close()


@pytest.fixture
def restored(redis_connection: redis.Redis) -> Any:
    """The server's settings as they were, after a test that makes it refuse writes."""
    before = redis_connection.config_get("maxmemory")["maxmemory"]
    yield redis_connection
    redis_connection.execute_command("REPLICAOF", "NO", "ONE")
    redis_connection.config_set("maxmemory", before)
    redis_connection.execute_command("ACL", "DELUSER", "atomiq-limited")


def test_a_replica_takes_no_jobs(restored: redis.Redis) -> None:
    queue = Queue(connection=restored)
    restored.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(ServerReadOnly):
        queue.enqueue(add, 1)
    restored.execute_command("REPLICAOF", "NO", "ONE")
    assert snapshot(restored) == {}


def test_a_server_without_memory_takes_no_jobs(restored: redis.Redis) -> None:
    queue = Queue(connection=restored)
    restored.config_set("maxmemory", 1)
    with pytest.raises(ServerOutOfMemory):
        queue.enqueue(add, 1)
    restored.config_set("maxmemory", 0)
    assert snapshot(restored) == {}


def test_a_user_without_permission(restored: redis.Redis, redis_url: str) -> None:
    restored.execute_command(
        "ACL", "SETUSER", "atomiq-limited", "on", ">secret", "~rq:*", "+@read", "+ping", "+select", "-@scripting"
    )
    limited = redis.Redis.from_url(redis_url, username="atomiq-limited", password="secret")
    with pytest.raises(PermissionDenied):
        Queue(connection=limited).enqueue(add, 1)
    limited.close()
    assert snapshot(restored) == {}
