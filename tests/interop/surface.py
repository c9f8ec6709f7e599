"""What RQ offers in public, found by introspection, and where atomiq's names depart from it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import rq

CONSTANT = (str, int, float, bytes, dict, list, tuple, set, frozenset, type(None))
NOT_THE_API = ("rq.cli",)
"""The command line is compared as a command line."""


def modules() -> Iterator[ModuleType]:
    """Every module of RQ."""
    yield rq
    for found in pkgutil.walk_packages(rq.__path__, "rq."):
        if not found.name.startswith(NOT_THE_API):
            yield importlib.import_module(found.name)


def public_names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a user of the module can import from it: what is defined in it, or offered by a package."""
    package = hasattr(module, "__path__")
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or inspect.ismodule(value) or name == "TYPE_CHECKING":
            continue
        home = getattr(value, "__module__", None) or ""
        if inspect.isclass(value) or inspect.isfunction(value):
            if home == module.__name__ or (package and home.startswith("rq.")):
                yield name, value
        elif isinstance(value, CONSTANT) and name.isupper():
            yield name, value


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public members that this class itself defines; what it inherits is compared where it is defined."""
    for name, value in sorted(vars(kind).items()):
        if name == "__init__" or not name.startswith("_"):
            yield name, value


def parameters(function: Any) -> list[inspect.Parameter]:
    plain = getattr(function, "__func__", function)
    try:
        return list(inspect.signature(plain).parameters.values())
    except (TypeError, ValueError):
        return []


def is_program(value: Any) -> bool:
    """The text of a script: what it does counts, and is neither read nor shown here."""
    return isinstance(value, str) and "\n" in value


def shown(value: Any) -> Any:
    """A default: what it says, as the class of it is another one here."""
    if inspect.isclass(value):
        return value.__name__
    return getattr(value, "value", value)


def missing_parameters(theirs: Any, ours: Any) -> str:
    """What a call that RQ accepts would stumble over; '' when nothing."""
    wanted, got = parameters(theirs), parameters(ours)
    named = {one.name: one for one in got}
    takes_any = {one.kind for one in got} & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    place = 0
    for one in wanted:
        if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL):
            if one.kind not in takes_any:
                return f"takes no {one}"
            continue
        ours_is = named.get(one.name)
        if ours_is is None:
            return f"has no parameter {one.name}"
        if one.kind is one.POSITIONAL_OR_KEYWORD:
            if ours_is.kind is not one.kind or got[place] is not ours_is:
                return f"has {one.name} in another place"
            place += 1
        if one.default is not one.empty and shown(ours_is.default) != shown(one.default):
            return f"has {ours_is.default!r} for {one.name}, RQ {one.default!r}"
    extra = [one for one in got if one.default is one.empty and one.name not in {other.name for other in wanted}]
    needed = [one.name for one in extra if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    return f"needs {', '.join(needed)}" if needed else ""


def departures() -> dict[str, str]:
    """Every public name of RQ that atomiq hasn't, or has otherwise: name to what is the matter."""
    found: dict[str, str] = {}
    for module in modules():
        try:
            ours = importlib.import_module("atomiq" + module.__name__[2:])
        except ModuleNotFoundError:
            found[module.__name__] = "no such module"
            continue
        for name, value in public_names(module):
            at = f"{module.__name__}.{name}"
            if not hasattr(ours, name):
                found[at] = "no such name"
            elif getattr(value, "__module__", module.__name__) != module.__name__:
                continue  # offered by a package, compared in the module that defines it
            elif inspect.isclass(value):
                found.update(class_departures(at, value, getattr(ours, name)))
            elif inspect.isfunction(value):
                found.update({at: wrong} if (wrong := missing_parameters(value, getattr(ours, name))) else {})
            elif type(getattr(ours, name)) is not type(value):
                found[at] = f"is a {type(getattr(ours, name)).__name__}, RQ's a {type(value).__name__}"
            elif getattr(ours, name) != value and "rq." not in str(value) and not is_program(value):
                found[at] = f"is {getattr(ours, name)!r}, RQ {value!r}"
    return found


def class_departures(at: str, theirs: type, ours: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in members(theirs):
        if not hasattr(ours, name):
            found[f"{at}.{name}"] = "no such name"
            continue
        if inspect.isfunction(getattr(value, "__func__", value)):
            wrong = missing_parameters(value, inspect.getattr_static(ours, name))
            if wrong:
                found[f"{at}.{name}"] = wrong
    if issubclass(theirs, Exception) and not issubclass(ours, Exception):
        found[at] = "is no Exception"
    return found


def how_many() -> int:
    """Names that were compared."""
    count = 0
    for module in modules():
        for _name, value in public_names(module):
            count += 1 + (len(list(members(value))) if inspect.isclass(value) else 0)
    return count
