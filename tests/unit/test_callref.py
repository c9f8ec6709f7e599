"""Functions by name, and whether a call fits its function."""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
import time
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomiq._core.callref import accepts_keyword, call_string, check_call, import_attribute, parameters_of, reference
from atomiq._core.errors import InvalidArguments, InvalidFunction


def plain(a: int, b: int = 2, *, c: int = 3) -> None: ...
def required_keyword(a: int, *, c: int) -> None: ...
def positional_only(a: int, b: int = 2, /, **rest: int) -> None: ...
def anything(*args: int, **kwargs: int) -> None: ...
def nothing() -> None: ...
async def coroutine(a: int) -> None: ...


class Greeter:
    def greet(self, name: str) -> str:
        return f"hello {name}"

    @classmethod
    def make(cls, count: int) -> None: ...

    @staticmethod
    def static(count: int) -> None: ...

    def __call__(self, name: str) -> None: ...


FUNCTIONS = [plain, required_keyword, positional_only, anything, nothing, coroutine, Greeter().greet, Greeter.make,
             Greeter.static, Greeter(), functools.partial(plain, 1)]  # fmt: skip


def test_plain_functions_and_builtins() -> None:
    assert reference(plain).name == f"{__name__}.plain"
    assert reference(coroutine).name == f"{__name__}.coroutine"
    assert reference(Greeter.static).name == f"{__name__}.Greeter.static"
    assert reference(time.sleep).name == "time.sleep"
    assert reference("a.b.c").name == "a.b.c"


def test_methods_are_stored_with_their_instance() -> None:
    greeter = Greeter()
    assert (reference(greeter.greet).name, reference(greeter.greet).instance) == ("greet", greeter)
    assert (reference(Greeter.make).name, reference(Greeter.make).instance) == ("make", Greeter)
    assert (reference(greeter).name, reference(greeter).instance) == ("__call__", greeter)
    assert (reference("abc".upper).name, reference("abc".upper).instance) == ("upper", "abc")


def test_what_a_worker_could_not_import() -> None:
    def nested() -> None: ...

    class Nested:
        def method(self) -> None: ...

    for func, reason in [
        (lambda: None, "lambda"),
        (nested, "nested"),
        (Nested().method, "nested"),
        ("not a name", "dotted"),
        ("", "dotted"),
        ("a..b", "dotted"),
    ]:
        with pytest.raises(InvalidFunction, match=reason):
            reference(func)


def test_functions_of_main(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> None: ...

    made.__qualname__ = "made"
    made.__module__ = "__main__"
    with pytest.raises(InvalidFunction, match="__main__"):
        reference(made)
    monkeypatch.setattr(Greeter, "__module__", "__main__")
    with pytest.raises(InvalidFunction, match="__main__"):
        reference(Greeter().greet)


def test_a_function_that_its_module_does_not_have() -> None:
    def gone() -> None: ...

    gone.__qualname__ = "gone"
    with pytest.raises(InvalidFunction, match="nothing of that name"):
        reference(gone)


@pytest.mark.parametrize("func", [Greeter, int, 5, None, [], b"a.b"])
def test_what_is_no_function(func: Any) -> None:
    with pytest.raises(TypeError):
        reference(func)


def test_importing() -> None:
    assert import_attribute("os.path.join") is os.path.join
    assert import_attribute(f"{__name__}.Greeter.static") is Greeter.static
    assert import_attribute("len") is len
    for bad in ("os.nothing", "no_such_module.f", "os.path.join.nothing.more", "nothing", "json.decoder.x"):
        with pytest.raises(InvalidFunction, match="Invalid attribute name"):
            import_attribute(bad)


def test_a_module_that_is_not_there_says_what_to_do() -> None:
    """A worker that was started in another folder than the functions' said no more than "no module named 'shop'"."""
    with pytest.raises(InvalidFunction, match=r"no module named 'no_such_module' on sys\.path; start where it is, or"):
        import_attribute("no_such_module.f")


def test_a_module_that_fails_to_import_says_why(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_one.py").write_text("import a_module_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidFunction, match="a_module_that_is_missing"):
        import_attribute("broken_one.f")


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=4).map(tuple),
    st.dictionaries(st.sampled_from("abcdx"), st.integers(), max_size=4),
)
def test_the_check_agrees_with_python(func: Any, args: tuple[int, ...], kwargs: dict[str, int]) -> None:
    try:
        result = func(*args, **kwargs)
        if inspect.iscoroutine(result):
            result.close()
        fits = True
    except TypeError:
        fits = False
    if fits:
        check_call(func, args, kwargs)
    else:
        with pytest.raises(InvalidArguments):
            check_call(func, args, kwargs)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated when a function is defined")
def test_annotations_that_only_type_checkers_understand() -> None:
    """From Python 3.14 on such a function can be defined without `from __future__ import annotations`, and
    `inspect.signature` of it raises NameError. So did `queue.enqueue`."""
    space: dict[str, Any] = {}
    exec(compile("def add(a: Decimal, b: Decimal = 1): ...", "added.py", "exec", dont_inherit=True), space)
    add = space["add"]
    check_call(add, (1,), {})
    assert accepts_keyword(add, "b")
    assert not accepts_keyword(add, "c")
    with pytest.raises(InvalidArguments, match=r"add\(a: .*Decimal.*\) can't be called"):
        check_call(add, (), {})


def test_the_error_names_function_and_problem() -> None:
    with pytest.raises(InvalidArguments, match=r"plain\(a.*missing a required argument: 'a'") as caught:
        check_call(plain, (), {})
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)


def test_what_can_not_be_known_is_accepted() -> None:
    check_call("a.b", (1, 2, 3), {"x": 1})
    check_call(Mock(), (1, 2), {"x": 1})
    assert parameters_of("a.b") is None
    for builtin in (print, dict.fromkeys, getattr, json.dumps):
        check_call(builtin, ("a", "b"), {}) if builtin is not json.dumps else check_call(builtin, ("a",), {})


def test_the_call_as_text() -> None:
    assert call_string("f", (1, "a"), {"z": 1, "b": None}) == "f(1, 'a', b=None, z=1)"
    assert call_string("f", ("x" * 80,), {}) == f"f('{'x' * 74}...)"
    assert call_string(None, (), {}) is None


@given(st.one_of(st.lists(st.integers()), st.binary(), st.dictionaries(st.integers(), st.integers()), st.tuples()))
def test_a_long_argument_is_cut_as_its_repr_would_be(value: Any) -> None:
    text = repr(value)
    assert call_string("f", (value,), {}) == f"f({text if len(text) <= 75 else text[:75] + '...'})"


def test_a_huge_argument_and_a_broken_repr() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    huge = list(range(10**6))
    began = time.process_time()
    for _ in range(100):
        call_string("f", (huge,), {})
    assert time.process_time() - began < 1
    assert "repr failed" in (call_string("f", (Broken(),), {}) or "")
