"""Results: what they hold, in which order they come, and waiting for one without polling."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import pickle
import threading
import time
import warnings
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
import redis.asyncio.connection
from tests.contract.both import Api, ask, both
from tests.contract.driving import WORKER, claimed, fail, finish, settled
from tests.helpers import wait_until

from atomiq import Job, Queue, Retry, connect
from atomiq._wire.sync import Store
from atomiq.exceptions import DeserializationError, ServerUnavailable
from atomiq.results import Result


@both
async def test_a_success(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2)
    assert await ask(job.latest_result) is None
    assert await ask(job.return_value) is None
    taken = claimed(api.store)
    settled(api.store, taken, "finished", result=pickle.dumps(3))
    result = await ask(job.latest_result)
    assert result.type is api.Result.Type.SUCCESSFUL
    assert (result.return_value, result.exc_string) == (3, None)
    assert (result.job_id, result.worker_name, result.execution_id) == (job.id, WORKER, taken.execution_id)
    assert result.execution_ended_at - result.execution_started_at == timedelta(milliseconds=5)
    assert abs(result.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert result
    assert await ask(job.return_value) == 3
    assert await ask(api.Result.count, job) == 1
    assert repr(result) == f"Result(id={result.id}, type=SUCCESSFUL)"


@both
async def test_a_failure(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2)
    fail(api.store, "Traceback: Zweifel ☂")
    result = await ask(job.latest_result)
    assert result.type is api.Result.Type.FAILED
    assert result.exc_string == "Traceback: Zweifel ☂"
    assert await ask(job.return_value) is None
    with warnings.catch_warnings():  # the synchronous one warns
        warnings.simplefilter("ignore", DeprecationWarning)
        assert await ask(job.exc_info) == "Traceback: Zweifel ☂"


@both
async def test_who_asks_until_there_is_a_value(api: Api) -> None:
    """That a run had ended without one was kept, and who asked the same object again heard None for ever (RQ's as
    well): of a job that returns a Retry, or that was requeued."""
    job = await ask(api.queue().enqueue, operator.add, 1, 2)
    taken = claimed(api.store)
    of_run = ("value", WORKER, taken.execution_id, datetime(2026, 1, 1, tzinfo=UTC), None)
    for create, kind in (
        (Result.create_retried, "RETRIED"),
        (Result.create_max_retries_exceeded, "MAX_RETRIES_EXCEEDED"),
    ):
        create(Job.fetch(job.id, api.redis), 500, *of_run)
        latest = await ask(job.latest_result)
        assert (latest.type.name, latest.return_value, latest.worker_name, latest.execution_id) == (kind, *of_run[:3])
        assert (latest.execution_started_at, latest.execution_ended_at) == of_run[3:]
        assert await ask(job.return_value) is None
    settled(api.store, taken, "finished", result=pickle.dumps(3))
    assert await ask(job.return_value) == 3
    await ask(api.Result.delete_all, job)
    assert await ask(job.return_value) == 3, "once seen"
    assert await ask(job.return_value, refresh=True) is None


@both
async def test_all_newest_first(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2)
    retry = pickle.dumps(Retry(max=2))
    settled(api.store, claimed(api.store), "retried", result=retry, retry=0)
    settled(api.store, claimed(api.store), "exhausted", result=retry)
    await ask(queue.failed_job_registry.requeue, job.id)
    finish(api.store, 3)
    kinds = api.Result.Type
    results = await ask(job.results)
    assert [result.type for result in results] == [kinds.SUCCESSFUL, kinds.MAX_RETRIES_EXCEEDED, kinds.RETRIED]
    assert results[1].return_value == Retry(max=2)
    assert await ask(api.Result.all, job) == results
    assert await ask(api.Result.fetch, job) == results[0]
    await ask(api.Result.delete_all, job)
    assert await ask(job.results) == []
    assert await ask(job.is_finished)


@both
async def test_a_return_value_that_cannot_be_loaded_hurts_only_who_asks_for_it(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2)
    broken = b64encode(b"cno_such_module\nNoSuchClass\n.")
    api.redis.xadd(f"rq:results:{job.id}", {"type": 1, "worker_name": "w", "return_value": broken})
    (result,) = await ask(job.results)
    with pytest.raises(DeserializationError, match="no_such_module"):
        _ = result.return_value


@both
async def test_the_serializer_of_the_job_reads_its_results(api: Api) -> None:
    queue = api.queue(serializer="json")
    job = await ask(queue.enqueue, operator.add, 1, 2)
    settled(api.store, claimed(api.store), "finished", result=b'{"a": [1]}')
    assert await ask(job.return_value) == {"a": [1]}
    other = await ask(api.Job.fetch, job.id, connection=api.connection, serializer="json")
    assert (await ask(other.latest_result)).return_value == {"a": [1]}


@both
async def test_a_result_that_is_there_is_not_waited_for(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2)
    finish(api.store, 3)
    assert (await ask(job.latest_result, timeout=600)).return_value == 3


@both
async def test_a_wait_that_is_in_vain_ends(api: Api) -> None:
    queue = api.queue()
    job = await ask(queue.enqueue, operator.add, 1, 2)
    begun = time.monotonic()
    assert await ask(job.latest_result, timeout=0.05) is None
    assert time.monotonic() - begun < 5


def blocked_readers(store: Store) -> int:
    return sum("xread" in client["cmd"] for client in store.connection.client_list())


def test_a_waiting_thread_is_woken(store: Store) -> None:
    queue = Queue(connection=store.connection)
    job = queue.enqueue(operator.add, 1, 2)
    found: list[Result | None] = []
    waiting = threading.Thread(target=lambda: found.append(job.latest_result(timeout=60)))
    waiting.start()
    wait_until(lambda: blocked_readers(store) == 1, what="the reader waits on the server")
    finish(store, 3)
    waiting.join(10)
    assert found[0] is not None
    assert found[0].return_value == 3
    wait_until(lambda: blocked_readers(store) == 0, what="its connection is closed")


@both
async def test_a_waiting_task_is_woken_and_the_loop_goes_on_meanwhile(api: Api) -> None:
    if api.kind == "sync":
        return
    queue = api.queue()
    job = await queue.enqueue(operator.add, 1, 2)
    waiting = asyncio.create_task(job.latest_result(timeout=60))
    await asyncio.to_thread(wait_until, lambda: blocked_readers(api.store) == 1)
    assert not waiting.done()
    await asyncio.to_thread(finish, api.store, 3)
    assert (await waiting).return_value == 3


@both
async def test_a_waiting_task_can_be_cancelled(api: Api) -> None:
    if api.kind == "sync":
        return
    queue = api.queue()
    job = await queue.enqueue(operator.add, 1, 2)
    waiting = asyncio.create_task(job.latest_result(timeout=60))
    await asyncio.to_thread(wait_until, lambda: blocked_readers(api.store) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(wait_until, lambda: blocked_readers(api.store) == 0)
    assert await queue.count() == 1


@both
async def test_a_cancellation_in_the_moment_of_sending(api: Api) -> None:
    """asyncio.wait_for of Python 3.11, in which redis-py sends, forgets one that comes as the sending is done. The task
    then waited for the result all the same: whether it came in the wait, or in the look before it."""
    if api.kind == "sync":
        return
    job = await api.queue().enqueue(operator.add, 1, 2)
    for command in ("XREAD", "XREVRANGE"):
        await _cancelled_while_sending(job, command)


async def _cancelled_while_sending(job: Any, command: str) -> None:
    where = redis.asyncio.connection.AbstractConnection
    send = where.send_command

    async def forgets(connection: Any, *words: Any, **options: Any) -> None:
        await send(connection, *words, **options)
        if words[0] == command:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    with mock.patch.object(where, "send_command", forgets):
        waiting = asyncio.create_task(job.latest_result(timeout=60))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(waiting), 10)
    assert waiting.cancelled()


def test_create_is_there_for_code_that_uses_it(store: Store) -> None:
    """RQ's way of putting a result on record, directly or in a pipeline."""
    queue = Queue(connection=store.connection)
    job = queue.enqueue(operator.add, 1, 2)
    made = Result.create(job, Result.Type.SUCCESSFUL, ttl=10, return_value={"a": 1}, worker_name="w")
    assert job.latest_result() == made
    assert job.latest_result().return_value == {"a": 1}
    assert 0 < store.connection.ttl(f"rq:results:{job.id}") <= 10
    with store.connection.pipeline() as pipeline:
        Result.create_failure(job, -1, "Boom", pipeline=pipeline)
        assert Result.count(job) == 1
        pipeline.execute()
    assert job.latest_result().exc_string == "Boom"
    assert store.connection.ttl(f"rq:results:{job.id}") == -1
    unserializable = Result.create(job, Result.Type.SUCCESSFUL, ttl=10, return_value=lambda: None)
    assert unserializable.serialize()["return_value"]
    assert job.latest_result().return_value == "Unserializable return value"
    assert Result.get_key("x") == "rq:results:x"


def test_create_without_a_server_is_refused_in_our_words() -> None:
    """What is sent in a pipeline of its own said so in redis-py's: code that waits for SERVER_AWAY didn't see it."""
    job = Job.create(operator.add, (1, 2), connection=connect("redis://localhost:1"))
    with pytest.raises(ServerUnavailable, match="localhost:1"):
        Result.create(job, Result.Type.SUCCESSFUL, 60)
