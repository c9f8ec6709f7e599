"""Which exceptions a rule is about: classes by their dotted names, compared with all that a raised exception is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from atomiq._core.callref import import_attribute
from atomiq._core.errors import InvalidFunction, InvalidOption


def exception_names(given: Any, name: str) -> tuple[str, ...]:
    """Dotted names of exception classes, given as classes or names, one or several.

    Raises:
        InvalidOption: a ValueError; no exception class, one that a worker could not know by its name, or a name that
            can't be imported here.
    """
    if given is None:
        return ()
    several = isinstance(given, Iterable) and not isinstance(given, (str, bytes, type))
    return tuple(dict.fromkeys(_name_of(each, name) for each in (given if several else (given,))))


def _name_of(given: Any, name: str) -> str:
    found = given
    if isinstance(given, str):
        try:
            found = import_attribute(given)
        except InvalidFunction as error:
            raise InvalidOption(f"{name}: there is no exception {given!r}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise InvalidOption(f"{name} must be exception classes or their dotted names, not {given!r}")
    dotted = _dotted(found)
    if found.__module__ == "__main__" or "<locals>" in dotted:
        raise InvalidOption(
            f"{name}: a worker can't tell {dotted} by its name; define the exception in a module, outside of functions"
        )
    return dotted


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def is_one_of(error: BaseException, names: Sequence[str]) -> bool:
    """Whether an exception is of one of these classes, or of a subclass; a group is, if all that it holds are."""
    if any(_dotted(kind) in names for kind in type(error).__mro__):
        return True
    return isinstance(error, BaseExceptionGroup) and all(is_one_of(each, names) for each in error.exceptions)


def contains_one_of(error: BaseException, names: Sequence[str]) -> bool:
    """The same, but a group is already if one that it holds is."""
    if isinstance(error, BaseExceptionGroup) and any(contains_one_of(each, names) for each in error.exceptions):
        return True
    return is_one_of(error, names)


def calls_for_retry(error: BaseException, on: Sequence[str], unless: Sequence[str]) -> bool:
    """Whether a Retry with these `on` and `unless` is for this exception; no `on` means all."""
    return (not on or is_one_of(error, on)) and not (unless and contains_one_of(error, unless))


def read_names(raw: bytes | None) -> Sequence[str]:
    """Names as stored; nonsense counts as none."""
    if not raw:
        return ()
    try:
        found = json.loads(raw)
    except ValueError:
        return ()
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else ()
