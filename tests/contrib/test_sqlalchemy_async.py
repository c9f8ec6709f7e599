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
from atomiq.contrib.sqlalchemy import enqueue_on_commit
from atomiq.exceptions import InvalidInput, NotEnqueued
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
