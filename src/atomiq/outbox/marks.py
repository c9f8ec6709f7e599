"""A job's own transaction: its rows are committed together with a mark that they are (docs/transactions.md).

A worker that dies between COMMIT and the end of the job leaves a job that runs again. The mark tells the next run that
the work is done, and what it had returned.
"""
# ruff: noqa: S608 - our own names of tables are all that is put into a statement

from __future__ import annotations

import base64
import importlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Protocol, Self

from atomiq._core.errors import InvalidJobOperation, InvalidOption, OutboxTableMissing
from atomiq._core.timestamp import check_delay, utcformat
from atomiq.on_commit import Held, holding
from atomiq.outbox.callers import caller_of, write
from atomiq.outbox.database import Database
from atomiq.outbox.drivers import driver_of, end, run
from atomiq.outbox.making import check_route
from atomiq.outbox.nudging import NudgeAfter
from atomiq.outbox.rows import values_of
from atomiq.outbox.sql import positional
from atomiq.outbox.table import ALCHEMY_OPTIONS, MARKS
from atomiq.outbox.trouble import explained, is_database_error

LONGEST_STEP: Final = 64
_FIND: Final = f"SELECT result FROM {MARKS} WHERE job_id = :job_id AND run = :run AND step = :step"
_INSERT: Final = (
    f"INSERT INTO {MARKS} (job_id, run, step, attempt, committed_ms, result) "
    "VALUES (:job_id, :run, :step, :attempt, :committed_ms, :result)"
)
_NO_TABLE: Final = ("no such table", "does not exist", "doesn't exist")
_PRUNE: Final = f"DELETE FROM {MARKS} WHERE committed_ms <= :until_ms"


def prune(database: Any, older_than: timedelta) -> None:
    """Delete old marks. A job that runs again after its mark is gone does its work again: keep them for as long as jobs
    may be retried or requeued."""
    until_ms = _now_ms() - int(check_delay(older_than).total_seconds() * 1000)
    link = Database.of(database).link()
    try:
        link.run(_PRUNE, {"until_ms": until_ms})
        link.commit()
    finally:
        link.close()


def make_table(metadata: Any) -> Any:
    """The table of marks in a SQLAlchemy MetaData, for Alembic and `create_all`."""
    sa: Any = importlib.import_module("sqlalchemy")
    return sa.Table(
        MARKS,
        metadata,
        sa.Column("job_id", sa.String(255), primary_key=True),
        sa.Column("run", sa.String(100), primary_key=True),
        sa.Column("step", sa.String(LONGEST_STEP), primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("committed_ms", sa.BigInteger, nullable=False),
        sa.Column("result", sa.Text().with_variant(sa.Text(2**32 - 1), "mysql", "mariadb"), nullable=False),
        **ALCHEMY_OPTIONS,
    )


class Books(Protocol):
    """One kind of transaction."""

    where: Any

    def begin(self) -> None: ...

    def begin_look(self) -> None:
        """After a rollback: for a look alone, which needs no transaction of the caller's."""

    def has_looked(self) -> None: ...

    def run(self, statement: str, values: Mapping[str, Any]) -> list[Any]: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class AlchemyBooks:
    """A SQLAlchemy Session or Connection."""

    def __init__(self, where: Any) -> None:
        self.where = where
        self._text = importlib.import_module("sqlalchemy").text

    def begin(self) -> None:
        if self.where.in_nested_transaction():
            raise InvalidJobOperation("job.transaction commits, so it can't begin inside a savepoint of the session")
        caller_of(self.where)

    def begin_look(self) -> None:
        if not self.where.in_transaction():
            self.where.begin()  # a session of autobegin=False does it nowhere else

    def has_looked(self) -> None:
        """What the session has done before belongs to the transaction as well: it goes on."""

    def run(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        found = self.where.execute(self._text(statement), dict(values))
        return list(found.all()) if found.returns_rows else []

    def commit(self) -> None:
        self.where.commit()

    def rollback(self) -> None:
        self.where.rollback()


class DjangoBooks:
    """A Django connection; `atomic` in durable mode."""

    def __init__(self, using: str) -> None:
        database: Any = importlib.import_module("django.db")
        self.where = database.connections[using]
        self._transaction = database.transaction
        self._atomic: AbstractContextManager[None] = database.transaction.atomic(using, durable=True)

    def begin(self) -> None:
        self._atomic.__enter__()

    def begin_look(self) -> None:
        """Autocommit mode will do."""

    def has_looked(self) -> None:
        """On SQLite begin anew: a transaction that has read may not write any more ("database is locked", at once) when
        somebody else has committed since, and our own relay does, after the job before."""
        if self.where.vendor == "sqlite":
            self.commit()
            self.begin()

    def run(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        text, names = positional(statement, "%s")
        with self.where.cursor() as cursor:
            cursor.execute(text, [values[name] for name in names])
            return list(cursor.fetchall()) if cursor.description else []

    def commit(self) -> None:
        self._atomic.__exit__(None, None, None)

    def rollback(self) -> None:
        if self.where.in_atomic_block:
            self._transaction.set_rollback(True, self.where.alias)
            self._atomic.__exit__(None, None, None)


class PlainBooks:
    """A DB-API connection."""

    def __init__(self, where: Any, driver: str) -> None:
        self.where, self._driver = where, driver

    def begin(self) -> None:
        caller_of(self.where)

    def begin_look(self) -> None:
        """As with Django."""

    def has_looked(self) -> None:
        """As with a session."""

    def run(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        return run(self.where, self._driver, statement, values)

    def commit(self) -> None:
        end(self.where, self._driver, commits=True)

    def rollback(self) -> None:
        end(self.where, self._driver, commits=False)


class Children:
    """Sends what is enqueued inside to the outbox, in the same transaction."""

    def __init__(self, books: Books, route: str, asyncio_of: Any) -> None:
        self._books, self._route, self._asyncio_of = books, route, asyncio_of

    def hold(self, held: Held) -> bool:
        if self._asyncio_of is not None:
            raise InvalidOption("inside `async with job.transaction` enqueue by an aio.Queue, whose answer is awaited")
        self._write(held)
        return True

    async def ahold(self, held: Held) -> bool:
        if self._asyncio_of is None:
            raise InvalidOption("inside `with job.transaction` enqueue by a Queue; an aio.Queue needs `async with`")
        await self._asyncio_of.run_sync(lambda _one: self._write(held))
        return True

    def _write(self, held: Held) -> None:
        caller = caller_of(self._books.where)
        write(caller, [values_of(new, held.unique, held.group or "", self._route) for new in held.news])
        caller.after_commit(NudgeAfter(held.queue.connection, self._route))


class JobTransaction:
    """What `job.transaction(...)` returns; `with` or, beside an AsyncSession, `async with` it.

    Attributes:
        done: an earlier run of this job has committed its work. What this one writes is rolled back.
        result: what to keep with the work, and what the earlier run had kept; whatever the job's serializer takes.
    """

    def __init__(
        self, job: Any, where: Any = None, *, using: str | None = None, step: str = "", route: str = ""
    ) -> None:
        if len(step) > LONGEST_STEP:
            raise InvalidOption(f"step can have {LONGEST_STEP} characters, not {len(step)}: {step[:80]!r}")
        self._job, self._step, self._route = job, step, check_route(route)
        self._asyncio_of: Any = None
        if (where is None) == (using is None):
            raise InvalidOption(
                "job.transaction takes a session or connection, or `using=`, an alias of Django's databases"
            )
        if using is not None:
            self._books: Books = DjangoBooks(using)
        else:
            self._books, self._asyncio_of = _books_of(where)
        self.done = False
        self.result: Any = None

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function in the transaction, unless that was done before. Returns what it returned, then or now."""
        with self:
            if not self.done:
                self.result = function(*args, **kwargs)
        return self.result

    async def arun(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """`run` with a coroutine function."""
        async with self:
            if not self.done:
                self.result = await function(*args, **kwargs)
        return self.result

    def __enter__(self) -> Self:
        if self._asyncio_of is not None:
            raise TypeError("beside an AsyncSession it is `async with job.transaction(session)`")
        self._open()
        self._hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holding.__exit__(None, None, None)
        self._close(error)

    async def __aenter__(self) -> Self:
        if self._asyncio_of is None:
            raise TypeError("`async with job.transaction` needs an AsyncSession; otherwise it is `with`")
        await self._asyncio_of.run_sync(lambda _one: self._open())
        self._hold()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holding.__exit__(None, None, None)
        await self._asyncio_of.run_sync(lambda _one: self._close(error))

    def _hold(self) -> None:
        self._holding = holding(Children(self._books, self._route, self._asyncio_of))
        self._holding.__enter__()

    def _open(self) -> None:
        mine = self._job.__dict__.setdefault("_steps", set())
        if self._step in mine:
            raise InvalidJobOperation(
                f"job {self._job.id} has committed a transaction of the step {self._step!r} in this run; "
                "give each of several its own: job.transaction(session, step='...')"
            )
        self._books.begin()
        try:
            self._look()
            self._books.has_looked()
        except BaseException:
            self._books.rollback()
            raise

    def _look(self) -> None:
        found = self._asked(_FIND, self._key())
        if found:
            self.done = True
            text = found[0][0]
            self.result = self._job.serializer.loads(base64.b64decode(text)) if text else None

    def _close(self, error: BaseException | None) -> None:
        if error is not None or self.done:
            self._books.rollback()
            return
        try:
            self._mark()
        except Exception as refused:
            self._books.rollback()
            if not _is_conflict(refused):
                raise
            # Another run of the job, whose worker was taken for dead, has committed meanwhile.
            self._books.begin_look()
            try:
                self._look()
            finally:
                self._books.rollback()
            if not self.done:
                raise
        else:
            self._job.__dict__["_steps"].add(self._step)

    def _mark(self) -> None:
        kept = "" if self.result is None else base64.b64encode(self._job.serializer.dumps(self.result)).decode()
        values = {"attempt": self._job.attempts or 0, "committed_ms": _now_ms(), "result": kept}
        self._asked(_INSERT, {**self._key(), **values})
        self._books.commit()

    def _key(self) -> dict[str, Any]:
        """Of this stay of the job on the server and this repetition: retries and runs after a crash share it."""
        raw, job = self._job.raw, self._job
        made = raw.get(b"created_at", b"").decode() or utcformat(job.created_at)
        run_of_job = f"{made}/{raw.get(b'call', b'').decode()}/{job.repeats_done or 0}"
        return {"job_id": job.id, "run": run_of_job[:100], "step": self._step}

    def _asked(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        try:
            return self._books.run(statement, values)
        except Exception as error:
            text = str(error)
            if is_database_error(error) and MARKS in text and any(each in text for each in _NO_TABLE):
                raise OutboxTableMissing(
                    f"the database has no table {MARKS}; make it with `atomiq outbox create --database URL`, "
                    "atomiq.outbox.create(database), or a migration (docs/transactions.md)"
                ) from error
            known = explained(error) if is_database_error(error) else None
            if known is None:
                raise
            raise known from error


def _books_of(where: Any) -> tuple[Books, Any]:
    """The books, and the AsyncSession, if it is one.

    Raises:
        TypeError: nothing that a transaction can be made with.
    """
    if any(kind.__module__.startswith("sqlalchemy.") for kind in type(where).__mro__):
        if hasattr(where, "registry") and callable(where):  # scoped
            where = where()
        if hasattr(where, "run_sync"):
            return AlchemyBooks(getattr(where, "sync_session", None) or where.sync_connection), where
        if hasattr(where, "in_nested_transaction"):
            return AlchemyBooks(where), None
    driver = driver_of(where)
    if driver is not None and hasattr(where, "cursor"):
        return PlainBooks(where, driver), None
    kind = type(where).__name__
    raise TypeError(f"job.transaction takes a SQLAlchemy session, a DB-API connection or using=alias, not {kind}")


def _is_conflict(error: BaseException) -> bool:
    return any(kind.__name__ == "IntegrityError" for kind in type(error).__mro__)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
