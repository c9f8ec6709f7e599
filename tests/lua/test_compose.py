"""Composing scripts: what is put in where it is called, and what is made only when it is asked for."""

from __future__ import annotations

import pytest
from tests.lua.scene import Scene

from atomiq._lua import script
from atomiq._lua.compose import _expressions, _library, _statements
from atomiq._lua.inline import expression_of, put_in_expressions, put_in_statements, statements_of

SUM = "local function sum(a, b)\n  return a + b + a\nend"
KEY = "local function key(id) return P .. 'id:' .. id end"
KEEP = "local function keep(key, ttl)\n  if ttl > 0 then redis.call('EXPIRE', key, ttl) end\nend"


@pytest.mark.parametrize(
    ("code", "becomes"),
    [
        ("x = key(a)", "x = (P .. 'id:' .. a)"),
        ("x = key('a')", "x = (P .. 'id:' .. 'a')"),
        ("x = key(f(a, b[1]) .. ')')", "x = (P .. 'id:' .. (f(a, b[1]) .. ')'))"),
        ("x = key(key(a))", "x = (P .. 'id:' .. ((P .. 'id:' .. a)))"),
        ("x = sum(a, 1)", "x = (a + 1 + a)"),
        ("x = sum(a - 1, b.c)", "x = ((a - 1) + b.c + (a - 1))"),
        ("monkey(a)", "monkey(a)"),
    ],
)
def test_an_expression_is_put_in(code: str, becomes: str) -> None:
    functions = {"key": expression_of(KEY), "sum": expression_of(SUM)}
    assert put_in_expressions(code, {name: one for name, one in functions.items() if one}) == becomes


def test_what_would_be_done_twice_is_refused() -> None:
    function = expression_of(SUM)
    assert function
    with pytest.raises(ValueError, match="2 times"):
        put_in_expressions("x = sum(f(a), 1)", {"sum": function})
    assert put_in_expressions("x = sum(1, f(a))", {"sum": function}) == "x = (1 + (f(a)) + 1)"


@pytest.mark.parametrize("code", ["x = sum(1)", "x = sum(1, 2, 3)", "x = sum(1, 2"])
def test_a_wrong_call_is_found_when_composing(code: str) -> None:
    function = expression_of(SUM)
    assert function
    with pytest.raises(ValueError, match=r"takes 2|doesn't end"):
        put_in_expressions(code, {"sum": function})


def test_statements_are_put_in_as_a_block_of_their_own() -> None:
    function = statements_of(KEEP)
    assert function
    assert put_in_statements("if x then keep(ttl, key) end", {"keep": function}) == (
        "if x then do local key, ttl = ttl, key\n  if ttl > 0 then redis.call('EXPIRE', key, ttl) end\nend end"
    )


@pytest.mark.parametrize(
    "text",
    [
        "local function f(a)\n  if a then return 1 end\n  return 2\nend",
        "local function f(a)\n  local function g() g() end\n  g()\nend",
        "local f",
    ],
)
def test_others_stay_functions(text: str) -> None:
    assert expression_of(text) is None
    assert statements_of(text) is None


def test_several_values_are_no_expression() -> None:
    assert expression_of("local function f(a)\n  return a, 1\nend") is None


def test_a_hot_script_makes_few_functions_on_every_call() -> None:
    """Each costs as much as a command's tenth, whether it is called or not."""
    body = script("settle_and_claim").body
    at_once, asked, later = body.partition("rare = function(name)")
    assert asked
    assert at_once.count("local function ") <= 4
    assert later.count("local function ") > 15


def test_a_rare_function_works_when_it_is_asked_for(scene: Scene) -> None:
    """Each of those that settle_and_claim asks for exists in the composed text, where it asks."""
    body = script("settle_and_claim").body
    for name in ("refused", "use_repeat", "drop", "record", "end_dependants", "again", "fail_job", "nothing"):
        assert f"rare('{name}')" in body
        text = body.replace("local k_wip = KEYS[1]", f"if true then return type(rare('{name}')) end local k_wip", 1)
        assert scene.redis.eval(text, 1, "k", "rq:", "0") == b"function"


def test_nothing_is_both() -> None:
    assert not _expressions().keys() & _statements().keys()
    assert _expressions().keys() | _statements().keys() < _library().keys()
