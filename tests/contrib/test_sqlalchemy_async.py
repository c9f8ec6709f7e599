"""Jobs that wait for an AsyncSession, in asyncio queues and in plain ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from tests.contrib.test_sqlalchemy_commit import metadata, rows
from tests.tasks import nothing

import atomiq
from atomiq import aio
from atomiq._wire.aio import AsyncStore
from atomiq.contrib.sqlalchemy import enqueue_on_commit
from atomiq.exceptions import InvalidInput, NotEnqueued, ServerUnavailable
from atomiq.job import JobStatus


@pytest.fixture
def run(tmp_path: Path, redis_url: str, redis_connection: redis.Redis) -> Callable[..., None]:
    """Runs a coroutine with a session maker and an asyncio queue."""

    def run_it(test: Callable[[async_sessionmaker[AsyncSession], aio.Queue], Awaitable[None]]) -> None:
        async def whole() -> None:
            engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'rows.sqlite'}")
            async with engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
            client = aio.connect(redis_url)
            try:
                await test(async_sessionmaker(engine), aio.Queue(connection=client))
            finally:
                await client.aclose()
                await engine.dispose()

        asyncio.run(whole())

    return run_it


def test_commit_rollback_and_savepoints(run: Callable[..., None]) -> None:
    async def test(sessions: async_sessionmaker[AsyncSession], queue: aio.Queue) -> None:
        async with sessions() as session:
            await session.execute(insert(rows))
            job = await enqueue_on_commit(session, queue, nothing, job_id="sent")
            assert (job.known_status, await queue.count()) == (JobStatus.CREATED, 0)
            async with session.begin_nested():
                await enqueue_on_commit(session, queue, nothing, job_id="kept")
            nested = await session.begin_nested()
            await enqueue_on_commit(session, queue, nothing, job_id="dropped")
            await nested.rollback()
            assert await queue.count() == 0
            await session.commit()
            assert await queue.job_ids() == ["sent", "kept"]
            assert job.known_status is JobStatus.QUEUED
            await enqueue_on_commit(session, queue, nothing)
            await session.rollback()
        async with sessions.begin() as session:
            await queue.after_commit(session).enqueue_many([aio.Queue.prepare_data(nothing, job_id="many")])
        assert await queue.job_ids() == ["sent", "kept", "many"]

    run(test)


def test_a_plain_queue_and_a_scoped_session(run: Callable[..., None], redis_connection: redis.Redis) -> None:
    async def test(sessions: async_sessionmaker[AsyncSession], queue: aio.Queue) -> None:
        scoped = async_scoped_session(sessions, asyncio.current_task)
        waiting = atomiq.Queue(connection=redis_connection, on_commit=scoped)
        waiting.enqueue(nothing, job_id="1")
        await aio.Queue(connection=queue.connection, on_commit=scoped).enqueue(nothing, job_id="2")
        assert await queue.count() == 0
        await scoped.commit()
        assert sorted(await queue.job_ids()) == ["1", "2"]
        await scoped.remove()

    run(test)


def test_an_asyncio_queue_needs_an_async_session(run: Callable[..., None]) -> None:
    async def test(_sessions: Any, queue: aio.Queue) -> None:
        with Session() as session, pytest.raises(InvalidInput, match="AsyncSession"):
            await enqueue_on_commit(session, queue, nothing)

    run(test)


def test_the_server_is_down(run: Callable[..., None]) -> None:
    async def test(sessions: async_sessionmaker[AsyncSession], queue: aio.Queue) -> None:
        nowhere = aio.Queue(connection=aio.connect("redis://localhost:1"))
        async with sessions() as session:
            await session.execute(insert(rows))
            job = await enqueue_on_commit(session, nowhere, nothing)
            with pytest.raises(NotEnqueued, match=job.id) as raised:
                await session.commit()
            with pytest.raises(NotEnqueued):
                await raised.value.enqueue_again()
            assert len((await session.execute(rows.select())).all()) == 1
        await nowhere.connection.aclose()

    run(test)


def test_one_that_is_refused_keeps_no_other_from_its_queue(run: Callable[..., None]) -> None:
    async def test(sessions: async_sessionmaker[AsyncSession], queue: aio.Queue) -> None:
        running = await queue.enqueue(nothing, job_id="running")
        await running.set_status(JobStatus.STARTED)
        async with sessions() as session:
            waiting = queue.after_commit(lambda: session)
            for job_id in ("1", "running", "2"):
                await waiting.enqueue(nothing, job_id=job_id)
            with pytest.raises(NotEnqueued) as raised:
                await session.commit()
        assert [job.id for job in raised.value.jobs] == ["running"]
        assert [each for each in await queue.job_ids() if each != "running"] == ["1", "2"]
        await queue.connection.delete("rq:job:running")
        await raised.value.enqueue_again()
        assert raised.value.jobs[0].known_status is JobStatus.QUEUED

    run(test)


@pytest.mark.parametrize("server", ["answers late", "is away"])
def test_cancelled_after_the_commit(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, server: str
) -> None:
    """A client hangs up, and its request is cancelled: the rows were committed, and the job was given up on its way to
    the server. Nobody was told. Cancelling it again, as anyio does until the task ends, changes nothing either."""

    async def test(sessions: async_sessionmaker[AsyncSession], queue: aio.Queue) -> None:
        sent_by_now, run_it = asyncio.Event(), AsyncStore.run

        async def late(store: AsyncStore, command: Any) -> Any:
            sent_by_now.set()
            for _ in range(5):
                await asyncio.sleep(0)
            if server == "is away":
                raise ServerUnavailable("no server there")
            return await run_it(store, command)

        async def request() -> None:
            async with sessions() as session:
                await session.execute(insert(rows))
                await enqueue_on_commit(session, queue, nothing, job_id="sent")
                monkeypatch.setattr(AsyncStore, "run", late)
                await session.commit()

        task = asyncio.create_task(request())
        await sent_by_now.wait()
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        monkeypatch.undo()
        assert await queue.job_ids() == ([] if server == "is away" else ["sent"])
        assert ("could not be enqueued (sent): no server there" in caplog.text) is (server == "is away")

    run(test)
