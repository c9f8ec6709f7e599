"""Calls of shared functions replaced by what these do, as far as that is plain text replacement: a call costs the
server little, but a function that exists costs something even if it isn't called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

_EXPRESSION = re.compile(r"local function \w+\(([^)]*)\)\s*return ([^\n]+?)\s*end")
_STATEMENTS = re.compile(r"local function \w+\(([^)]*)\)\n(.+)\nend", re.DOTALL)
_PLAIN = re.compile(r"[\w.]+|'[^']*'")
_SUM = re.compile(r"[\w.]+(?: [-+*] [\w.]+)*|'[^']*'")
_WORD = re.compile(r"\b[A-Za-z_]\w*\b")
_OPENING, _CLOSING = "({[", ")}]"


class Inlined(NamedTuple):
    """A function that can be put in where it is called: its parameters, and an expression or statements."""

    parameters: tuple[str, ...]
    text: str


def expression_of(text: str) -> Inlined | None:
    """A function that only returns one expression; None for any other."""
    found = _EXPRESSION.fullmatch(text)
    if found is None or ", " in _outside(found.group(2)):
        return None
    return Inlined(_names(found.group(1)), found.group(2))


def statements_of(text: str) -> Inlined | None:
    """A function that returns nothing; None for any other."""
    found = _STATEMENTS.fullmatch(text)
    if found is None or re.search(r"\b(return|function)\b", found.group(2)):
        return None
    return Inlined(_names(found.group(1)), found.group(2))


def put_in_expressions(text: str, functions: Mapping[str, Inlined]) -> str:
    """The text with every call of one of `functions` replaced. An argument is repeated as often as the expression
    names it, so a call or the like may stand only where that is once."""
    at = 0
    while (found := _call_of(functions, text, at)) is not None:
        at, name = found.start(), found.group(1)  # nothing before it is left to be replaced
        arguments, end = _arguments(text, found.end())
        values = {}
        for parameter, argument in _paired(name, functions[name], arguments):
            times = len(re.findall(rf"\b{parameter}\b", re.sub("'[^']*'", "", functions[name].text)))
            if times > 1 and not _SUM.fullmatch(argument):
                raise ValueError(f"{name} would evaluate {argument!r} {times} times")
            values[parameter] = argument if _PLAIN.fullmatch(argument) else f"({argument})"
        text = f"{text[: found.start()]}({_filled(functions[name].text, values)}){text[end:]}"
    return text


def put_in_statements(text: str, functions: Mapping[str, Inlined]) -> str:
    """The text with every call of one of `functions` replaced by a block."""
    at = 0
    while (found := _call_of(functions, text, at)) is not None:
        at, name = found.start(), found.group(1)
        arguments, end = _arguments(text, found.end())
        pairs = _paired(name, functions[name], arguments)
        local = f"local {', '.join(p for p, _ in pairs)} = {', '.join(a for _, a in pairs)}" if pairs else ""
        text = f"{text[: found.start()]}do {local}\n{functions[name].text}\nend{text[end:]}"
    return text


def _names(parameters: str) -> tuple[str, ...]:
    return tuple(name for name in parameters.split(", ") if name)


def _call_of(functions: Mapping[str, Inlined], text: str, at: int) -> re.Match[str] | None:
    """The first call of one of them behind `at`."""
    return _calls(tuple(functions)).search(text, at) if functions else None


@lru_cache(64)
def _calls(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, names))})\(")


def _paired(name: str, function: Inlined, arguments: list[str]) -> list[tuple[str, str]]:
    if len(arguments) != len(function.parameters):
        raise ValueError(f"{name} takes {len(function.parameters)} arguments, not {len(arguments)}: {arguments}")
    return list(zip(function.parameters, arguments, strict=True))


def _outside(expression: str) -> str:
    """What stands outside all brackets."""
    depth, kept = 0, []
    for character in expression:
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0:
            kept.append(character)
    return "".join(kept)


def _filled(expression: str, values: Mapping[str, str]) -> str:
    """The expression with its parameters replaced, but not what is quoted."""
    parts = expression.split("'")
    parts[::2] = [_WORD.sub(lambda word: values.get(word.group(), word.group()), part) for part in parts[::2]]
    return "'".join(parts)


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """The arguments of a call whose bracket opens just before `start`, and where it ends."""
    arguments, depth, at, quoted = [], 0, start, False
    for position in range(start, len(text)):
        character = text[position]
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif depth == 0 and character in ",)":
            arguments.append(text[at:position].strip())
            at = position + 1
            if character == ")":
                return [argument for argument in arguments if argument], position + 1
        else:
            depth += (character in _OPENING) - (character in _CLOSING)
    raise ValueError(f"a call that doesn't end: {text[start : start + 60]!r}")
