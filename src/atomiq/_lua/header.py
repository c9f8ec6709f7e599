"""The header of a script is its contract: what it is called with, what it may answer, which moves it makes, what it
costs."""

from __future__ import annotations

from dataclasses import dataclass

from atomiq._core.errors import ScriptError

_FIELDS = ("from", "to", "keys", "args", "says", "cost")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: `kind` is `str` (opaque), `int`, `flag` (0 or 1), `some` (as many as the argument before it says),
    and as the last one `list` (all the rest) or `rest` (the same, left where it is: a script knows where it begins)."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header. `origins` and `targets` are statuses, `gone` or `none`."""

    name: str
    summary: str
    origins: tuple[str, ...]
    targets: tuple[str, ...]
    keys: tuple[str, ...]
    args: tuple[Argument, ...]
    says: tuple[str, ...]
    cost: str


def parse_header(name: str, text: str) -> Header:
    """Read the header of the script `name`. Raises ScriptError when a line is missing or not of the form."""
    lines = text.splitlines()
    title = f"-- {name}: "
    if not lines or not lines[0].startswith(title):
        raise ScriptError(f"{name}.lua: the first line must start with {title!r}")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        if not line.startswith("-- "):
            break
        key, separator, value = line[3:].partition(":")
        if separator and key in _FIELDS and key not in fields:
            fields[key] = value.strip()
        else:
            break
    missing = [field for field in _FIELDS if field not in fields]
    if missing:
        raise ScriptError(f"{name}.lua: the header lacks {', '.join(missing)}")
    args = tuple(_parse_argument(name, word) for word in fields["args"].split())
    kinds = [argument.kind for argument in args]
    if {"list", "rest"} & set(kinds[:-1]) or kinds[-2:].count("some") < kinds.count("some"):
        raise ScriptError(f"{name}.lua: only the last argument may be a list, with a counted one before it")
    return Header(
        name=name,
        summary=lines[0][len(title) :],
        origins=tuple(fields["from"].split()),
        targets=tuple(fields["to"].split()),
        keys=tuple(fields["keys"].split()),
        args=args,
        says=tuple(fields["says"].split()),
        cost=fields["cost"],
    )


def _parse_argument(script: str, word: str) -> Argument:
    name, _, kind = word.partition(":")
    if kind not in ("", "int", "flag", "some", "list", "rest"):
        raise ScriptError(f"{script}.lua: argument {word!r} is none of :int, :flag, :some, :list and :rest")
    return Argument(name, kind or "str")
