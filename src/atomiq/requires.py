"""What a job requires before it runs: `queue.enqueue(f, ..., requires=...)`.

A worker looks for it before it calls the function. As long as it is not there the job waits in its schedule, a little
longer each time, holds no worker, and neither its attempts nor its retries are counted; in the end it fails as
PreconditionNotMet. An exception while looking is no absence: it is retried by itself, and ends as PreconditionError.

    queue.enqueue(ship, order.pk, requires=RowExists(Order, order.pk))
    queue.enqueue(ship, 7, requires=Ready("myapp.ready.order_is_there", 7))
    queue.enqueue(report, requires="myapp.ready:warehouse_is_open")

RQ's workers know nothing of it and run such a job at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from atomiq._core.backoff import Backoff
from atomiq._core.callref import import_attribute
from atomiq._core.errors import InvalidArguments, InvalidFunction, InvalidOption
from atomiq._core.precondition import BACKOFF, ERROR_RETRIES, TIMEOUT, TRIES, Precondition
from atomiq._core.ttl import Duration

__all__ = ["Precondition", "Ready", "RowExists"]


class Ready(Precondition):
    """A check of one's own, with what it is to be called with: `Ready("myapp.ready.order_is_there", order_id)`.

    Args:
        check: a function of a module, or its name: 'myapp.ready.order_is_there' or 'myapp.ready:order_is_there'. It
            says whether the job may run, and may be a coroutine function. `get_current_job()` tells it for which job.
        args: what it is called with.
        kwargs: the same by keyword, as a dict.

    The other options are those of `Precondition`, which names the errors, too.
    """

    def __init__(
        self, check: Callable[..., Any] | str, *args: Any, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(check, args, kwargs, **options)


class RowExists(Precondition):
    """A row of a Django model or of a SQLAlchemy mapped class: `RowExists(Order, 7)`, `RowExists(Order, number="A-1")`.

    Args:
        model: the class, or its dotted name. It is stored by name, and imported where the job runs.
        pk: the primary key; a tuple for one of several columns.
        using: Django's database alias. Default: what the project's routers say.
        session_factory: for SQLAlchemy, and needed there: the dotted name of what makes a session, such as
            'myapp.db.Session'; a sessionmaker, an async_sessionmaker, or a function.
        filters: more that has to be true of the row; for names that are options here. Other keywords mean the same.
        tries, backoff, error_retries, error_backoff, timeout: as for `Precondition`.

    Raises:
        InvalidFunction: a ValueError; a worker could not import the model, or the session factory.
        InvalidArguments: a TypeError and ValueError; the model has no such column, or the value isn't one of it.
        InvalidOption: a ValueError; no model, neither pk nor filters, an option of the other library.
    """

    def __init__(
        self,
        model: Any,
        pk: Any = None,
        *,
        using: str | None = None,
        session_factory: str | None = None,
        filters: Mapping[str, Any] | None = None,
        tries: int = TRIES,
        backoff: Backoff | float = BACKOFF,
        error_retries: int = ERROR_RETRIES,
        error_backoff: Backoff | float | None = None,
        timeout: Duration = TIMEOUT,
        **more: Any,
    ) -> None:
        name, model = _named(model)
        wanted = {**(filters or {}), **more}
        if pk is None and not wanted:
            raise InvalidOption(f"RowExists: neither a primary key nor filters for {name}; was the object saved?")
        if is_django(model):
            if session_factory is not None:
                raise InvalidOption(f"RowExists: session_factory is for SQLAlchemy, and {name} is a Django model")
            _try(name, _rows, model, pk, wanted, using)
            check, where = "django_row_exists", using
        elif is_mapped(model):
            if using is not None:
                raise InvalidOption(f"RowExists: using is for Django, and {name} is a SQLAlchemy class")
            if session_factory is None:
                text = f"RowExists: {name} is a SQLAlchemy class; say who makes sessions: session_factory="
                raise InvalidOption(f"{text}'myapp.db.Session'")
            where, factory = _named(session_factory)
            if not callable(factory):
                raise InvalidOption(f"RowExists: session_factory: {where} makes no sessions: {factory!r}")
            _try(name, _query, model, pk, wanted)
            check = "sqlalchemy_row_exists"
        else:
            raise InvalidOption(f"RowExists: {name} is neither a Django model nor a SQLAlchemy mapped class: {model!r}")
        columns = wanted if pk is None else {"pk": pk, **wanted}
        shown = ", ".join(f"{column}={value!r}" for column, value in columns.items())
        super().__init__(
            f"{__name__}.{check}", (name, pk, wanted, where), what=f"a row of {name} with {shown}", tries=tries,
            backoff=backoff, error_retries=error_retries, error_backoff=error_backoff, timeout=timeout,
        )  # fmt: skip


def is_django(model: Any) -> bool:
    """Whether this is a Django model; Django is not imported for it."""
    return isinstance(model, type) and hasattr(model, "_base_manager") and hasattr(model, "_meta")


def is_mapped(model: Any) -> bool:
    """Whether this is a SQLAlchemy mapped class; SQLAlchemy is not imported for it."""
    return isinstance(model, type) and hasattr(model, "__mapper__")


def django_row_exists(model: str, pk: Any, filters: Mapping[str, Any], using: str | None) -> bool:
    """The check of RowExists for Django: whatever managers of the model leave out is there, too."""
    return bool(_rows(import_attribute(model), pk, filters, using).exists())


def sqlalchemy_row_exists(model: str, pk: Any, filters: Mapping[str, Any], factory: str) -> Any:
    """The check of RowExists for SQLAlchemy, in a session of its own; a coroutine if that is an AsyncSession."""
    session: Any = import_attribute(factory)()
    query = _query(import_attribute(model), pk, filters)
    if hasattr(session, "__aenter__"):
        return _found(session, query)
    with session:
        return session.scalar(query) is not None


async def _found(session: Any, query: Any) -> bool:
    async with session:
        return await session.scalar(query) is not None


def _rows(model: Any, pk: Any, filters: Mapping[str, Any], using: str | None) -> Any:
    manager = model._base_manager  # noqa: SLF001  Django's documented name for all rows
    rows = manager if using is None else manager.using(using)
    return rows.filter(**({} if pk is None else {"pk": _key(pk)}), **filters)


def _query(model: Any, pk: Any, filters: Mapping[str, Any]) -> Any:
    sqlalchemy = importlib.import_module("sqlalchemy")
    conditions = [_condition(model, name, value) for name, value in filters.items()]
    if pk is not None:
        columns, values = sqlalchemy.inspect(model).primary_key, _key(pk)
        values = values if isinstance(values, tuple) else (values,)
        if len(columns) != len(values):
            raise ValueError(f"the primary key has {len(columns)} columns, not {len(values)}")
        conditions += [column == value for column, value in zip(columns, values, strict=True)]
    return sqlalchemy.select(sqlalchemy.literal(1)).select_from(model).where(*conditions).limit(1)


def _condition(model: Any, name: str, value: Any) -> Any:
    found = getattr(model, name) == value
    if isinstance(found, bool):  # Python has compared it: a property, say
        raise AttributeError(f"{name} is no column")
    return found


def _key(pk: Any) -> Any:
    """JSON makes a list of a tuple."""
    return tuple(pk) if isinstance(pk, list) else pk


def _named(given: Any) -> tuple[str, Any]:
    """A dotted name, and what it stands for, of either."""
    if isinstance(given, str):
        name = given.replace(":", ".", 1)
        return name, import_attribute(name)
    if not hasattr(given, "__qualname__"):
        raise InvalidFunction(f"RowExists: a worker can't import {given!r}: give its dotted name")
    name = f"{given.__module__}.{given.__qualname__}"
    if given.__module__ == "__main__" or "<locals>" in name:
        raise InvalidFunction(f"RowExists: a worker can't import {name}; move it to the top of a module")
    if import_attribute(name) is not given:
        raise InvalidFunction(f"RowExists: {name} is something else than {given!r}; give the dotted name of this one")
    return name, given


def _try(name: str, build: Callable[..., Any], *arguments: Any) -> None:
    """Build the query without asking the database: the caller learns of a column that isn't there, not a worker."""
    try:
        build(*arguments)
    except Exception as error:
        raise InvalidArguments(f"RowExists: {name} can't be asked for this: {type(error).__name__}: {error}") from error
