"""Calls of shared functions replaced by what these do, as far as that is plain text replacement: a call costs the
server little, but a function that exists costs something even if it isn't called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

_EXPRESSION = re.compile(r"local function \w+\(([^)]*)\)\s*return ([^\n]+?)\s*end")
_STATEMENTS = re.compile(r"local function \w+\(([^)]*)\)\n(.+)\nend", re.DOTALL)
_PLAIN = re.compile(r"[\w.]+|'[^']*'")
_SUM = re.compile(r"[\w.]+(?: [-+*] [\w.]+)*|'[^']*'")
_WORD = re.compile(r"\b([A-Za-z_]\w*)\b")
_QUOTED = re.compile(r"('[^']*')")
_CALL = re.compile(r"\b([A-Za-z_]\w*+)\(", re.ASCII)
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
    return _put_in(text, functions, lambda name, arguments: f"({_filled(name, functions[name], arguments)})")


def put_in_statements(text: str, functions: Mapping[str, Inlined]) -> str:
    """The text with every call of one of `functions` replaced by a block."""
    return _put_in(text, functions, lambda name, arguments: _block(name, functions[name], arguments))


def _put_in(text: str, functions: Mapping[str, Inlined], made: Callable[[str, list[str]], str]) -> str:
    parts, at = [], 0
    for found in _CALL.finditer(text):
        name = found.group(1)
        if name not in functions or found.start() < at:  # it is an argument of the one before it, and put in there
            continue
        arguments, end = _arguments(text, found.end())
        parts += [text[at : found.start()], _put_in(made(name, arguments), functions, made)]
        at = end
    return "".join([*parts, text[at:]])


def _filled(name: str, function: Inlined, arguments: list[str]) -> str:
    """The expression with its parameters replaced, but not what is quoted."""
    pieces, values = _pieces(function.text), {}
    for parameter, argument in _paired(name, function, arguments):
        times = pieces[1::2].count(parameter)
        if times > 1 and not _SUM.fullmatch(argument):
            raise ValueError(f"{name} would evaluate {argument!r} {times} times")
        values[parameter] = argument if _PLAIN.fullmatch(argument) else f"({argument})"
    return "".join([values.get(piece, piece) if at % 2 else piece for at, piece in enumerate(pieces)])


def _block(name: str, function: Inlined, arguments: list[str]) -> str:
    pairs = _paired(name, function, arguments)
    local = f"local {', '.join(p for p, _ in pairs)} = {', '.join(a for _, a in pairs)}" if pairs else ""
    return f"do {local}\n{function.text}\nend"


def _names(parameters: str) -> tuple[str, ...]:
    return tuple(name for name in parameters.split(", ") if name)


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


@cache
def _pieces(expression: str) -> list[str]:
    """The expression cut into what stays as it is and, at every second place, the words that may be parameters: those
    outside of quotes."""
    pieces = [""]
    for at, part in enumerate(_QUOTED.split(expression)):
        first, *rest = [part] if at % 2 else _WORD.split(part)
        pieces[-1] += first
        pieces += rest
    return pieces


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
