"""Suspending workers: one step with its end, no job is taken, and resuming wakes."""

from __future__ import annotations

import operator

import pytest
from tests.contract.both import Api, ask, both

from atomiq._commands.claim import claim
from atomiq.exceptions import InvalidTime


@both
async def test_suspend_until_resumed(api: Api) -> None:
    assert await ask(api.is_suspended, api.connection) == 0
    await ask(api.suspend, api.connection)
    assert await ask(api.is_suspended, api.connection) == 1
    assert api.redis.ttl("rq:suspended") == -1
    assert await ask(api.resume, api.connection) == 1
    assert await ask(api.resume, api.connection) == 0
    assert await ask(api.is_suspended, api.connection) == 0


@both
async def test_suspend_for_a_time_is_one_step(api: Api) -> None:
    """RQ sets the key and its end in two; a crash in between suspends for ever."""
    await ask(api.suspend, api.connection, ttl=20)
    assert 0 < api.redis.ttl("rq:suspended") <= 20
    await ask(api.suspend, api.connection)
    assert api.redis.ttl("rq:suspended") == -1


@both
async def test_a_duration_below_a_second_is_refused(api: Api) -> None:
    for ttl in (0, -5):
        with pytest.raises(InvalidTime):
            await ask(api.suspend, api.connection, ttl=ttl)
    assert await ask(api.is_suspended, api.connection) == 0


@both
async def test_a_duration_that_no_server_can_count_is_refused(api: Api) -> None:
    """It met the server's "invalid expire time", in the words of a script."""
    with pytest.raises(InvalidTime, match="lasts at most 31536000000 seconds"):
        await ask(api.suspend, api.connection, ttl=10**17)
    await ask(api.suspend, api.connection, ttl=31_536_000_000)
    assert await ask(api.is_suspended, api.connection) == 1


@both
async def test_no_job_is_taken_while_suspended_and_resume_rings(api: Api) -> None:
    queue = api.queue()
    await ask(queue.enqueue, operator.add, 1, 2)
    await ask(api.suspend, api.connection)
    api.redis.delete("rq:atomiq:bell:default")
    take = claim(api.store.keys, queues=["default"], worker="w", executions=["e"], lease_ms=30_000)
    assert api.store.run(take).suspended
    assert await ask(queue.count) == 1
    await ask(api.resume, api.connection)
    assert api.redis.exists("rq:atomiq:bell:default")
    assert len(api.store.run(take).jobs) == 1
