"""What DB-API drivers differ in: dialect, parameter style, whether a transaction is open, and how one is begun."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from atomiq._core.errors import InvalidURL, NotInTransaction, OutboxTableMissing
from atomiq.outbox.sql import positional

_DRIVERS: Final = {
    "psycopg": ("postgresql", "%s"),
    "psycopg2": ("postgresql", "%s"),
    "pymysql": ("mysql", "%s"),
    "MySQLdb": ("mysql", "%s"),
    "mysql": ("mysql", "%s"),
    "mariadb": ("mysql", "?"),
    "sqlite3": ("sqlite", "?"),
}
_URLS: Final = {
    "postgresql": ("psycopg", "psycopg2"),
    "postgres": ("psycopg", "psycopg2"),
    "mysql": ("pymysql", "MySQLdb"),
    "mariadb": ("pymysql", "MySQLdb"),
    "sqlite": ("sqlite3",),
}
_ASYNCIO: Final = {"aiosqlite": "sqlite3", "aiomysql": "pymysql"}
"""Drivers for asyncio whose connections tell of their transaction as another's do."""
_NUMBERS: Final = ("connect_timeout", "read_timeout", "write_timeout", "max_allowed_packet", "client_flag")
"""Options of MySQL's drivers that are no texts."""
LONGEST_SILENCE_S: Final = 120
"""Whoever has locked rows and says nothing to the database for so long is taken for dead or frozen; twice the time in
which rows can be sent (sending.WINDOW_MS)."""
_IN_TRANSACTION: Final = 1
"""SERVER_STATUS_IN_TRANS of MySQL's protocol."""


def driver_of(connection: Any) -> str | None:
    """The module of a DB-API connection, if it is one that is known here."""
    tops = [kind.__module__.partition(".")[0] for kind in type(connection).__mro__]
    return next((top for top in tops if top in _DRIVERS), None)


def twin_of(connection: Any) -> str | None:
    """`driver_of`; for a connection of an asyncio driver the one like it."""
    top = type(connection).__module__.partition(".")[0]
    return _ASYNCIO.get(top) or driver_of(connection)


def dialect_of(driver: str) -> str:
    """'postgresql', 'mysql' (MariaDB too) or 'sqlite'."""
    return _DRIVERS[driver][0]


def run(connection: Any, driver: str, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
    """Execute a statement with `:name` values on a cursor of its own; its rows as tuples, if it has any."""
    text, names = positional(statement, _DRIVERS[driver][1])
    cursor = connection.cursor()
    try:
        given: Sequence[Any] = [values[name] for name in names] if values else ()
        if given:
            cursor.execute(text, given)
        else:
            cursor.execute(text)
        rows = cursor.fetchall() if cursor.description else []
        # An application's connections may have dict cursors or row factories.
        return [tuple(row.values()) if isinstance(row, Mapping) else tuple(row) for row in rows]
    finally:
        cursor.close()


def refuse_autocommit(connection: Any, driver: str | None) -> None:
    """Refuse a connection on which the row would be committed at once, before or without the caller's other rows.

    Raises:
        NotInTransaction: with what to do instead.
    """
    if driver in ("psycopg", "psycopg2"):
        alone = bool(connection.autocommit) and int(connection.info.transaction_status) == 0
        hint = "open one with `with connection.transaction():`, or set connection.autocommit = False"
    elif driver == "sqlite3":
        alone = not connection.in_transaction and (
            connection.isolation_level is None or getattr(connection, "autocommit", -1) is True
        )
        hint = "execute BEGIN first, or connect with another isolation_level"
    elif driver is not None and dialect_of(driver) == "mysql":
        alone = _mysql_autocommits(connection, driver)
        hint = "call connection.begin() first, or connection.autocommit(False)"
    else:
        return
    if alone:
        raise NotInTransaction(
            f"this {driver} connection commits every statement by itself, and no transaction is open: the job would "
            f"be sent whatever becomes of your rows; {hint}"
        )


def _mysql_autocommits(connection: Any, driver: str) -> bool:
    get = getattr(connection, "get_autocommit", None)
    autocommits = bool(get() if get is not None else connection.autocommit)
    if not autocommits:
        return False
    if hasattr(connection, "server_status"):
        return not connection.server_status & _IN_TRANSACTION
    try:
        return not run(connection, driver, "SELECT @@in_transaction")[0][0]
    except Exception:  # noqa: BLE001 - MySQL has no such variable; nothing says whether a transaction is open
        return True


def end(connection: Any, driver: str, *, commits: bool) -> None:
    """COMMIT or ROLLBACK. psycopg2's methods do nothing in autocommit mode, also where a transaction was begun by hand;
    nor do sqlite3's, from Python 3.12 with `autocommit=True`."""
    if driver not in ("psycopg2", "sqlite3") or getattr(connection, "autocommit", None) is not True:
        (connection.commit if commits else connection.rollback)()
    elif driver == "psycopg2" or connection.in_transaction:
        run(connection, driver, "COMMIT" if commits else "ROLLBACK")


def connector(url: str) -> tuple[str, str, dict[str, Any]]:
    """Driver, its `connect` argument, and its keyword arguments, for a database URL. Nothing is connected yet.

    Raises:
        InvalidURL: a ValueError; not such a URL, or no driver for it is installed.
    """
    scheme, separator, rest = url.partition("://")
    name, _, wanted = scheme.partition("+")
    if not separator or name not in _URLS:
        raise InvalidURL(f"not a database URL: {scheme}; give postgresql://, mysql://, mariadb:// or sqlite:///path")
    # SQLAlchemy writes mysqldb; a driver of its that isn't one of ours has one of ours stand in.
    drivers = [each for each in _URLS[name] if each.lower() == wanted.lower()] or list(_URLS[name])
    driver = next((each for each in drivers if importlib.util.find_spec(each)), None)
    if driver is None:
        raise InvalidURL(f"{scheme}:// needs one of these to be installed: {', '.join(drivers)}")
    if dialect_of(driver) == "postgresql":
        return driver, f"postgresql://{rest}", {}
    if dialect_of(driver) == "sqlite":
        path = unquote(rest.partition("?")[0]).removeprefix("/")
        if path in ("", ":memory:"):
            raise InvalidURL("a SQLite database in memory is seen by nobody else; give sqlite:///path/to/file")
        return driver, path, {}
    return driver, "", _mysql_arguments(url)


def _mysql_arguments(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        given: dict[str, Any] = dict(parse_qsl(parts.query))
        given |= {name: int(given[name]) for name in _NUMBERS if name in given}
        port = parts.port
    except ValueError as error:
        raise InvalidURL(f"not a database URL: {error}") from error
    named = {"host": parts.hostname, "user": parts.username, "password": parts.password}
    given |= {name: unquote(value) for name, value in named.items() if value}
    if port:
        given["port"] = port
    given["database"] = unquote(parts.path.removeprefix("/"))
    given.setdefault("charset", "utf8mb4")
    return given


def connect(url: str, *, makes: bool = True) -> tuple[Any, str]:
    """A new connection, and its driver. `makes`: a SQLite file too that isn't there.

    Raises:
        InvalidURL, OutboxTableMissing: there is no such file. Or what the driver raises.
    """
    driver, target, options = connector(url)
    module: Any = importlib.import_module(driver)
    if dialect_of(driver) == "sqlite":
        if not makes and not Path(target).exists():
            raise OutboxTableMissing(
                f"there is no SQLite database {target}; make it and its outbox with `atomiq outbox create --database "
                "URL`, or by a migration (docs/outbox.md)"
            )
        return module.connect(target, timeout=30, check_same_thread=False, **options), driver
    try:
        return (module.connect(target, **options) if target else module.connect(**options)), driver
    except (TypeError, AttributeError, ValueError) as error:  # MySQL's drivers, of an option that isn't theirs
        raise InvalidURL(f"not a database URL for {driver}: {error}") from error


def take_over(connection: Any, driver: str) -> None:
    """Make a new connection of ours fit for a relay: explicit transactions, each statement sees what is committed."""
    dialect = dialect_of(driver)
    if dialect == "postgresql":
        connection.rollback()
        connection.autocommit = False
        isolation = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"
        run(connection, driver, isolation)
        connection.commit()
    elif dialect == "mysql":
        if callable(connection.autocommit):
            connection.autocommit(False)
        else:
            connection.autocommit = False
        run(connection, driver, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        run(connection, driver, f"SET SESSION wait_timeout = {LONGEST_SILENCE_S}")


def locking(connection: Any, driver: str) -> str:
    """How rows are locked: nothing on SQLite, where a transaction has the database to itself."""
    dialect = dialect_of(driver)
    if dialect == "sqlite":
        return ""
    if dialect == "postgresql":
        return "FOR UPDATE SKIP LOCKED"
    version = str(run(connection, driver, "SELECT VERSION()")[0][0])
    numbers = tuple(int(part) for part in version.partition("-")[0].split(".")[:2])
    knows = numbers >= ((10, 6) if "MariaDB" in version else (8, 0))
    return "FOR UPDATE SKIP LOCKED" if knows else "FOR UPDATE"
