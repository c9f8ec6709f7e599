"""A script as the server gets it: its own text, the shared functions that it uses, and locals for its keys and
arguments.

A script creates its functions anew on every call, so each one costs time on the server whether it is called or not.
Therefore only those that are named in the text, or in another one that is, are put in; what is a single expression is
put in where it is called (`atomiq._lua.inline`); and what most calls don't need is asked for as `rare('name')`, which
creates it then, with what it needs. The key functions are made from `_core.keys.Keys`, so that Python and Lua can't
differ about a name.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain

from atomiq._core.errors import ScriptError
from atomiq._core.keys import Keys
from atomiq._lua.header import Header, parse_header
from atomiq._lua.inline import Inlined, expression_of, put_in_expressions, put_in_statements, statements_of

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_START = re.compile(r"^local (?:function )?([A-Za-z_][A-Za-z0-9_]*)")
_RARE = re.compile(r"\brare\('(\w+)'\)")
_COMMENT = re.compile(r"(^|\s)--.*$")
_SMALL = 3
"""A rare function that needs no more than so many is created alone; any other one with all that are rare."""
_LIBRARY = (
    *("clock", "place", "groups", "dependants", "erase", "enqueueing", "promotion", "claiming", "settling"),
    *("abandoned", "cron", "diagnosis", "things"),
)
"""In the order in which they are put in: a function may use those of its own file above it, and of files before it."""

_CLOCK = """local NOW = ARGV[2] ~= '0' and ARGV[2] + 0
if not NOW then
  local time = redis.call('TIME')
  local fraction = time[2] + 0
  NOW = time[1] * 1000 + (fraction - fraction % 1000) / 1000
end"""
"""`now` as an argument is for tests; 0 means the server's own clock, the only one that counts in production."""


@dataclass(frozen=True, slots=True)
class Script:
    """A composed script: `body` is what EVAL gets, `sha` what EVALSHA gets."""

    name: str
    header: Header
    body: str
    sha: str


@cache
def script(name: str) -> Script:
    """The composed script of this name."""
    text = _read(f"{name}.lua")
    header = parse_header(name, text)
    body = _compose(header, _strip_comments(text))
    return Script(name, header, body, hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest())


@cache
def script_names() -> tuple[str, ...]:
    """Every transition and view, sorted."""
    files = resources.files("atomiq._lua").iterdir()
    return tuple(sorted(file.name[:-4] for file in files if file.name.endswith(".lua")))


def _read(path: str) -> str:
    return resources.files("atomiq._lua").joinpath(path).read_text(encoding="utf-8")


def _strip_comments(text: str) -> str:
    """Drop comment lines and trailing comments (no string of ours holds ` -- `)."""
    kept = []
    for line in text.splitlines():
        code = _COMMENT.sub("", line).rstrip() if "--" in line else line.rstrip()
        if code:
            kept.append(code)
    return "\n".join(kept)


@cache
def _library() -> dict[str, str]:
    """Name -> text of every shared function and table, key functions first, in the order they must stand in."""
    parts = _key_functions()
    for file in _LIBRARY:
        name = ""
        for line in _strip_comments(_read(f"lib/{file}.lua")).splitlines():
            start = _START.match(line)
            if start:
                name = start.group(1)
                if name in parts:
                    raise ScriptError(f"lib/{file}.lua: {name} is defined twice")
                parts[name] = line
            else:
                parts[name] += "\n" + line
    return parts


def _key_functions() -> dict[str, str]:
    functions = {}
    for name, method in inspect.getmembers(Keys, inspect.isfunction):
        if name.startswith("_"):
            continue
        parameters = list(inspect.signature(method).parameters)[1:]
        pattern = method(Keys(""), *(f"\0{parameter}\0" for parameter in parameters))
        pieces = [piece for piece in pattern.split("\0") if piece]
        joined = " .. ".join(piece if piece in parameters else f"'{piece}'" for piece in ["", *pieces] if piece)
        functions[f"key_{name}"] = f"local function key_{name}({', '.join(parameters)}) return P .. {joined} end"
    return functions


@cache
def _expressions() -> dict[str, Inlined]:
    found = {name: expression_of(text) for name, text in _library().items()}
    return {name: inlined for name, inlined in found.items() if inlined is not None}


@cache
def _statements() -> dict[str, Inlined]:
    found = {name: statements_of(text) for name, text in _library().items()}
    return {name: inlined for name, inlined in found.items() if inlined is not None}


def _needed(text: str, *, at_once: bool = False) -> list[str]:
    """The shared functions that a text uses, itself or through others; `at_once`: without those it asks for as rare."""
    library = _library()
    found: set[str] = set()
    fresh = _named(text, at_once)
    while fresh:
        found |= fresh
        fresh = frozenset[str]().union(*(_named(library[name], at_once) for name in fresh)) - found
    return [name for name in library if name in found]


@cache
def _named(text: str, at_once: bool) -> frozenset[str]:
    """The shared functions that a text names itself."""
    words = _WORD.findall(_RARE.sub("rare", text) if at_once else text)
    return frozenset(_library().keys() & words)


@cache
def _asked(text: str) -> frozenset[str]:
    """What a text asks for as rare."""
    return frozenset(_RARE.findall(text))


def _compose(header: Header, code: str) -> str:
    library = _library()
    needed, at_once = _needed(code), _needed(code, at_once=True)
    asked = _asked(code).union(*(_asked(library[name]) for name in needed))
    lines = ["local P, call, format = ARGV[1], redis.call, string.format"]
    if not asked:
        lines += [_shared(name) for name in needed if name not in _expressions()]
    else:
        hot = [name for name in at_once if name not in _expressions() and name not in _statements()]
        defined = {*hot, *_expressions()}
        lines += ["local rare", *(_shared(name, hot=True) for name in hot), "rare = function(name)"]
        together: dict[str, list[str]] = {}
        for rare in (name for name in needed if name in asked):
            parts = [name for name in _needed(library[rare], at_once=True) if name not in defined]
            if len(parts) > _SMALL:
                together[rare] = parts
            else:
                lines += [f"if name == '{rare}' then", *map(_shared, parts), f"return {rare}", "end"]
        if together:
            later = set(chain.from_iterable(together.values()))
            entries = ", ".join(f"{name} = {name}" for name in together)
            lines += [*(_shared(name) for name in needed if name in later), f"return ({{ {entries} }})[name]"]
        lines.append("end")
        code = put_in_statements(code, _statements())
    return "\n".join([*lines, _plain("\n".join([*_locals(header, code), code]))]) + "\n"


@cache
def _shared(name: str, *, hot: bool = False) -> str:
    """A shared function as scripts have it. `hot`: one that is created at each call."""
    text = _library()[name]
    return _plain(put_in_statements(text, _statements()) if hot else text)


def _plain(text: str) -> str:
    text = put_in_expressions(text, _expressions()).replace("redis.call(", "call(")
    return re.sub(r"\n +", "\n", text)  # no string of ours has a line's end in it


def _locals(header: Header, code: str) -> list[str]:
    """Keys and arguments by their names in the header, lists as the last, and the time."""
    lines = [f"local k_{key} = KEYS[{number}]" for number, key in enumerate(header.keys, 1)]
    single = [argument for argument in header.args if argument.kind not in ("some", "list", "rest")]
    if single:
        lines.append(
            f"local {', '.join(f'a_{argument.name}' for argument in single)} = unpack(ARGV, 3, {len(single) + 2})"
        )
    lines += [f"a_{argument.name} = a_{argument.name} + 0" for argument in single if argument.kind == "int"]
    lines += [f"a_{argument.name} = a_{argument.name} == '1'" for argument in single if argument.kind == "flag"]
    before = str(len(single) + 2)
    for argument in header.args[len(single) :]:
        if argument.kind == "rest":
            lines.append(f"local at_{argument.name} = {before} + 1")
            continue
        name, last = f"a_{argument.name}", "#ARGV"
        if argument.kind == "some":
            last = f"{before} + a_{single[-1].name}"
        lines.append(f"local {name} = {{}} for i = {before} + 1, {last} do {name}[i - {before}] = ARGV[i] end")
        before = f"({last})"
    if re.search(r"\bNOW\b", code):
        lines.append(_CLOCK)
    return lines
