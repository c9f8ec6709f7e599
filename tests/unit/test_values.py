"""Retry, Repeat, Callback, Dependency."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest

import atomiq
from atomiq._core.errors import InvalidArguments, InvalidFunction, InvalidName, InvalidOption
from atomiq._core.values import Callback, Dependency, Repeat, Retry, parse_depends_on


class HasId:
    def __init__(self, job_id: str) -> None:
        self.id = job_id


def test_retry() -> None:
    assert (Retry(3).max, Retry(3).intervals, Retry(3).enqueue_at_front) == (3, [0], False)
    assert Retry(max=2, interval=[5, 10]).intervals == [5, 10]
    assert Retry(max=2, interval=(5,)).intervals == [5]
    assert Retry.get_interval(5, [1, 2]) == 2


@pytest.mark.parametrize(("count", "interval"), [(0, 0), (-1, 0), (1, -1), (1, [1, -1]), (1, [])])
def test_retry_values_that_make_no_sense(count: int, interval: Any) -> None:
    with pytest.raises(InvalidOption):
        Retry(count, interval)


@pytest.mark.parametrize(
    ("count", "interval"), [(1, 1.5), (1, "5"), (1, [1.5]), (1.5, 0), ("3", 0), (True, 0), (1, None)]
)
def test_retry_values_of_the_wrong_type(count: Any, interval: Any) -> None:
    with pytest.raises(InvalidArguments) as caught:
        Retry(count, interval)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)


def test_a_returned_retry_is_pickled_under_its_public_name() -> None:
    dumped = pickle.dumps(Retry(2, [1, 2], True))
    assert b"atomiq.job" in dumped
    assert b"_core" not in dumped
    assert pickle.loads(dumped) == Retry(2, [1, 2], True)


def test_repeat() -> None:
    assert (Repeat(3).times, Repeat(3).intervals) == (3, [0])
    assert Repeat(3, [5, 10]).intervals == [5, 10]
    for times, interval in ((0, 0), (1, -1), (1, [])):
        with pytest.raises(ValueError):
            Repeat(times, interval)
    for interval in (1.5, None, "5"):
        with pytest.raises(TypeError):
            Repeat(1, interval)  # type: ignore[arg-type]


def test_callback_names() -> None:
    assert Callback(time.sleep).name == "time.sleep"
    assert Callback("a.b").name == "a.b"
    assert Callback(test_repeat).name == f"{__name__}.test_repeat"


def test_callback_timeouts() -> None:
    assert [Callback("a.b", timeout).timeout for timeout in (None, 0, 5, "1m")] == [60, 60, 5, 60]
    with pytest.raises(ValueError):
        Callback("a.b", "soon")


@pytest.mark.parametrize("func", [5, None, HasId("x").__init__, HasId])
def test_what_can_not_be_a_callback(func: Any) -> None:
    with pytest.raises(InvalidOption, match="must be a string or function"):
        Callback(func)


def test_a_lambda_can_not_be_a_callback() -> None:
    with pytest.raises(InvalidFunction, match="lambda"):
        Callback(lambda job: None)


def test_dependency() -> None:
    job = HasId("j")
    assert Dependency("a").dependencies == ["a"]
    assert Dependency(("a", job)).dependencies == ["a", job]
    with pytest.raises(InvalidOption, match="empty"):
        Dependency([])
    for bad in (5, [5], None):
        with pytest.raises(InvalidOption, match="must contain"):
            Dependency(bad)  # type: ignore[arg-type]


def test_depends_on_in_all_its_forms() -> None:
    job = HasId("j")
    assert parse_depends_on(None).ids == []
    assert parse_depends_on("a").ids == ["a"]
    assert parse_depends_on(job).ids == ["j"]
    assert parse_depends_on([job, "a", "j", Dependency(["b", "a"])]).ids == ["j", "a", "b"]
    assert parse_depends_on(iter(["a", "b"])).ids == ["a", "b"]


def test_flags_are_none_unless_a_dependency_object_was_used() -> None:
    assert parse_depends_on(["a"])[1:3] == (None, None)
    assert parse_depends_on(Dependency("a"))[1:3] == (False, False)
    assert parse_depends_on(["a", Dependency("b", allow_failure=True)])[1:3] == (True, False)


def test_depends_on_that_makes_no_sense() -> None:
    with pytest.raises(InvalidOption, match="depends_on"):
        parse_depends_on(5)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="depends_on"):
        parse_depends_on([object()])  # type: ignore[list-item]
    with pytest.raises(InvalidName):
        parse_depends_on("no id")


def test_the_public_names() -> None:
    assert atomiq.Retry is Retry
    assert repr(Retry(1)) == "Retry(max=1, interval=[0], enqueue_at_front=False)"
    assert repr(Repeat(1)) == "Repeat(times=1, intervals=[0])"
