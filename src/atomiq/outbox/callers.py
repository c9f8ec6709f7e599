"""What a caller's transaction may be made with, and how a row is written there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from atomiq._core.errors import NotInTransaction
from atomiq.outbox.alchemy import Nudge, alchemy_caller
from atomiq.outbox.drivers import dialect_of, driver_of, refuse_autocommit, run
from atomiq.outbox.rows import MAX_PAYLOAD
from atomiq.outbox.sql import insert, positional
from atomiq.outbox.trouble import explained, is_database_error

ROWS_PER_INSERT = 100


class Caller(Protocol):
    """One way to execute a statement in the caller's transaction."""

    dialect: str

    @property
    def tells(self) -> bool:
        """Whether that transaction may tell the relays."""

    def execute(self, statement: str, values: Mapping[str, Any]) -> None:
        """Execute a statement with `:name` values."""

    def after_commit(self, nudge: Nudge) -> None:
        """Have `nudge(database)` called once the rows are committed, where that can be known."""


class PlainCaller:
    """A DB-API connection. Nobody hears of its COMMIT: `outbox.nudge` is the caller's, or a relay finds the rows."""

    tells = True

    def __init__(self, connection: Any, driver: str) -> None:
        self._connection, self._driver = connection, driver
        self.dialect = dialect_of(driver)
        refuse_autocommit(connection, driver)

    def execute(self, statement: str, values: Mapping[str, Any]) -> None:
        run(self._connection, self._driver, statement, values)

    def after_commit(self, nudge: Nudge) -> None:
        pass


class DjangoCaller:
    """A Django connection."""

    tells = True

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.dialect = "mysql" if connection.vendor == "mysql" else connection.vendor
        if connection.get_autocommit() and not connection.in_atomic_block:
            raise NotInTransaction(
                f"no transaction is open on the Django connection {connection.alias!r}, so the job would be sent "
                "whatever becomes of your rows; wrap them and outbox.enqueue in `with transaction.atomic():`"
            )

    def execute(self, statement: str, values: Mapping[str, Any]) -> None:
        with self._connection.cursor() as cursor:
            text, names = positional(statement, "%s")
            cursor.execute(text, [values[name] for name in names])

    def after_commit(self, nudge: Nudge) -> None:
        if self._connection.in_atomic_block:
            self._connection.on_commit(lambda: nudge(self._connection))


def caller_of(where: Any) -> Caller:
    """The caller's transaction.

    Raises:
        TypeError: nothing that a transaction can be made with, or one for asyncio.
        NotInTransaction: it commits every statement by itself.
    """
    tops = {kind.__module__.partition(".")[0] for kind in type(where).__mro__}
    if "sqlalchemy" in tops:
        return alchemy_caller(where)
    if hasattr(where, "vendor") and hasattr(where, "in_atomic_block"):
        return DjangoCaller(where)
    for connection in (where, getattr(where, "connection", None)):
        driver = driver_of(connection)
        if driver is not None and hasattr(connection, "cursor") and not _is_async(connection):
            return PlainCaller(connection, driver)
    raise TypeError(
        "outbox.enqueue takes a DB-API connection or cursor (psycopg, psycopg2, pymysql, MySQLdb, sqlite3), a "
        f"SQLAlchemy Session or Connection, or a Django connection, not {type(where).__name__}: {where!r}"
    )


def _is_async(connection: Any) -> bool:
    return "Async" in type(connection).__name__


def parts(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Rows that one statement can carry: together no more bytes than the largest single one may have."""
    part: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        if part and (len(part) == ROWS_PER_INSERT or size + row["size"] > MAX_PAYLOAD):
            yield part
            part, size = [], 0
        part.append(row)
        size += row["size"]
    if part:
        yield part


def write(caller: Caller, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows.

    Raises:
        OutboxError: the table is missing or of another version, or the database read-only. Any other error of the
            database comes as it is.
    """
    for part in parts(rows):
        values = {f"{name}{number}": value for number, row in enumerate(part) for name, value in row.items()}
        try:
            caller.execute(insert(caller.dialect, len(part), caller.tells), values)
        except Exception as error:
            known = explained(error) if is_database_error(error) else None
            if known is None:
                raise
            raise known from error
