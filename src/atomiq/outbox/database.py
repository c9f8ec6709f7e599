"""The database as a relay sees it: where connections come from, and one of them with explicit transactions."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from atomiq._core.errors import InvalidURL
from atomiq.outbox.drivers import connect, connector, dialect_of, driver_of, locking, run, take_over
from atomiq.outbox.sql import take


class Link(Protocol):
    """A connection of a relay's. `raw` is the DB-API connection below it, `take` how it locks rows."""

    dialect: str
    take: str
    raw: Any

    def run(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        """Execute a statement with `:name` values; its rows, if it has any."""

    def begin(self) -> None:
        """Take SQLite's only place for writers. Others begin by themselves."""

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class PlainLink:
    """Over a DB-API connection of its own."""

    def __init__(self, connection: Any, driver: str) -> None:
        self.raw, self._driver = connection, driver
        self.dialect = dialect_of(driver)
        take_over(connection, driver)
        self.take = take(locking(connection, driver))
        self.rollback()

    def run(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        return run(self.raw, self._driver, statement, values)

    def begin(self) -> None:
        if self.dialect == "sqlite" and not self.raw.in_transaction:
            run(self.raw, self._driver, "BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.raw.commit()

    def rollback(self) -> None:
        self.raw.rollback()

    def close(self) -> None:
        closed(self.raw)


class AlchemyLink:
    """Over a SQLAlchemy Connection: of an Engine's pool, or an AsyncConnection's inside `run_sync`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._text = importlib.import_module("sqlalchemy").text
        self.dialect = "mysql" if connection.dialect.name == "mariadb" else connection.dialect.name
        self.raw = connection.connection.driver_connection
        self.take = take(self._locking())

    def _locking(self) -> str:
        if self.dialect == "sqlite":
            return ""
        info = self._connection.dialect.server_version_info or (0,)
        least = (
            (10, 6)
            if getattr(self._connection.dialect, "is_mariadb", False)
            else (8, 0)
            if self.dialect == "mysql"
            else (9, 5)
        )
        return "FOR UPDATE SKIP LOCKED" if tuple(info[:2]) >= least else "FOR UPDATE"

    def run(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        result = self._connection.execute(self._text(statement), dict(values or {}))
        return [tuple(row) for row in result] if result.returns_rows else []

    def begin(self) -> None:
        if self.dialect == "sqlite":
            self._connection.rollback()
            self._connection.begin()
            # An engine that is set up as SQLAlchemy's documentation says, for savepoints, has said BEGIN by now.
            if not self.raw.in_transaction:
                self._connection.exec_driver_sql("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()


class Database:
    """Where a relay's connections come from. `key` is the same for the same database, `name` is for messages."""

    def __init__(self, key: Any, name: str, link: Callable[[], Link], is_shared: bool = False) -> None:
        self.key, self.name, self.link = key, name, link
        self.is_shared = is_shared
        """Connections are of a pool that others wait for too: to be given back soon."""

    @classmethod
    def of(cls, database: Any, *, makes: bool = False) -> Database:
        """Of a URL, a SQLAlchemy Engine, a Django connection, or a callable that returns a new DB-API connection.
        `makes`: a SQLite file of a URL too that isn't there.

        Raises:
            InvalidURL: a ValueError; not a URL of a database, or one in memory, which nobody else sees.
            TypeError: nothing of these.
        """
        if isinstance(database, Database):
            return database
        if isinstance(database, str):
            connector(database)
            return cls(database, masked(database), lambda: _plain(*connect(database, makes=makes)))
        if hasattr(database, "dialect") and hasattr(database, "connect") and hasattr(database, "url"):
            return cls._of_engine(database)
        if hasattr(database, "vendor") and hasattr(database, "get_new_connection"):
            return cls._of_django(database)
        if callable(database):
            return cls(database, getattr(database, "__qualname__", repr(database)), lambda: _of_callable(database))
        raise TypeError(
            "a database is given as a URL, a SQLAlchemy Engine, a Django connection or a callable that returns a new "
            f"DB-API connection, not {type(database).__name__}: {database!r}"
        )

    @classmethod
    def _of_engine(cls, engine: Any) -> Database:
        if type(engine).__name__ == "AsyncEngine" or engine.dialect.is_async:
            raise TypeError("a relay of this process needs an Engine, or a URL, not an AsyncEngine")
        if engine.dialect.name == "sqlite" and is_in_memory(engine.url.database, engine.url.query):
            raise InvalidURL("a SQLite database in memory is seen by nobody else; use a file")

        def link() -> Link:
            connection = engine.connect()
            try:
                return AlchemyLink(prepared(connection))
            except BaseException:
                connection.close()
                raise

        return cls(engine, engine.url.render_as_string(), link, is_shared=True)

    @classmethod
    def _of_django(cls, wrapper: Any) -> Database:
        parameters = wrapper.get_connection_params()
        if wrapper.vendor == "sqlite" and is_in_memory(str(parameters.get("database")), {}):
            raise InvalidURL("a SQLite database in memory is seen by nobody else; use a file")

        def link() -> Link:
            return _of_callable(lambda: wrapper.get_new_connection(wrapper.get_connection_params()))

        settings = wrapper.settings_dict
        key = (wrapper.alias, *(str(settings.get(name)) for name in ("ENGINE", "HOST", "PORT", "NAME", "USER")))
        return cls(key, f"Django's {wrapper.alias!r}", link)


def prepared(connection: Any) -> Any:
    """A SQLAlchemy Connection in which each statement sees what is committed."""
    if connection.dialect.name == "sqlite":
        return connection
    return connection.execution_options(isolation_level="READ COMMITTED")


def is_in_memory(path: str | None, query: Mapping[str, Any]) -> bool:
    """Whether a SQLite database has no file."""
    return not path or ":memory:" in path or "mode=memory" in path or query.get("mode") == "memory"


def _of_callable(make: Callable[[], Any]) -> Link:
    connection = make()
    driver = driver_of(connection)
    if driver is None:
        raise TypeError(f"{make!r} returned {type(connection).__name__}, which is no DB-API connection that is known")
    return _plain(connection, driver)


def _plain(connection: Any, driver: str) -> Link:
    try:
        return PlainLink(connection, driver)
    except BaseException:
        closed(connection)
        raise


def closed(connection: Any) -> None:
    """Close a DB-API connection. Django takes its new ones of psycopg's pool, if it has one; that has to hear of it, or
    the place is taken for ever. It gets a closed one, as another user would hear what ours has listened to."""
    connection.close()
    pool = getattr(connection, "_pool", None)  # Django finds it there, too
    if pool is not None:
        pool.putconn(connection)


def masked(url: str) -> str:
    """A URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
