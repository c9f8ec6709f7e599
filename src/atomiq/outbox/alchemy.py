"""SQLAlchemy: the tables for Alembic and metadata.create_all, and a caller's session or connection."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from atomiq._core.errors import NotInTransaction
from atomiq.outbox.drivers import driver_of, refuse_autocommit, twin_of
from atomiq.outbox.table import ALCHEMY_OPTIONS, META_TABLE, TABLE

_pending: Final[WeakKeyDictionary[Any, dict[Any, Any]]] = WeakKeyDictionary()
"""Session or Connection -> whom to nudge when it commits. Its events are listened to once it is in here."""


class Nudge(Protocol):
    """Called with the database once the rows are committed, or with a transaction whose COMMIT begins. Never raises;
    `key` is the same for the same relay."""

    key: Any

    def __call__(self, database: Any, committing: Any = None) -> None:
        """Wake whoever moves the rows."""


def make_tables(metadata: Any = None) -> tuple[Any, Any, Any]:
    """A MetaData (that given, or a new one) with the outbox's tables: it, the table of rows, that of versions.

    Raises ImportError: SQLAlchemy isn't installed.
    """
    sa: Any = importlib.import_module("sqlalchemy")
    metadata = sa.MetaData() if metadata is None else metadata
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    table = sa.Table(
        TABLE,
        metadata,
        sa.Column("id", big, sa.Identity(), primary_key=True, autoincrement=True),
        sa.Column("version", sa.SmallInteger, nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("session_id", sa.BigInteger, nullable=False),
        sa.Column("queue", sa.String(512), nullable=False),
        sa.Column("job_id", sa.String(255), nullable=False),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text().with_variant(sa.Text(2**32 - 1), "mysql", "mariadb"), nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("not_before_ms", sa.BigInteger, nullable=False),
        sa.Column("parked_ms", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Index(f"{TABLE}_waiting", "route", "state", "id"),
        sa.Index(f"{TABLE}_job", "job_id"),
        sqlite_autoincrement=True,
        **ALCHEMY_OPTIONS,
    )
    meta = sa.Table(
        META_TABLE,
        metadata,
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.String(64), nullable=False),
        mysql_engine="InnoDB",
        mariadb_engine="InnoDB",
    )
    return metadata, table, meta


class ConnectionCaller:
    """A SQLAlchemy Connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.dialect = "mysql" if connection.dialect.name == "mariadb" else connection.dialect.name
        self._text = importlib.import_module("sqlalchemy").text
        raw = connection.connection
        refuse_autocommit(raw.driver_connection, twin_of(raw.driver_connection))
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT" or (
            getattr(raw.dbapi_connection, "autocommit", False) is True and driver_of(raw.driver_connection) is None
        ):
            raise NotInTransaction(
                "this SQLAlchemy connection has the isolation level AUTOCOMMIT, so the job would be sent whatever "
                "becomes of your rows; use one without it"
            )

    @property
    def tells(self) -> bool:
        """PostgreSQL refuses to prepare a transaction that has said NOTIFY; a relay finds its rows when it looks."""
        return type(self.connection.get_transaction()).__name__ != "TwoPhaseTransaction"

    def execute(self, statement: str, values: Mapping[str, Any]) -> None:
        self.connection.execute(self._text(statement), dict(values)).close()

    def after_commit(self, nudge: Nudge) -> None:
        _nudge_after(self.connection, nudge, self.connection)


class SessionCaller(ConnectionCaller):
    """A SQLAlchemy Session, by way of the connection that its transaction has."""

    def __init__(self, session: Any) -> None:
        self._session = session
        super().__init__(session.connection())

    def after_commit(self, nudge: Nudge) -> None:
        _nudge_after(self._session, nudge, self.connection)


def _nudge_after(target: Any, nudge: Nudge, connection: Any) -> None:
    """Nudge when this Session or Connection, which uses that connection, commits."""
    known, pending = target in _pending, _pending.setdefault(target, {})
    if target is not connection:
        pending[nudge.key] = (nudge, connection)
        if not known:
            _listen_to_session(target, pending)
        return
    pending[nudge.key] = nudge  # without the connection: what refers to its own key is never forgotten
    if not known:
        _listen_to_connection(connection, pending)


def _listen_to_connection(connection: Any, pending: dict[Any, Any]) -> None:
    """It tells of a COMMIT when that begins."""
    event: Any = importlib.import_module("sqlalchemy").event

    def commits(one: Any, *_: Any) -> None:
        for nudge in list(pending.values()):
            nudge(one.engine, one.get_transaction())
        pending.clear()

    def rolled_back(*_: Any) -> None:
        pending.clear()

    for name in ("commit", "commit_twophase"):
        event.listen(connection, name, commits)
    for name in ("rollback", "rollback_twophase"):
        event.listen(connection, name, rolled_back)


def _listen_to_session(session: Any, pending: dict[Any, Any]) -> None:
    event: Any = importlib.import_module("sqlalchemy").event

    def committed(one: Any) -> None:
        if one.in_nested_transaction():  # a savepoint's release
            return
        for nudge, its in list(pending.values()):
            if its.in_transaction():  # its owner has begun it, and is to commit it
                _nudge_after(its, nudge, its)
            else:
                nudge(its.engine)
        pending.clear()

    def rolled_back(one: Any, *_: Any) -> None:
        if not one.in_transaction():  # else of a savepoint: the rest can still be committed
            pending.clear()

    event.listen(session, "after_commit", committed)
    event.listen(session, "after_soft_rollback", rolled_back)


def alchemy_caller(where: Any) -> ConnectionCaller:
    """A Session, scoped_session or Connection as a caller.

    Raises:
        TypeError: anything else of SQLAlchemy's, such as an engine, or what belongs to asyncio.
    """
    orm: Any = importlib.import_module("sqlalchemy.orm")
    if isinstance(where, orm.scoped_session):
        where = where()
    if isinstance(where, orm.Session):
        return SessionCaller(where)
    if isinstance(where, importlib.import_module("sqlalchemy").Connection):
        return ConnectionCaller(where)
    hint = "; with asyncio use `await outbox.aio.enqueue(...)`" if "Async" in type(where).__name__ else ""
    raise TypeError(
        f"outbox.enqueue takes a SQLAlchemy Session or Connection in whose transaction the rows are written, not "
        f"{type(where).__name__}{hint}"
    )
