"""Registering hooks: what is taken, once each, and what is refused at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from atomiq import hooks

TABLES = {
    hooks.on_child_start: hooks.CHILD_START,
    hooks.on_child_stop: hooks.CHILD_STOP,
    hooks.on_job_start: hooks.JOB_START,
    hooks.on_job_end: hooks.JOB_END,
}
ALL = pytest.mark.parametrize(("register", "table"), TABLES.items(), ids=lambda one: getattr(one, "__name__", ""))


@pytest.fixture(autouse=True)
def nobody_elses() -> Iterator[None]:
    before = [list(table) for table in TABLES.values()]
    for table in TABLES.values():
        table.clear()  # type: ignore[attr-defined]
    yield
    for table, content in zip(TABLES.values(), before, strict=True):
        table[:] = content  # type: ignore[index]


def anything(*_arguments: Any) -> None:
    pass


async def anything_later(*_arguments: Any) -> None:
    pass


class Counter:
    def __call__(self, *_arguments: Any) -> None:
        pass

    def method(self, *_arguments: Any) -> None:
        pass


@ALL
@pytest.mark.parametrize(
    "function", [anything, anything_later, Counter(), Counter().method, partial(anything, 1), print]
)
def test_whatever_can_be_called(register: Callable[..., Any], table: list[Any], function: Any) -> None:
    assert register(function) is function
    assert table == [function]
    assert sum(len(other) for other in TABLES.values()) == 1  # type: ignore[arg-type]


@ALL
def test_twice_is_once_and_the_order_is_kept(register: Callable[..., Any], table: list[Any]) -> None:
    counter = Counter()
    for function in (anything, counter.method, anything, counter.method):
        register(function)
    assert table == [anything, counter.method]


@ALL
def test_as_a_decorator(register: Callable[..., Any], table: list[Any]) -> None:
    @register
    def mine(*_arguments: Any) -> str:
        return "called"

    assert mine() == "called"
    assert table == [mine]


@ALL
def test_remove(register: Callable[..., Any], table: list[Any]) -> None:
    register(anything)
    register(anything_later)
    assert hooks.remove(anything)
    assert table == [anything_later]
    assert not hooks.remove(anything)


def test_remove_takes_it_from_everywhere() -> None:
    for register in TABLES:
        register(anything)  # type: ignore[operator]
    hooks.remove(anything)
    assert not any(TABLES.values())


@ALL
def test_what_is_no_function(register: Callable[..., Any], table: list[Any]) -> None:
    with pytest.raises(TypeError, match=r"on_\w+ takes a function, not str: 'shop.hook'"):
        register("shop.hook")
    assert table == []


@pytest.mark.parametrize(
    ("register", "function", "said"),
    [
        (hooks.on_child_start, lambda job: None, "missing a required argument: 'job'"),
        (hooks.on_child_stop, lambda job: None, "missing a required argument: 'job'"),
        (hooks.on_job_start, lambda: None, "too many positional arguments"),
        (hooks.on_job_end, lambda job: None, r"is called as f\(job, error\) by on_job_end"),
    ],
)
def test_wrong_parameters_are_refused_before_any_job_runs(
    register: Callable[..., Any], function: Any, said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        register(function)
    assert not any(TABLES.values())


def test_names() -> None:
    assert hooks.hook_name(anything) == f"{__name__}.anything"
    assert hooks.hook_name(Counter().method) == f"{__name__}.Counter.method"
    assert hooks.hook_name(partial(anything, 1)).startswith("functools.partial(")
