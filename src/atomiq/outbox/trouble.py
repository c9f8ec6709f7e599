"""A database driver's errors in our words. Nothing else of a driver is known here than how its errors look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from atomiq._core.errors import OutboxError, OutboxReadOnly, OutboxTableMissing, OutboxTableVersion
from atomiq.outbox.table import SCHEMA_VERSION, TABLE

CREATE_HINT: Final = "make it with `atomiq outbox create --database URL`, or by a migration (docs/outbox.md)"
_MISSING: Final = ("42P01", "1146")
_NO_COLUMN: Final = ("42703", "1054", "1136", "23502", "1364")
_READ_ONLY: Final = ("25006", "1290", "1792", "1836")


def is_database_error(error: BaseException) -> bool:
    """Whether a driver, or SQLAlchemy or Django over one, raised it: all call the base of theirs `Error`, as PEP 249
    says, or `DatabaseError`."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return not isinstance(error, OSError) and bool(
        names & {"Error", "DatabaseError", "SQLAlchemyError", "PostgresError"}
    )


def explained(error: BaseException) -> OutboxError | None:
    """What a database's error means for the outbox; None for one that has nothing to do with it."""
    original = getattr(error, "orig", None) or error
    codes, text = _codes(original), str(original)
    if codes & set(_READ_ONLY) or "readonly database" in text or "read-only" in text:
        return OutboxReadOnly(f"the outbox can't be written, the database takes no writes: {_first_line(text)}")
    named = TABLE in text
    if named and (codes & set(_MISSING) or "no such table" in text):
        return OutboxTableMissing(f"the database has no table {TABLE}; {CREATE_HINT}: {_first_line(text)}")
    if (
        codes & set(_NO_COLUMN)
        or (named and ("has no column" in text or "NOT NULL" in text))
        or "no such column" in text
    ):
        return OutboxTableVersion(
            f"the table {TABLE} isn't of version {SCHEMA_VERSION}, which this atomiq writes: {_first_line(text)}. "
            "Migrate it, or install the atomiq that it was made for (docs/outbox.md)."
        )
    return None


@contextmanager
def in_our_words() -> Iterator[None]:
    """For commands: an error of the database is an OutboxError, so a line to whoever typed the command."""
    try:
        yield
    except Exception as error:
        if not is_database_error(error):
            raise
        original = getattr(error, "orig", None) or error
        text = ": ".join(str(each) for each in original.args) or str(original)
        raise OutboxError(f"the database says: {' '.join(text.split())}") from error


def _codes(error: Any) -> set[str]:
    """SQLSTATE or number, from wherever the driver keeps it."""
    found = {str(getattr(error, name, "") or "") for name in ("sqlstate", "pgcode", "errno")}
    if error.args and isinstance(error.args[0], int):
        found.add(str(error.args[0]))
    cause = getattr(error, "__cause__", None)
    if cause is not None and cause is not error and isinstance(cause, Exception):
        found |= _codes(cause)
    return found


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:300]
