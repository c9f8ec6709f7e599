"""Bad input that passed the gate once, was noticed by a worker or half way through a script, and is refused now."""

from __future__ import annotations

import asyncio
import functools
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
import redis.asyncio
from tests.contract.jobs import add, say, snapshot

import atomiq
from atomiq import Callback, Job, JobStatus, Queue, Repeat, Retry, aio
from atomiq.decorators import job
from atomiq.doctor.examination import examine
from atomiq.exceptions import (
    InvalidArguments,
    InvalidFunction,
    InvalidInput,
    InvalidName,
    InvalidOption,
    InvalidTime,
    InvalidURL,
    PermissionDenied,
    ScriptError,
    ServerError,
)
from atomiq.group import Group
from atomiq.timeouts import BaseDeathPenalty, TimerDeathPenalty, UnixSignalDeathPenalty

LONG = 10**20


@pytest.mark.parametrize("option", ["ttl", "result_ttl", "failure_ttl", "job_timeout"])
@pytest.mark.parametrize("value", [LONG, 10**16, f"{10**14}d"])
def test_a_duration_longer_than_a_server_can_count(option: str, value: Any, redis_connection: redis.Redis) -> None:
    """`ttl=10**20` broke the enqueue script off after its first writes: the job was in its queue, unkept. A result_ttl
    like it did that to the settlement, and the job was 'finished' in no registry."""
    with pytest.raises(InvalidTime, match=f"{option}=.*thousand years"):
        Queue(connection=redis_connection).enqueue(add, 1, **{option: value})
    assert snapshot(redis_connection) == {}


@pytest.mark.parametrize("limit", [UnixSignalDeathPenalty, TimerDeathPenalty])
def test_a_time_limit_longer_than_a_timer_can_count(limit: type[BaseDeathPenalty]) -> None:
    """Three hundred years were accepted and failed the job: timestamp out of range for platform time_t."""
    with limit(10**10):
        pass


@pytest.mark.parametrize("make", [lambda: Retry(3, LONG), lambda: Retry(3, [1, LONG]), lambda: Repeat(3, LONG)])
def test_an_interval_longer_than_times_can_express(make: Callable[[], object]) -> None:
    """The job was scheduled for a time that get_scheduled_time then could not read."""
    with pytest.raises(InvalidTime, match="thousand years"):
        make()


@pytest.mark.parametrize(
    ("name", "says"),
    [("__main__.work", "__main__"), ("nothing_of_this_name", "names no module"), ("tasks:add", "dotted name")],
)
def test_a_name_that_no_worker_can_import(name: str, says: str, redis_connection: redis.Redis) -> None:
    """The function itself was refused, its name was not, and the worker failed the job. The same for callbacks."""
    queue = Queue(connection=redis_connection)
    for wrong in (lambda: queue.enqueue(name), lambda: queue.enqueue(add, 1, on_success=Callback(name))):
        with pytest.raises(InvalidFunction, match=says):
            wrong()
    assert snapshot(redis_connection) == {}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [("ab", None), (b"ab", None), (5, None), ({"a": 1}, None), (None, [1]), (None, "ab"), (None, {1: 2})],
    ids=str,
)
def test_arguments_given_as_one_value_of_a_wrong_kind(args: Any, kwargs: Any, redis_connection: redis.Redis) -> None:
    """`args='ab'` became the two arguments 'a' and 'b'; 5 was "not iterable", whatever that referred to."""
    queue = Queue(connection=redis_connection)
    for wrong in (
        lambda: queue.enqueue(say, args=args, kwargs=kwargs),
        lambda: queue.enqueue_call(say, args, kwargs),
        lambda: queue.enqueue_in(timedelta(1), say, args=args, kwargs=kwargs),
        lambda: queue.enqueue_many([Queue.prepare_data(say, args, kwargs)]),
        lambda: queue.create_job(say, args, kwargs),
        lambda: aio.Queue(connection=redis.asyncio.Redis()).prepare_data(say, args, kwargs),
    ):
        with pytest.raises(InvalidArguments):
            wrong()
    assert snapshot(redis_connection) == {}


@pytest.mark.parametrize("wrong", [add, (add, (1,)), None, 5, {"func": add}], ids=lambda wrong: type(wrong).__name__)
def test_enqueue_many_of_something_else(wrong: Any, redis_connection: redis.Redis) -> None:
    """It said: 'tuple' object has no attribute 'timeout'."""
    queue = Queue(connection=redis_connection)
    with pytest.raises(InvalidOption, match="prepare_data"):
        queue.enqueue_many([Queue.prepare_data(add, (1,)), wrong])
    assert snapshot(redis_connection) == {}


@pytest.mark.parametrize("wrong", [5, False, "pipeline"])
def test_a_pipeline_that_is_none(wrong: Any, redis_connection: redis.Redis) -> None:
    """It said: 'int' object has no attribute 'watching'."""
    queue = Queue(connection=redis_connection)
    for pipeline in (wrong, redis_connection):
        for enqueue in (
            lambda pipeline=pipeline: queue.enqueue(add, 1, pipeline=pipeline),
            lambda pipeline=pipeline: queue.enqueue_many([Queue.prepare_data(add, (1,))], pipeline=pipeline),
        ):
            with pytest.raises(TypeError, match=r"connection\.pipeline\(\)"):
                enqueue()
    assert snapshot(redis_connection) == {}


def test_a_connection_of_the_wrong_kind(redis_connection: redis.Redis) -> None:
    """An asyncio client in Queue said that a coroutine is not subscriptable and left it un-awaited; a URL said that
    there are no weak references to strings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for wrong in ("redis://localhost", redis_connection.connection_pool, redis.asyncio.Redis()):
            with pytest.raises(TypeError, match=r"must be a redis\.Redis"):
                Queue(connection=wrong).enqueue(add, 1)
            with pytest.raises(TypeError, match=r"must be a redis\.Redis"):
                Job.fetch("x", connection=wrong)
        for wrong in ("redis://localhost", redis_connection.connection_pool, redis_connection):
            with pytest.raises(TypeError, match=r"must be a redis\.asyncio\.Redis"):
                asyncio.run(aio.Queue(connection=wrong).enqueue(add, 1))
    assert snapshot(redis_connection) == {}


def test_a_client_that_is_not_of_redis_py(redis_url: str, redis_connection: redis.Redis) -> None:
    """valkey-py's clients look the same, but raise errors of their own: the first enqueue at a server ended with its
    NoScriptError, and a worker with a TypeError about an argument of a connection. A cluster's said its address."""
    theirs, theirs_aio = pytest.importorskip("valkey"), pytest.importorskip("valkey.asyncio")
    speaks = r", .* speaks to Valkey too; this one is of valkey"
    with pytest.raises(TypeError, match=r"must be a redis\.Redis" + speaks):
        Queue(connection=theirs.Valkey.from_url(redis_url)).enqueue(add, 1)
    with pytest.raises(TypeError, match=r"must be a redis\.asyncio\.Redis" + speaks):
        asyncio.run(aio.Queue(connection=theirs_aio.Valkey.from_url(redis_url)).enqueue(add, 1))
    with pytest.raises(TypeError, match=r"not RedisCluster: on a cluster .* prefix with a hash tag"):
        asyncio.run(aio.Queue(connection=redis.asyncio.RedisCluster(host="localhost")).enqueue(add, 1))
    assert snapshot(redis_connection) == {}


def test_other_options_of_a_wrong_kind(redis_connection: redis.Redis) -> None:
    """Each of these said something about an attribute or a codec."""
    queue = Queue(connection=redis_connection)
    for wrong in (
        lambda: Queue(connection=redis_connection, job_class=dict),
        lambda: queue.enqueue(add, 1, description="half of a pair: \ud800"),
        lambda: queue.enqueue(add, 1, depends_on=b"parent"),
        lambda: queue.enqueue(functools.partial(add, 1), 2, 3, 4),
    ):
        with pytest.raises(InvalidInput):
            wrong()
    assert snapshot(redis_connection) == {}
    for name in ("a,b", ""):
        with pytest.raises(InvalidName):
            job(name, redis_connection)
    with pytest.raises(TypeError, match="queue name"):
        job(5, redis_connection)  # type: ignore[arg-type]


def test_at_front_of_a_waiting_job_is_a_flag(redis_connection: redis.Redis) -> None:
    """`at_front='yes'` of a decorated function with a dependency: invalid literal for int()."""
    queue = Queue(connection=redis_connection)
    made = queue.create_job(add, (1,), depends_on=queue.enqueue(add, 1))
    queue.enqueue_job(made, at_front="yes")  # type: ignore[arg-type]
    assert Job.fetch(made.id, connection=redis_connection).enqueue_at_front is True


@pytest.mark.parametrize("wrong", ["soon", [], float("nan"), object()], ids=lambda wrong: type(wrong).__name__)
def test_a_wait_for_a_result_that_is_no_time(wrong: Any, redis_connection: redis.Redis) -> None:
    """'>' not supported between instances of 'str' and 'int'."""
    made = Queue(connection=redis_connection).enqueue(add, 1)
    with pytest.raises(InvalidTime, match="number of seconds"):
        made.latest_result(timeout=wrong)
    for no_wait in (None, 0, -1, timedelta(0)):
        assert made.latest_result(timeout=no_wait) is None  # type: ignore[arg-type]


def test_a_user_who_may_not_run_a_command_inside_a_script(redis_connection: redis.Redis, redis_url: str) -> None:
    """The server says it in other words there, and it was reported as a bug of atomiq: ScriptError."""
    redis_connection.execute_command("ACL", "SETUSER", "atomiq-half", "on", ">secret", "~*", "&*", "+@all", "-exists")
    limited = redis.Redis.from_url(redis_url, username="atomiq-half", password="secret")
    try:
        with pytest.raises(PermissionDenied, match="may not"):
            Queue(connection=limited).enqueue(add, 1)
        assert snapshot(redis_connection) == {}
    finally:
        limited.close()
        redis_connection.execute_command("ACL", "DELUSER", "atomiq-half")


@pytest.mark.parametrize("in_group", [False, True])
@pytest.mark.parametrize("verb", ["hset", "sadd", "rpush", "zadd", "expire", "del"])
def test_a_user_who_may_run_only_some_of_the_writes(
    redis_connection: redis.Redis, redis_url: str, verb: str, in_group: bool
) -> None:
    """The script broke off at the first write that was refused, and left a job in no queue, or a group by halves."""
    if not redis_connection.eval("return redis.acl_check_cmd and 1 or 0", 0):
        pytest.skip("this server's scripts can't ask for permissions")
    redis_connection.execute_command("ACL", "SETUSER", "atomiq-half", "on", ">secret", "~*", "&*", "+@all", f"-{verb}")
    limited = redis.Redis.from_url(redis_url, username="atomiq-half", password="secret")
    try:
        queue = Queue(connection=limited)
        jobs = [queue.prepare_data(add, (1,), ttl=None if in_group else 60)]
        with pytest.raises(PermissionDenied, match=verb.upper()):
            Group.create(limited).enqueue_many(queue, jobs) if in_group else queue.enqueue_many(jobs)
        assert snapshot(redis_connection) == {}
    finally:
        limited.close()
        redis_connection.execute_command("ACL", "DELUSER", "atomiq-half")


@pytest.mark.parametrize("verb", ["hset", "sadd", "rpush", "zadd"])
def test_a_user_who_may_run_only_some_of_the_writes_of_a_plain_job(
    redis_connection: redis.Redis, redis_url: str, verb: str
) -> None:
    """Its way through the script asks for one permission only: the other writes stand in an order in which a refusal
    leaves no job behind, no id in a queue, and nothing that a worker or the doctor stumbles over."""
    if not redis_connection.eval("return redis.acl_check_cmd and 1 or 0", 0):
        pytest.skip("this server's scripts can't ask for permissions")
    redis_connection.execute_command("ACL", "SETUSER", "atomiq-half", "on", ">secret", "~*", "&*", "+@all", f"-{verb}")
    limited = redis.Redis.from_url(redis_url, username="atomiq-half", password="secret")
    try:
        with pytest.raises(PermissionDenied, match="may not"):
            Queue(connection=limited).enqueue(add, 1)
        assert set(snapshot(redis_connection)) <= {b"rq:queues", b"rq:atomiq:bell:default"}
    finally:
        limited.close()
        redis_connection.execute_command("ACL", "DELUSER", "atomiq-half")
    assert examine(redis_connection, grace=0).findings == []
    assert Queue(connection=redis_connection).enqueue(add, 1).get_status() is JobStatus.QUEUED


def test_a_queue_of_the_wrong_type_gets_no_job(redis_connection: redis.Redis) -> None:
    """The job's hash was written first, and stayed in no queue when the queue could not take it."""
    redis_connection.set("rq:queue:default", "somebody's")
    with pytest.raises(ScriptError, match="atomiq doctor"):
        Queue(connection=redis_connection).enqueue(add, 1)
    assert not redis_connection.keys("rq:job:*")


def test_wrong_credentials_and_a_wrong_database(redis_connection: redis.Redis, redis_url: str) -> None:
    """They were reported as a server that can't be reached, and as a bug of atomiq."""
    stranger = redis.Redis.from_url(redis_url, username="nobody", password="wrong")
    with pytest.raises(PermissionDenied, match="credentials") as caught:
        Queue(connection=stranger).enqueue(add, 1)
    assert isinstance(caught.value, redis.AuthenticationError)
    lost = redis.Redis.from_url(f"{redis_url.partition('?')[0]}?db=9999")
    with pytest.raises(ServerError, match="no such database"):
        Queue(connection=lost).enqueue(add, 1)
    stranger.close()
    lost.close()


def test_a_relative_socket_in_a_url() -> None:
    """`unix://run/redis.sock` was taken for /redis.sock, and the message spoke of a path that nobody had written."""
    with pytest.raises(InvalidURL, match="unix:///absolute/path"):
        atomiq.connect("unix://run/redis.sock")
    atomiq.connect("unix://user:secret@/run/redis.sock")
