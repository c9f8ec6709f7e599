"""The nudge after COMMIT: at once, in this process, and never the request's trouble."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session
from tests.helpers import throwaway_server, wait_until
from tests.outbox.conftest import Scene
from tests.tasks import add

from atomiq import connect, outbox
from atomiq.aio import Queue as AsyncQueue
from atomiq.aio import connect as aconnect
from atomiq.group import Group
from atomiq.outbox import async_relay, committing, drivers, nudging
from atomiq.outbox.relay import Relay
from atomiq.queue import Queue

ASYNC = {"postgresql": ("postgresql+psycopg", "postgresql+asyncpg"), "sqlite": ("sqlite+aiosqlite",), "mysql": ()}


def test_a_session_nudges(scene: Scene) -> None:
    with scene.engine() as engine:
        with Session(engine) as session, session.begin():
            job = outbox.enqueue(session, scene.queue, add, 1, 2)
        wait_until(lambda: scene.queue.job_ids == [job.id], what="the job is in its queue")
        outbox.finish()
    assert scene.waiting == 0


@pytest.mark.parametrize("is_async", [False, True])
def test_sqlite_that_begins_properly(sqlite_scene: Scene, redis_url: str, is_async: bool) -> None:
    """An engine as SQLAlchemy's documentation sets it up for savepoints says BEGIN by itself. Another BEGIN was an
    error: the job was sent, its row stayed, and was sent again for ever; what was behind a thousand of them never."""

    def begins(engine: Any) -> None:
        sqlalchemy.event.listen(engine, "connect", lambda dbapi, _record: setattr(dbapi, "isolation_level", None))
        sqlalchemy.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))

    async def write() -> str:
        engine = create_async_engine(sqlite_scene.alchemy_url.replace("sqlite://", "sqlite+aiosqlite://"))
        begins(engine.sync_engine)
        connection = aconnect(redis_url)
        async with AsyncSession(engine) as session, session.begin():
            job = await outbox.aio.enqueue(session, AsyncQueue("orders", connection=connection), add, 1, 2)
        await asyncio.to_thread(wait_until, lambda: sqlite_scene.waiting == 0, what="the row is deleted")
        await outbox.aio.finish()
        await engine.dispose()
        await connection.aclose()
        return str(job.id)

    if is_async:
        job_id = asyncio.run(write())
    else:
        with sqlite_scene.engine() as engine:
            begins(engine)
            with Session(engine) as session, session.begin():
                job_id = outbox.enqueue(session, sqlite_scene.queue, add, 1, 2).id
            wait_until(lambda: sqlite_scene.waiting == 0, what="the row is deleted")
            outbox.finish()
    assert sqlite_scene.waiting == 0
    assert sqlite_scene.queue.job_ids == [job_id]


def test_by_hand(scene: Scene) -> None:
    """Connections without a hook: the caller nudges after its commit."""
    for number in range(3):
        scene.enqueue(add, number, 0)
        outbox.nudge(scene.url, scene.redis)
        wait_until(lambda wanted=number + 1: len(scene.queue) == wanted, what="the job is in its queue")


def test_nothing_is_sent_before_the_commit(scene: Scene) -> None:
    with scene.engine() as engine, Session(engine) as session:
        # Python's sqlite3 begins no transaction for a savepoint, and the release of the outermost one is then a commit.
        session.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))
        with session.begin_nested():
            outbox.enqueue(session, scene.queue, add, 1, 2)
        outbox.finish()
        assert scene.queue.job_ids == []
        session.rollback()
    assert scene.waiting == 0


def test_the_request_succeeds_without_a_server(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The rows wait; when the server is back, another nudge sends them all."""
    caplog.set_level(logging.WARNING, "atomiq.outbox")
    with throwaway_server() as (path, _pid):
        away = Queue("orders", connection=connect(f"unix://{path}", retry=None))
    with scene.engine() as engine:
        with Session(engine) as session, session.begin():
            outbox.enqueue(session, away, add, 1, 2)
        wait_until(lambda: "rows wait" in caplog.text, what="the trouble is logged")
        assert scene.waiting == 1
        outbox.finish()  # a thread that tries its server again has the row locked for that long: the other passes it by
        with Session(engine) as session, session.begin():
            outbox.enqueue(session, scene.queue, add, 3, 4)
        wait_until(lambda: len(scene.queue) == 2, what="both are in their queue")
        outbox.finish()


def test_a_function_of_each_request(sqlite_scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """`outbox.nudge(lambda: connect(...), ...)` in a request: each function is another database to us. Each was kept
    for as long as the process lived."""
    monkeypatch.setattr(nudging, "IDLE_S", 0.01)
    for number in range(20):
        sqlite_scene.enqueue(add, number, 0)
        outbox.nudge(lambda: drivers.connect(sqlite_scene.url)[0], sqlite_scene.redis)
        wait_until(lambda wanted=number + 1: len(sqlite_scene.queue) == wanted, what="the job is in its queue")
        wait_until(lambda: all(each.is_over for each in nudging._nudgers.values()), what="its thread has ended")
    assert len(nudging._nudgers) == 1


def test_an_engine_of_each_request(sqlite_scene: Scene, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in an event loop: each engine, disposed of long ago, was kept for as long as the loop lived."""
    monkeypatch.setattr(async_relay, "IDLE_S", 0.0)

    async def main() -> int:
        connection, engines = aconnect(redis_url), []
        for _ in range(5):
            engine = create_async_engine(sqlite_scene.url.replace("sqlite://", "sqlite+aiosqlite://"))
            async with AsyncSession(engine) as session, session.begin():
                await outbox.aio.enqueue(session, AsyncQueue("orders", connection=connection), add, 1, 2)
            await outbox.aio.finish()
            await engine.dispose()
            engines.append(weakref.ref(engine.sync_engine))
            del engine, session
        gc.collect()
        await connection.aclose()
        return sum(each() is not None for each in engines)

    assert asyncio.run(main()) == 1
    assert len(sqlite_scene.queue) == 5


def test_no_thread_for_now(sqlite_scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gave no thread for one nudge, and the process never moved a row again: it took the thread that had not
    started for one that works. At exit it tried to join it: a traceback."""

    def refuses(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", refuses)
        sqlite_scene.enqueue(add, 1, 2)
        outbox.nudge(sqlite_scene.url, sqlite_scene.redis)
    sqlite_scene.enqueue(add, 3, 4)
    outbox.nudge(sqlite_scene.url, sqlite_scene.redis)
    outbox.finish()
    assert sqlite_scene.waiting == 0


@pytest.mark.parametrize("database", [None, object(), "sqlite://", "nonsense", 5], ids=lambda one: str(one)[:9])
def test_a_nudge_never_raises(database: Any, redis_connection: Any) -> None:
    before = threading.active_count()
    outbox.nudge(database, redis_connection)
    outbox.nudge(database, None)
    assert threading.active_count() == before


def test_a_memory_database_has_no_relay(redis_connection: Any) -> None:
    """As in a user's tests: the row is there, and nothing else happens."""
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.StaticPool)
    outbox.metadata.create_all(engine)
    with Session(engine) as session:
        outbox.enqueue(session, Queue(connection=redis_connection), add, 1, 2)
        session.commit()
        assert session.execute(sqlalchemy.select(outbox.table.c.queue)).all() == [("default",)]
    engine.dispose()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("asyncio_queue", [True, False])
def test_asyncio(scene: Scene, redis_url: str, number: int, asyncio_queue: bool) -> None:
    drivers = ASYNC[scene.url.partition("://")[0]]
    if number >= len(drivers):
        pytest.skip("one asyncio driver less")
    url = f"{drivers[number]}://{scene.url.partition('://')[2]}"

    async def main() -> tuple[str, str]:
        engine = create_async_engine(url)
        redis = aconnect(redis_url)
        queue: Any = AsyncQueue("orders", connection=redis) if asyncio_queue else scene.queue
        async with AsyncSession(engine) as session:
            await outbox.aio.enqueue(session, queue, add, "no", "no")
            await session.rollback()
        async with AsyncSession(engine) as session, session.begin():
            first = await outbox.aio.enqueue(session, queue, add, 1, 2)
        async with engine.begin() as connection:
            second = await outbox.aio.enqueue(connection, queue, add, 3, 4)
        await asyncio.to_thread(wait_until, lambda: len(scene.queue) == 2, 10, "both are in their queue")
        await outbox.aio.finish()
        await redis.aclose()
        await engine.dispose()
        return first.id, second.id

    made = asyncio.run(main())
    assert scene.queue.job_ids == list(made)
    assert scene.waiting == 0


@pytest.mark.parametrize("asyncio_queue", [True, False])
def test_asyncio_waits_for_its_server(
    sqlite_scene: Scene, redis_url: str, asyncio_queue: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is full; later it has room again, and the task of the commit sends what waits."""
    scene = sqlite_scene

    async def main() -> None:
        engine = create_async_engine(scene.url.replace("sqlite", "sqlite+aiosqlite", 1))
        redis = aconnect(redis_url)
        queue: Any = AsyncQueue("orders", connection=redis) if asyncio_queue else scene.queue
        scene.redis.config_set("maxmemory", "1")
        try:
            async with AsyncSession(engine) as session, session.begin():
                await outbox.aio.enqueue(session, queue, add, 1, 2)
            await asyncio.to_thread(wait_until, lambda: "rows wait" in caplog.text, 10, "the trouble is logged")
            assert scene.waiting == 1
        finally:
            scene.redis.config_set("maxmemory", "0")
        await asyncio.to_thread(wait_until, lambda: len(scene.queue) == 1, 10, "the job is in its queue")
        await outbox.aio.finish()
        await redis.aclose()
        await engine.dispose()

    asyncio.run(main())
    assert scene.waiting == 0


def test_asyncio_has_all_five(sqlite_scene: Scene, redis_url: str) -> None:
    scene = sqlite_scene

    async def main() -> list[str]:
        engine = create_async_engine(scene.url.replace("sqlite", "sqlite+aiosqlite", 1))
        redis = aconnect(redis_url)
        scoped = async_scoped_session(async_sessionmaker(engine), asyncio.current_task)
        queue, due = AsyncQueue("orders", connection=redis), datetime(2040, 1, 1, tzinfo=UTC)
        jobs = [
            await outbox.aio.enqueue(scoped, queue, add, 1, 2),
            *await outbox.aio.enqueue_many(scoped, queue, [Queue.prepare_data(add, (3, 4))], group_id="letters"),
            await outbox.aio.enqueue_job(scoped, queue, queue.create_job(add, (5, 6)), at_front=True, unique=True),
            await outbox.aio.enqueue_at(scoped, queue, due, add, 7, 8),
            await outbox.aio.enqueue_in(scoped, queue, timedelta(hours=1), add, 9, 10),
        ]
        elsewhere = await outbox.aio.on_route("eu").enqueue(scoped, queue, add, 0, 0, job_id="eu")
        await scoped.commit()
        await scoped.remove()
        await outbox.aio.finish()
        assert elsewhere.known_status is not None
        with pytest.raises(TypeError, match="not AsyncEngine"):
            await outbox.aio.enqueue(engine, queue, add, 0, 0)
        await redis.aclose()
        await engine.dispose()
        return [job.id for job in jobs]

    first, member, front, at, later = asyncio.run(main())
    assert [each for each in scene.queue.job_ids if each != "eu"] == [front, first, member]
    assert scene.queue.scheduled_job_registry.get_job_ids() == [later, at]
    assert [job.id for job in Group.fetch("letters", scene.redis).get_jobs()] == [member]
    assert "eu" in scene.queue.job_ids


def test_a_commit_that_takes_its_time(scene: Scene) -> None:
    """A connection tells of its COMMIT when that begins. The thread looked for 62 ms; on a slow disk the row was then
    left to a relay, or to the next nudge."""
    with scene.engine() as engine, engine.connect() as connection:
        job = outbox.enqueue(connection, scene.queue, add, 1, 2)
        hold = threading.Event()
        sqlalchemy.event.listen(connection, "commit", lambda _: hold.wait(0.3))
        connection.commit()
        assert not hold.is_set()
        wait_until(lambda: scene.waiting == 0, what="the row is deleted")
        outbox.finish()
    assert scene.queue.job_ids == [job.id]


def test_the_end_of_the_process_just_after_a_commit(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread has looked while the COMMIT was going on, and waits to look again: that wait was its last."""
    monkeypatch.setattr(committing, "PAUSES_S", (60.0,))
    looked = threading.Event()
    drain = Relay.drain

    def looks(relay: Relay) -> Any:
        try:
            return drain(relay)
        finally:
            looked.set()

    monkeypatch.setattr(Relay, "drain", looks)
    with scene.engine() as engine:
        with engine.connect() as connection:
            outbox.enqueue(connection, scene.queue, add, 1, 2)
            sqlalchemy.event.listen(connection, "commit", lambda _: looked.wait(10))
            connection.commit()
        outbox.finish()
        assert scene.waiting == 0


@pytest.mark.parametrize("commits", [True, False])
def test_a_session_in_somebody_elses_transaction(scene: Scene, commits: bool) -> None:
    """As in test suites, and where one connection serves several sessions: its owner's COMMIT counts."""
    with scene.engine() as engine, engine.connect() as connection:
        owner = connection.begin()
        connection.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))
        with Session(connection, join_transaction_mode="rollback_only") as session:
            job = outbox.enqueue(session, scene.queue, add, 1, 2)
            session.commit()
        assert scene.queue.job_ids == []
        if commits:
            owner.commit()
            wait_until(lambda: scene.queue.job_ids == [job.id], what="the job is in its queue")
        else:
            owner.rollback()
        outbox.finish()
    assert scene.waiting == 0
    assert len(scene.queue) == commits
