"""The keywords of enqueue."""

from __future__ import annotations

from typing import Any

import pytest

from atomiq._core.errors import InvalidArguments, InvalidName, InvalidOption, InvalidTime, TimeoutFormatError
from atomiq._core.options import RESERVED, check_options, check_unique, meant_option, parse_enqueue
from atomiq._core.values import Callback, EnqueueArgs, Repeat, Retry


def task(a: int = 0, timeouts: int = 0) -> None: ...
def open_task(**kwargs: Any) -> None: ...


def test_plain_arguments() -> None:
    parsed = parse_enqueue(task, (1,), {"timeouts": 2})
    assert (parsed.func, parsed.args, parsed.kwargs) == (task, (1,), {"timeouts": 2})
    assert parsed.timeout is None
    assert parsed.at_front is False
    assert parsed.unique is False


def test_every_reserved_keyword_is_taken_out() -> None:
    given = {name: None for name in RESERVED if name not in ("args", "kwargs")}
    parsed = parse_enqueue(task, (), {**given, "a": 1, "job_timeout": 5})
    assert parsed.kwargs == {"a": 1}
    assert parsed.timeout == 5


def test_rq_order_of_fields() -> None:
    assert EnqueueArgs._fields == (
        "func", "timeout", "description", "result_ttl", "ttl", "failure_ttl", "depends_on", "job_id", "at_front",
        "meta", "retry", "repeat", "on_success", "on_failure", "on_stopped", "pipeline", "unique", "args", "kwargs",
        "webhooks",
    )  # fmt: skip


def test_explicit_arguments() -> None:
    parsed = parse_enqueue(task, (), {"args": [1], "kwargs": {"job_timeout": 5}, "ttl": 7})
    assert (parsed.args, parsed.kwargs, parsed.ttl) == ((1,), {"job_timeout": 5}, 7)
    assert parse_enqueue(task, (), {"args": None}).args == ()
    with pytest.raises(InvalidArguments):
        parse_enqueue(task, (1,), {"args": (2,)})
    with pytest.raises(InvalidOption, match="did you mean job_timeout"):
        parse_enqueue(task, (), {"args": (2,), "timeout": 5})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("job_timout", "job_timeout"), ("timeout", "job_timeout"), ("jobid", "job_id"), ("dependson", "depends_on"),
     ("resultttl", "result_ttl"), ("retries", "retry"), ("on_sucess", "on_success"), ("at_frnt", "at_front")],
)  # fmt: skip
def test_misspelt_options(wrong: str, right: str) -> None:
    assert meant_option(wrong) == right
    with pytest.raises(InvalidOption, match=f"did you mean {right}"):
        parse_enqueue(task, (), {wrong: 1})


@pytest.mark.parametrize("name", ["executor", "abandoned"])
def test_options_that_are_given_elsewhere(name: str) -> None:
    """`enqueue(f, executor="thread")` was told that f has no such argument, and not who has."""
    with pytest.raises(InvalidOption, match="give it to the Queue, to @job, or to create_job"):
        parse_enqueue(task, (), {name: "x"})
    assert parse_enqueue(open_task, (), {name: "x"}).kwargs == {name: "x"}


def test_a_keyword_that_the_function_takes_is_never_a_misspelling() -> None:
    assert parse_enqueue(task, (), {"timeouts": 1}).kwargs == {"timeouts": 1}
    assert parse_enqueue(open_task, (), {"job_timout": 1}).kwargs == {"job_timout": 1}
    assert parse_enqueue("tasks.unknown", (), {"job_timout": 1}).kwargs == {"job_timout": 1}


def test_a_keyword_unlike_any_option_is_left_to_the_check_of_the_call() -> None:
    assert parse_enqueue(task, (), {"colour": 1}).kwargs == {"colour": 1}


def test_a_bare_callback_still_works_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="on_success"):
        parsed = parse_enqueue(task, (), {"on_success": task})
    assert isinstance(parsed.on_success, Callback)
    assert parsed.on_success.timeout == 60


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": 0}, InvalidTime),
        ({"timeout": "soon"}, TimeoutFormatError),
        ({"ttl": -1}, InvalidTime),
        ({"ttl": 0}, InvalidTime),
        ({"result_ttl": -2}, InvalidTime),
        ({"failure_ttl": "x"}, TimeoutFormatError),
        ({"job_id": "a b"}, InvalidName),
        ({"job_id": ""}, InvalidName),
        ({"job_id": 5}, TypeError),
        ({"retry": 3}, InvalidOption),
        ({"repeat": Retry(1)}, InvalidOption),
        ({"meta": [1]}, InvalidOption),
        ({"depends_on": 5}, InvalidOption),
        ({"on_failure": 5}, InvalidOption),
        ({"webhooks": "http://x"}, TypeError),
        ({"webhooks": [5]}, TypeError),
        ({"abandoned": "explode"}, InvalidOption),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_options_that_make_no_sense(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        check_options(options)


def test_options_that_are_fine() -> None:
    checked = check_options(
        {"timeout": "1h", "ttl": 5, "result_ttl": -1, "failure_ttl": 0, "repeat": Repeat(2), "meta": {}}
    )
    assert (checked.timeout, checked.ttl, checked.result_ttl, checked.failure_ttl) == (3600, 5, -1, 0)
    assert checked.meta == {}
    assert check_options({"timeout": None}).timeout is None


def test_unique() -> None:
    check_unique(True, "a", None)
    check_unique(False, None, "x")
    with pytest.raises(InvalidOption, match="job_id"):
        check_unique(True, None, None)
    with pytest.raises(InvalidOption, match="depends_on"):
        check_unique(True, "a", "b")
