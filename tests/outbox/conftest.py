"""A database with an outbox: SQLite always, PostgreSQL and MariaDB where their programs are installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy
from tests.databases import Missing, mariadb_server, postgresql_server

from atomiq import Queue, outbox
from atomiq.outbox import drivers
from atomiq.outbox.relay import Relay

SERVERS = {"postgresql": postgresql_server, "mariadb": mariadb_server}


@dataclass
class Scene:
    """One database, one server."""

    kind: str
    url: str
    redis: Any

    @property
    def alchemy_url(self) -> str:
        schemes = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
        scheme, _, rest = self.url.partition("://")
        return f"{schemes.get(scheme, scheme)}://{rest}"

    @property
    def queue(self) -> Queue:
        return Queue("orders", connection=self.redis)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A DB-API connection with explicit transactions."""
        connection, driver = drivers.connect(self.url)
        if driver != "sqlite3":
            drivers.take_over(connection, driver)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def engine(self) -> Iterator[Any]:
        engine = sqlalchemy.create_engine(self.alchemy_url)
        try:
            yield engine
        finally:
            engine.dispose()

    @contextmanager
    def relay(self, **options: Any) -> Iterator[Relay]:
        relay = Relay(self.url, self.redis, **options)
        try:
            yield relay
        finally:
            relay.close()

    def run(self, statement: str, **values: Any) -> list[Any]:
        """A statement in a transaction of its own."""
        connection, driver = drivers.connect(self.url)
        try:
            found = drivers.run(connection, driver, statement, values)
            connection.commit()
            return found
        finally:
            connection.close()

    def enqueue(self, func: Any, *args: Any, **options: Any) -> Any:
        """A job in a transaction of its own."""
        with self.connection() as connection:
            job = outbox.enqueue(connection, self.queue, func, *args, **options)
            connection.commit()
        return job

    def drain(self) -> Any:
        with self.relay() as relay:
            return relay.drain()

    @property
    def waiting(self) -> int:
        return outbox.figures(self.url).waiting


@pytest.fixture(scope="session", params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Kind and URL of a server's database; of SQLite only the kind."""
    if request.param == "sqlite":
        yield "sqlite", ""
        return
    try:
        # Its vacuum processes would look like something that a test has left behind.
        options = ("-c", "autovacuum=off") if request.param == "postgresql" else ()
        with SERVERS[request.param](*options) as server:
            yield request.param, server.url
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def scene(database: tuple[str, str], redis_connection: Any, tmp_path: Any) -> Iterator[Scene]:
    """The database with an empty outbox, and an empty server."""
    kind, url = database
    scene = Scene(kind, url or f"sqlite:///{tmp_path}/app.db", redis_connection)
    for table in ("atomiq_outbox", "atomiq_outbox_meta", "orders"):
        scene.run(f"DROP TABLE IF EXISTS {table}")
    outbox.create(scene.url)
    scene.run("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    yield scene
    outbox.finish()


@pytest.fixture
def sqlite_scene(redis_connection: Any, tmp_path: Any) -> Iterator[Scene]:
    """What has nothing to do with the kind of database is tried on SQLite only."""
    scene = Scene("sqlite", f"sqlite:///{tmp_path}/app.db", redis_connection)
    outbox.create(scene.url)
    yield scene
    outbox.finish()
