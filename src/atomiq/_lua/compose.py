"""A script as the server gets it: its own text, the shared functions that it uses, and locals for its keys and
arguments.

Only functions that are named in the text, or in another one that is, are put in: a script creates its functions anew
on every call, so each one that isn't needed costs time on the server. The key functions are made from
`_core.keys.Keys`, so that Python and Lua can't differ about a name.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from atomiq._core.errors import ScriptError
from atomiq._core.keys import Keys
from atomiq._lua.header import Argument, Header, parse_header

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_START = re.compile(r"^local (?:function )?([A-Za-z_][A-Za-z0-9_]*)")
_LIBRARY = ("clock", "place", "dependants", "erase", "promotion", "claiming", "settling")
"""In the order in which they are put in: a function may use those of its own file above it, and of files before it."""


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
        code = re.sub(r"(^|\s)--.*$", "", line).rstrip()
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


def _needed(text: str) -> list[str]:
    library = _library()
    found: set[str] = set()
    open_texts = [text]
    while open_texts:
        for word in set(_WORD.findall(open_texts.pop())):
            if word in library and word not in found:
                found.add(word)
                open_texts.append(library[word])
    return [name for name in library if name in found]


def _compose(header: Header, code: str) -> str:
    lines = ["local P = ARGV[1]"]
    lines += [_library()[name] for name in _needed(code + " clock")]
    lines += [f"local k_{key} = KEYS[{number}]" for number, key in enumerate(header.keys, 1)]
    lines += [_argument(argument, number) for number, argument in enumerate(header.args, 3)]
    if re.search(r"\bNOW\b", code):
        lines.append("local NOW = clock(ARGV[2])")
    return "\n".join([*lines, code]) + "\n"


def _argument(argument: Argument, number: int) -> str:
    local = f"local a_{argument.name}"
    if argument.kind == "int":
        return f"{local} = tonumber(ARGV[{number}])"
    if argument.kind == "list":
        return f"{local} = {{}} for i = {number}, #ARGV do a_{argument.name}[i - {number - 1}] = ARGV[i] end"
    return f"{local} = ARGV[{number}]"
