"""RQ's grammar for the arguments of `enqueue`: `text`, `:json`, `%literal`, `name=text`, `name:=json`, `name%=literal`.

A value that starts with `@` is the content of that file.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

_LITERALS: Final = "See https://docs.python.org/3/library/ast.html#ast.literal_eval"


def parse_arguments(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments.

    Raises:
        click.BadParameter: a value is not what its mark says, or a keyword comes twice.
        click.FileError: a file can't be read.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        keyword, mode, value = split(word)
        name = keyword if keyword is not None else f"{len(args) + 1}. non keyword argument"
        parsed = parse_value(mode, value, name)
        if keyword is None:
            args.append(parsed)
        elif keyword in kwargs:
            raise click.BadParameter("You can't specify multiple values for the same keyword.")
        else:
            kwargs[keyword] = parsed
    return args, kwargs


def split(word: str) -> tuple[str | None, str, str]:
    """Keyword (None for a positional one), mode (`:`, `%` or empty for text) and value of one word."""
    if word[:1] in (":", "%"):
        return None, word[0], word[1:]
    equals = word.find("=")
    if equals <= 0:
        return None, "", word
    for mode in (":", "%"):
        if equals > 1 and word.find(mode) == equals - 1:
            return word[: equals - 1], mode, word[equals + 1 :]
    return word[:equals], "", word[equals + 1 :]


def parse_value(mode: str, value: str, name: str) -> Any:
    """The value that a text stands for."""
    if value.startswith("@"):
        value = content(value[1:])
    if mode == ":":
        try:
            return json.loads(value)
        except ValueError as error:
            raise click.BadParameter(f"Unable to parse {name} as JSON.") from error
    if mode == "%":
        try:
            return ast.literal_eval(value)
        except Exception as error:
            raise click.BadParameter(f"Unable to eval {name} as Python object. {_LITERALS}") from error
    return value


def content(path: str) -> str:
    """A file's text.

    Raises:
        click.FileError: it can't be read.
    """
    if not path:
        raise click.FileError(path, "Not found")
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise click.FileError(path, "Not found") from error
    except (OSError, UnicodeDecodeError) as error:
        raise click.FileError(path, getattr(error, "strerror", None) or str(error)) from error
