"""What can't be written is refused at the caller, with what to do about it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from tests.outbox.conftest import Scene
from tests.tasks import add

from atomiq import Queue, outbox
from atomiq.exceptions import (
    AtomiqError,
    InvalidInput,
    InvalidName,
    InvalidOption,
    InvalidURL,
    NotInTransaction,
    OutboxReadOnly,
    OutboxTableMissing,
    OutboxTableVersion,
    PayloadTooLarge,
)
from atomiq.outbox import drivers
from atomiq.outbox.relay import Relay
from atomiq.outbox.service import Service


def autocommitting(scene: Scene) -> Any:
    """A connection that commits each statement by itself."""
    connection, driver = drivers.connect(scene.url)
    if driver == "sqlite3":
        connection.isolation_level = None
    elif callable(connection.autocommit):
        connection.autocommit(True)
    else:
        connection.autocommit = True
    return connection


def test_a_connection_that_commits_by_itself(scene: Scene) -> None:
    connection = autocommitting(scene)
    with pytest.raises(NotInTransaction, match="commits every statement by itself"):
        outbox.enqueue(connection, scene.queue, add, 1, 2)
    assert scene.waiting == 0
    connection.close()


def test_a_transaction_that_was_begun_by_hand_there(scene: Scene) -> None:
    connection = autocommitting(scene)
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    outbox.enqueue(connection, scene.queue, add, 1, 2)
    cursor.execute("ROLLBACK")
    assert scene.waiting == 0
    cursor.execute("BEGIN")
    outbox.enqueue(connection, scene.queue, add, 1, 2)
    cursor.execute("COMMIT")
    assert scene.waiting == 1
    cursor.close()
    connection.close()


def test_sqlalchemy_with_autocommit(scene: Scene) -> None:
    with scene.engine() as engine:
        alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        with alone.connect() as connection, pytest.raises(NotInTransaction):
            outbox.enqueue(connection, scene.queue, add, 1, 2)
        with Session(alone) as session, pytest.raises(NotInTransaction):
            outbox.enqueue(session, scene.queue, add, 1, 2)
    assert scene.waiting == 0


@pytest.mark.parametrize("where", ["isolation_level", "execution_options"])
def test_asyncio_with_autocommit(scene: Scene, where: str) -> None:
    """An engine with isolation_level="AUTOCOMMIT" over aiomysql or aiosqlite: the job was committed at once, before the
    rows that it was about, and stayed when they were rolled back."""
    name = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "mariadb": "mysql+aiomysql"}[scene.kind]
    options = {"isolation_level": "AUTOCOMMIT"}

    async def write() -> None:
        engine = create_async_engine(
            f"{name}://{scene.url.partition('://')[2]}",
            **(options if where == "isolation_level" else {"execution_options": options}),
        )
        try:
            async with AsyncSession(engine) as session:
                await outbox.aio.enqueue(session, scene.queue, add, 1, 2)
        finally:
            await engine.dispose()

    with pytest.raises(NotInTransaction):
        asyncio.run(write())
    assert scene.waiting == 0


def test_a_session_without_a_transaction(sqlite_scene: Scene) -> None:
    refused = pytest.raises(sqlalchemy.exc.InvalidRequestError, match="Autobegin is disabled")
    with sqlite_scene.engine() as engine, Session(engine, autobegin=False) as session, refused:
        outbox.enqueue(session, sqlite_scene.queue, add, 1, 2)


def test_the_table_is_missing(scene: Scene) -> None:
    scene.run("DROP TABLE atomiq_outbox")
    with scene.connection() as connection, pytest.raises(OutboxTableMissing, match="atomiq outbox create"):
        outbox.enqueue(connection, scene.queue, add, 1, 2)
    with scene.engine() as engine, Session(engine) as session, pytest.raises(OutboxTableMissing):
        outbox.enqueue(session, scene.queue, add, 1, 2)
    with scene.relay() as relay, pytest.raises(OutboxTableMissing, match="atomiq outbox create"):
        relay.drain()
    with pytest.raises(OutboxTableMissing):
        outbox.figures(scene.url)


def test_the_table_is_an_old_one(scene: Scene) -> None:
    scene.run("ALTER TABLE atomiq_outbox DROP COLUMN reason")
    with scene.connection() as connection, pytest.raises(OutboxTableVersion, match="isn't of version 1"):
        outbox.enqueue(connection, scene.queue, add, 1, 2)
    with scene.relay() as relay, pytest.raises(OutboxTableVersion):
        relay.drain()


def test_the_table_is_of_a_later_version(scene: Scene) -> None:
    scene.run("UPDATE atomiq_outbox_meta SET value = '2' WHERE name = 'version'")
    with scene.relay() as relay, pytest.raises(OutboxTableVersion, match="is of version 2"):
        relay.drain()
    with pytest.raises(OutboxTableVersion):
        outbox.create(scene.url)


def test_a_database_that_takes_no_writes(scene: Scene) -> None:
    read_only = {
        "postgresql": "SET TRANSACTION READ ONLY",
        "mariadb": "START TRANSACTION READ ONLY",
        "sqlite": "PRAGMA query_only = 1",
    }
    with scene.connection() as connection:
        cursor = connection.cursor()
        cursor.execute(read_only[scene.kind])
        with pytest.raises(OutboxReadOnly, match="takes no writes"):
            outbox.enqueue(connection, scene.queue, add, 1, 2)
        cursor.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
def test_a_file_that_may_not_be_written(sqlite_scene: Scene) -> None:
    Path(sqlite_scene.url.removeprefix("sqlite:///")).chmod(0o444)
    with sqlite_scene.connection() as connection, pytest.raises(OutboxReadOnly):
        outbox.enqueue(connection, sqlite_scene.queue, add, 1, 2)


def test_a_payload_over_the_limit(sqlite_scene: Scene) -> None:
    with sqlite_scene.connection() as connection:
        with pytest.raises(PayloadTooLarge, match="pass a reference"):
            outbox.enqueue(connection, sqlite_scene.queue, add, os.urandom(7_000_000), 0)
        connection.commit()
    assert sqlite_scene.waiting == 0


def test_a_payload_just_below_it(scene: Scene) -> None:
    job = scene.enqueue(add, os.urandom(5_900_000), b"")
    assert scene.drain().sent == 1
    assert scene.queue.job_ids == [job.id]


def test_many_payloads_that_are_more_than_a_statement(scene: Scene) -> None:
    """Each is below the limit. In one statement they were over MariaDB's 16 MB: it closed the connection, and the
    transaction was lost."""
    datas = [Queue.prepare_data(add, (os.urandom(4_000_000), b"")) for _ in range(4)]
    with scene.connection() as connection:
        jobs = outbox.enqueue_many(connection, scene.queue, datas)
        connection.commit()
    assert scene.drain().sent == 4
    assert scene.queue.job_ids == [job.id for job in jobs]


def test_what_enqueue_refuses(sqlite_scene: Scene) -> None:
    with sqlite_scene.connection() as connection:
        for wrong in (lambda: add, "no.such.module"), {"job_id": "x" * 300}, {"pipeline": object()}, {"retry": 3}:
            arguments = wrong[:1] if isinstance(wrong, tuple) else (add, 1, 2)
            options = wrong if isinstance(wrong, dict) else {}
            with pytest.raises((InvalidInput, AtomiqError)):
                outbox.enqueue(connection, sqlite_scene.queue, *arguments, **options)
        with pytest.raises(InvalidName, match="255"):
            outbox.enqueue(connection, sqlite_scene.queue, add, 1, 2, job_id="x" * 256)
        connection.commit()
    assert sqlite_scene.waiting == 0


def test_what_is_no_transaction(sqlite_scene: Scene) -> None:
    with sqlite_scene.engine() as engine:
        for where in (None, "default", object(), engine):
            with pytest.raises(TypeError, match=r"outbox\.enqueue takes"):
                outbox.enqueue(where, sqlite_scene.queue, add, 1, 2)
    with closing(sqlite3.connect(":memory:")) as plain, pytest.raises(TypeError, match="AsyncSession"):
        asyncio.run(outbox.aio.enqueue(plain, sqlite_scene.queue, add, 1, 2))
    with pytest.raises(TypeError, match=r"outbox\.aio\.enqueue"):
        outbox.enqueue(create_async_engine("sqlite+aiosqlite://"), sqlite_scene.queue, add, 1, 2)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "oracle://x/y",
        "nonsense",
        "redis://x",
        "mysql://x:y/z",
        "mysql://x/y?read_timeout=no",
        "mysql://[::1/x",
    ],
)
def test_databases_that_no_relay_can_read(url: str, redis_connection: Any) -> None:
    with pytest.raises(InvalidURL):
        Relay(url, redis_connection)


@pytest.mark.parametrize("option", ["colour=red", "charset=klingon", "ssl=true"])
def test_an_option_that_the_driver_doesnt_know(option: str) -> None:
    """A driver of MySQL has its options as arguments of a function: commands ended with a TypeError's traceback."""
    with pytest.raises(InvalidURL, match="not a database URL for pymysql"):
        outbox.figures(f"mysql://app@127.0.0.1:1/shop?{option}")


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [
        ("mysql+mysqldb", "MySQLdb"),
        ("mysql+MySQLdb", "MySQLdb"),
        ("postgresql+psycopg2", "psycopg2"),
        ("mysql+pymysql", "pymysql"),
        ("mysql+mariadb", "pymysql"),
        ("mysql+mysql", "pymysql"),
        ("mysql+psycopg", "pymysql"),
        ("postgresql+asyncpg", "psycopg"),
    ],
)
def test_the_driver_that_a_url_names(scheme: str, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy calls MySQLdb mysqldb. One that connects in another way than these, or to another kind of database,
    ended the command with an error of Python's, instead of being replaced."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert drivers.connector(f"{scheme}://app@db/shop")[0] == driver


def test_a_number_in_a_url_of_mysql() -> None:
    """Its drivers take no text there: `?connect_timeout=5` ended every command with a TypeError."""
    url = "mysql://app:1@db:3307/2?connect_timeout=5&unix_socket=7"
    named = {"host": "db", "port": 3307, "user": "app", "password": "1", "database": "2", "charset": "utf8mb4"}
    assert drivers.connector(url)[2] == {**named, "connect_timeout": 5, "unix_socket": "7"}


def test_a_sqlite_file_that_isnt_there(tmp_path: Path, redis_connection: Any) -> None:
    """A typing error in the path left an empty database behind; only `create` makes one."""
    url = f"sqlite:///{tmp_path}/typo.db"
    uses: list[Callable[[], Any]] = [
        lambda: outbox.figures(url),
        lambda: outbox.prune(url),
        Relay(url, redis_connection).drain,
        Service(url, redis_connection).run,
    ]
    for use in uses:
        with pytest.raises(OutboxTableMissing, match=r"no SQLite database .*typo\.db"):
            use()
    assert list(tmp_path.iterdir()) == []
    outbox.create(url)
    assert outbox.figures(url) == (0, 0, 0.0)


@pytest.mark.parametrize("batch", [0, -5])
def test_a_batch_of_nothing(sqlite_scene: Scene, batch: int) -> None:
    """`manage.py atomiqrelay --batch 0` ran, and sent nothing for ever."""
    with pytest.raises(InvalidOption, match="batch must be a number from 1"):
        Service(sqlite_scene.url, sqlite_scene.redis, batch=batch)
