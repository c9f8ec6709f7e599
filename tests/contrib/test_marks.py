"""A job's own transaction: rows, children and the mark of the work are committed together, and once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine, MetaData, create_engine, create_mock_engine, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.schema import CreateTable
from tests.contrib import marks_jobs
from tests.contrib.test_sqlalchemy_commit import metadata
from tests.helpers import wait_until
from tests.tasks import nothing

from atomiq import Job, Queue, Repeat, aio, outbox
from atomiq.exceptions import InvalidJobOperation, OutboxTableMissing
from atomiq.outbox import marks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'rows.sqlite'}"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    metadata.create_all(engine)
    outbox.create(url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture
def job(redis_connection: redis.Redis) -> Job:
    """A job as a worker has it: fetched."""
    return fetched(Queue(connection=redis_connection).enqueue(nothing))


def fetched(job: Job) -> Job:
    return Job.fetch(job.id, connection=job.connection)


def count(session: Session, table: str = "rows") -> int:
    return session.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one()


def write(session: Session) -> None:
    session.execute(text("INSERT INTO rows DEFAULT VALUES"))


def test_the_next_run_sees_that_it_is_done(session: Session, job: Job) -> None:
    with job.transaction(session) as work:
        assert (work.done, work.result) == (False, None)
        write(session)
        work.result = {"receipt": 17}
    assert not session.in_transaction()
    with fetched(job).transaction(session) as again:
        assert (again.done, again.result) == (True, {"receipt": 17})
        write(session)  # by somebody who doesn't look at `done`
    assert count(session) == 1


def test_an_exception_rolls_back_work_and_mark(session: Session, job: Job) -> None:
    with pytest.raises(ZeroDivisionError), job.transaction(session):  # noqa: PT012
        write(session)
        raise ZeroDivisionError
    with job.transaction(session) as work:
        assert not work.done
        write(session)
    assert count(session) == 1


def test_run_says_what_was_returned_the_first_time(session: Session, job: Job) -> None:
    called: list[int] = []

    def charge(amount: int) -> str:
        called.append(amount)
        return f"charged {amount}"

    assert job.transaction(session).run(charge, 3) == "charged 3"
    assert fetched(job).transaction(session).run(charge, 4) == "charged 3"
    assert called == [3]


def test_a_scoped_session(engine: Engine, job: Job) -> None:
    scoped = scoped_session(sessionmaker(engine))
    assert job.transaction(scoped).run(lambda: count(scoped())) == 0
    assert fetched(job).transaction(scoped).run(lambda: count(scoped())) == 0
    assert not scoped().in_transaction()
    scoped.remove()


def test_steps(session: Session, job: Job) -> None:
    for step in ("one", "two"):
        with job.transaction(session, step=step) as work:
            assert not work.done
    with pytest.raises(InvalidJobOperation, match="step"), job.transaction(session, step="two"):
        pass
    again = fetched(job)
    assert [again.transaction(session, step=step).__enter__().done for step in ("one", "two", "three")] == [
        True, True, False,
    ]  # fmt: skip


def test_a_new_job_of_the_same_id_and_a_repetition_work_anew(session: Session, redis_connection: redis.Redis) -> None:
    queue = Queue(connection=redis_connection)
    first = queue.enqueue(nothing, job_id="same", repeat=Repeat(times=1))
    with fetched(first).transaction(session) as work:
        work.result = 1
    redis_connection.hset("rq:job:same", "repeats_done", 1)
    with fetched(first).transaction(session) as work:
        assert not work.done
    queue.enqueue_job(fetched(first))
    with fetched(first).transaction(session) as work:
        assert not work.done
    queue.enqueue(nothing, job_id="same")
    with fetched(first).transaction(session) as work:
        assert not work.done
    with fetched(first).transaction(session) as work:
        assert work.done


def test_two_runs_at_the_same_time(engine: Engine, job: Job) -> None:
    """The worker of the first was taken for dead. The later one is rolled back, and has the other's result."""
    with Session(engine) as slow, Session(engine) as quick:
        with job.transaction(slow) as late:
            with fetched(job).transaction(quick) as work:
                write(quick)
                work.result = "quick"
            late.result = "slow"
        assert (late.done, late.result) == (True, "quick")
        assert count(slow) == 1


def test_two_runs_at_the_same_time_where_transactions_are_begun_by_hand(engine: Engine, job: Job) -> None:
    """The look for what the other run has done raised SQLAlchemy's InvalidRequestError: a job failed whose work was
    committed."""
    with Session(engine, autobegin=False) as slow, Session(engine) as quick:
        slow.begin()
        with job.transaction(slow) as late, fetched(job).transaction(quick) as work:
            work.result = "quick"
        assert (late.done, late.result) == (True, "quick")
        assert not slow.in_transaction()


def test_another_conflict_is_an_error(session: Session, job: Job) -> None:
    session.execute(text("INSERT INTO rows VALUES (1)"))
    session.commit()
    with pytest.raises(IntegrityError), job.transaction(session):
        session.execute(text("INSERT INTO rows VALUES (1)"))
    with job.transaction(session) as work:
        assert not work.done


def test_children_are_in_the_same_transaction(session: Session, job: Job, redis_connection: redis.Redis) -> None:
    """The nudge of a transaction was forgotten when one of its savepoints was rolled back."""
    queue = Queue("children", connection=redis_connection)
    with pytest.raises(ZeroDivisionError), job.transaction(session):  # noqa: PT012
        queue.enqueue(nothing)
        raise ZeroDivisionError
    assert count(session, "atomiq_outbox") == 0
    session.rollback()
    with job.transaction(session):
        child = queue.enqueue(nothing, result_ttl=7)
        many = queue.enqueue_many([Queue.prepare_data(nothing) for _ in range(3)])
        with session.begin_nested() as savepoint:
            queue.enqueue(nothing)
            savepoint.rollback()
        assert (queue.count, count(session, "atomiq_outbox")) == (0, 4)
    wait_until(lambda: queue.job_ids == [child.id, *(each.id for each in many)], what="the nudge has moved the rows")
    found = queue.fetch_job(child.id)
    assert found is not None
    assert found.result_ttl == 7
    assert queue.enqueue(nothing).get_position() == 4
    outbox.finish()


def test_without_tables(tmp_path: Path, job: Job) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    with Session(engine) as session, pytest.raises(OutboxTableMissing, match="atomiq outbox create"):
        job.transaction(session).__enter__()
    engine.dispose()


def test_what_is_no_transaction(engine: Engine, job: Job) -> None:
    with pytest.raises(TypeError, match="Engine"):
        job.transaction(engine)
    with pytest.raises(ValueError, match="using"):
        job.transaction()
    with Session(engine) as session, session.begin_nested(), pytest.raises(InvalidJobOperation, match="savepoint"):
        job.transaction(session).__enter__()


def test_async_session(url: str, engine: Engine, job: Job, redis_url: str) -> None:
    async def whole() -> None:
        asyncio_engine = create_async_engine(url.replace("sqlite", "sqlite+aiosqlite", 1))
        client = aio.connect(redis_url)
        queue = aio.Queue("children", connection=client)
        async with AsyncSession(asyncio_engine) as session:
            with pytest.raises(TypeError, match="async with"):
                job.transaction(session).__enter__()
            async with job.transaction(session) as work:
                await session.execute(text("INSERT INTO rows DEFAULT VALUES"))
                await queue.enqueue(nothing)
                with pytest.raises(ValueError, match="aio"):
                    Queue("children", connection=job.connection).enqueue(nothing)
                work.result = 1

            async def never() -> None:
                raise AssertionError

            assert await fetched(job).transaction(session).arun(never) == 1
            with Session(engine) as plain:
                with pytest.raises(ValueError, match="async with"), job.transaction(plain, step="a"):
                    await queue.enqueue(nothing)
                with pytest.raises(TypeError, match="AsyncSession"):
                    await job.transaction(plain, step="b").__aenter__()

            async def children() -> str:
                return (await queue.enqueue(nothing)).id

            child = await job.transaction(session, step="c").arun(children)
            assert await fetched(job).transaction(session, step="c").arun(never) == child
        await outbox.aio.finish()
        await client.aclose()
        await asyncio_engine.dispose()

    asyncio.run(whole())
    with Session(engine) as session:
        assert count(session) == 1
    outbox.finish()


def test_db_api(tmp_path: Path, engine: Engine, job: Job) -> None:
    connection = sqlite3.connect(tmp_path / "rows.sqlite")
    for done in (False, True):
        with fetched(job).transaction(connection) as work:
            assert work.done is done
            connection.execute("INSERT INTO rows DEFAULT VALUES")
    assert connection.execute("SELECT COUNT(*) FROM rows").fetchall() == [(1,)]
    connection.close()


class InAutocommitMode(sqlite3.Connection):
    """As psycopg2's connections are in autocommit mode, and sqlite3's from Python 3.12 with `autocommit=True`."""

    autocommit = True

    def commit(self) -> None:
        """Nothing, also in a transaction that was begun by hand."""

    def rollback(self) -> None:
        """The same."""


def test_a_transaction_that_was_begun_by_hand(tmp_path: Path, engine: Engine, job: Job) -> None:
    """Nothing was committed, and the job was finished: its work was gone when the connection was closed."""
    path = tmp_path / "rows.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, factory=InAutocommitMode)) as connection:

        def work(number: int) -> float:
            connection.execute("INSERT INTO rows DEFAULT VALUES")
            return 1 / number

        connection.execute("BEGIN")
        job.transaction(connection).run(work, 1)
        assert not connection.in_transaction
        connection.execute("BEGIN")
        with pytest.raises(ZeroDivisionError):
            job.transaction(connection, step="fails").run(work, 0)
        assert not connection.in_transaction
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT COUNT(*) FROM rows").fetchall() == [(1,)]


def test_the_table_for_alembic_is_the_same(tmp_path: Path, engine: Engine) -> None:
    made = MetaData()
    marks.make_table(made)
    other = create_engine(f"sqlite:///{tmp_path / 'other.sqlite'}")
    made.create_all(other)
    kinds = [
        [(column["name"], str(column["type"]), column["nullable"]) for column in inspect(one).get_columns(marks.MARKS)]
        for one in (engine, other)
    ]
    assert kinds[0] == kinds[1]
    other.dispose()


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_the_table_for_alembic_tells_capitals_apart(dialect: str) -> None:
    """With the server's own collation the steps "Pay" and "pay" of a job are one, and the work of the second is left
    out."""
    made = create_mock_engine(f"{dialect}+pymysql://", lambda _: None)
    table = str(CreateTable(marks.make_table(MetaData())).compile(dialect=made.dialect))
    assert "COLLATE utf8mb4_bin" in table
    assert "CHARSET=utf8mb4" in table


def test_prune(session: Session, job: Job, url: str) -> None:
    with job.transaction(session):
        pass
    marks.prune(url, timedelta(hours=1))
    assert count(session, marks.MARKS) == 1
    session.rollback()
    marks.prune(url, timedelta(0))
    assert count(session, marks.MARKS) == 0


def test_killed_between_commit_and_end(
    url: str, engine: Engine, tmp_path: Path, redis_connection: redis.Redis, redis_url: str
) -> None:
    """The work, and the child, are there once; the second run says what the first had found out."""
    queue = Queue(connection=redis_connection)
    job = queue.enqueue(marks_jobs.work_and_die, url, str(tmp_path / "died"))
    environment = {**os.environ, "PYTHONPATH": "src:."}
    command = [sys.executable, "-m", "atomiq", "worker", "--quiet", "--burst", "--url", redis_url]
    subprocess.run(command, cwd=ROOT, env=environment, timeout=60, check=True)
    assert job.return_value(refresh=True) == "done at attempt 1, said at attempt 2"
    with Session(engine) as session:
        assert count(session) == 1
        assert count(session, "atomiq_outbox") + Queue("children", connection=redis_connection).count == 1
