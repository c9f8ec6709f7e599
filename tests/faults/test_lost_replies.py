"""A user's change whose reply is lost is sent again by the clients of `connect()`: made once, it is no mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import redis
from tests.contract.both import ask
from tests.contract.jobs import add, fail, work
from tests.faults.proxy import CuttingProxy

import atomiq
from atomiq import Queue, aio
from atomiq._lua import script, script_names
from atomiq._wire.sync import Store
from atomiq.exceptions import InvalidJobOperation


@pytest.fixture
def direct(server: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=server) as connection:
        connection.flushdb()
        for name in script_names():  # or the lost reply may be that the server doesn't know it
            connection.script_load(script(name).body)
        yield connection


async def in_words_of(facade: Any, proxy: CuttingProxy, job_id: str, step: str) -> None:
    """`step` on a job, of which the first reply is lost; then once more, which is refused as ever."""
    url = f"unix://{proxy.path}"
    connection = await aio.connect(url) if facade is aio else atomiq.connect(url)
    try:
        queue = facade.Queue(connection=connection)
        job = await ask(facade.Job.fetch, job_id, connection=connection)
        change = {
            "cancel": job.cancel,
            "requeue": job.requeue,
            "requeue of the registry": partial(queue.failed_job_registry.requeue, job_id),
        }[step]
        proxy.cut(b"EVALSHA")
        await ask(change)
        with pytest.raises(InvalidJobOperation):
            await ask(change)
    finally:
        await ask(connection.aclose if facade is aio else connection.close)


@pytest.mark.parametrize("facade", [atomiq, aio], ids=["sync", "aio"])
@pytest.mark.parametrize("step", ["cancel", "requeue", "requeue of the registry"])
def test_a_change_that_was_made(direct: redis.Redis, proxy: CuttingProxy, facade: Any, step: str) -> None:
    """`InvalidJobOperation: Cannot cancel already canceled job`, said to the only one who had canceled it: in 6 of 374
    calls while a server was started anew."""
    queue = Queue(connection=direct)
    job = queue.enqueue(add, 1, 2) if step == "cancel" else queue.enqueue(fail, "why")
    if step != "cancel":
        work(Store.of(direct))
    asyncio.run(in_words_of(facade, proxy, job.id, step))
    assert proxy.cuts == 1
    assert job.get_status() == ("canceled" if step == "cancel" else "queued")
    assert queue.count == (0 if step == "cancel" else 1)
