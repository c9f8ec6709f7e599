"""RQ's argument grammar of `enqueue`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from atomiq.cli.arguments import parse_arguments


@pytest.mark.parametrize(
    ("word", "args", "kwargs"),
    [
        ("abc", ["abc"], {}),
        ("5", ["5"], {}),
        ("k=abc", [], {"k": "abc"}),
        ("k=a=b", [], {"k": "a=b"}),
        ('k={"a": 1}', [], {"k": '{"a": 1}'}),
        (':{"a": 1}', [{"a": 1}], {}),
        ("k:=3", [], {"k": 3}),
        ("%5", [5], {}),
        ("%(1, 2)", [(1, 2)], {}),
        ("%None", [None], {}),
        ("k%=7", [], {"k": 7}),
        ("=a", ["=a"], {}),
        ("k:x=1", [], {"k:x": "1"}),
        ("a:b=c:=1", [], {"a:b": "c:=1"}),
        ("", [""], {}),
        ("k=", [], {"k": ""}),
    ],
)
def test_grammar(word: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    assert parse_arguments([word]) == (args, kwargs)


@pytest.mark.parametrize(
    ("word", "content", "expected"),
    [
        ("@{}", "text\n", (["text\n"], {})),
        ("k=@{}", "text", ([], {"k": "text"})),
        (":@{}", "[1]", ([[1]], {})),
        ("k:=@{}", "[1]", ([], {"k": [1]})),
        ("%@{}", "(1,)", ([(1,)], {})),
        ("k%=@{}", "(1,)", ([], {"k": (1,)})),
    ],
)
def test_a_file_takes_the_place_of_the_value(word: str, content: str, expected: Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(content)
    assert parse_arguments([word.format(tmp_path / "f")]) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", ":}"], "Unable to parse 2. non keyword argument as JSON."),
        (["k:=}"], "Unable to parse k as JSON."),
        (["%("], "Unable to eval 1. non keyword argument as Python object. See https://docs.python.org"),
        (["k%=os.getpid()"], "Unable to eval k as Python object."),
        (["k=1", "k=2"], "You can't specify multiple values for the same keyword."),
    ],
)
def test_refusals(words: list[str], message: str) -> None:
    with pytest.raises(click.BadParameter) as refusal:
        parse_arguments(words)
    assert message in refusal.value.format_message()


def test_a_missing_file() -> None:
    with pytest.raises(click.FileError) as refusal:
        parse_arguments(["@missing"])
    assert refusal.value.format_message() == "Could not open file 'missing': Not found"
