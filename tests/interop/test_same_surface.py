"""Names, parameters and helpers: what code written for RQ finds here."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest
import redis
import rq
import rq.command
import rq.executions
import rq.group
import rq.intermediate_queue
import rq.local
import rq.maintenance
import rq.registry
import rq.results
import rq.serializers
import rq.suspension
import rq.timeouts
import rq.utils
import rq.worker_registration
from tests.interop import jobs

from atomiq import executions, group, intermediate_queue, local, registry, results, timeouts, utils
from atomiq import worker_registration as registration

CLASSES = [
    (rq.results.Result, results.Result),
    (rq.executions.Execution, executions.Execution),
    (rq.group.Group, group.Group),
    (rq.executions.ExecutionRegistry, executions.ExecutionRegistry),
    (rq.intermediate_queue.IntermediateQueue, intermediate_queue.IntermediateQueue),
    *(
        (getattr(rq.local, name), getattr(local, name))
        for name in ("Local", "LocalManager", "LocalProxy", "LocalStack")
    ),
    *(
        (getattr(rq.timeouts, name), getattr(timeouts, name))
        for name in ("BaseDeathPenalty", "UnixSignalDeathPenalty", "TimerDeathPenalty")
    ),
    *((getattr(rq.registry, name), getattr(registry, name)) for name in registry.__all__ if name.endswith("Registry")),
]
MODULES = [
    (import_module(f"rq.{name}"), import_module(f"atomiq.{name}"))
    for name in (
        "command",
        "connections",
        "executions",
        "intermediate_queue",
        "local",
        "maintenance",
        "registry",
        "serializers",
        "suspension",
        "timeouts",
        "utils",
        "worker_registration",
    )
]


def named(function: Any) -> list[str]:
    found = getattr(function, "__func__", function)
    return [name for name in inspect.signature(found).parameters if name not in ("self", "cls")]


@pytest.mark.parametrize(("theirs", "ours"), CLASSES, ids=lambda kind: kind.__name__)
def test_methods_and_their_parameters(theirs: type, ours: type) -> None:
    """Every public method of RQ's class, with RQ's parameters first and in order."""
    for name, found in inspect.getmembers(theirs, lambda one: inspect.isfunction(one) or inspect.ismethod(one)):
        if name.startswith("_") and name != "__init__":
            continue
        wanted, got = named(found), named(getattr(ours, name))
        assert got[: len(wanted)] == wanted or set(wanted) <= {"args", "kwargs"}, f"{theirs.__name__}.{name}"


@pytest.mark.parametrize(("theirs", "ours"), MODULES, ids=lambda part: getattr(part, "__name__", ""))
def test_functions_and_their_parameters(theirs: Any, ours: Any) -> None:
    for name, found in inspect.getmembers(theirs, inspect.isfunction):
        if found.__module__ == theirs.__name__ and not name.startswith("_"):
            wanted = named(found)
            assert named(getattr(ours, name))[: len(wanted)] == wanted, name
    for name in dir(theirs):
        if name[0].isalpha() and name.isupper() and name != "TYPE_CHECKING":
            wanted, got = getattr(theirs, name), getattr(ours, name)
            assert (list(got) == list(wanted)) if isinstance(wanted, dict) else (got == wanted), name


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("as_text", (b"x",)),
        ("ceildiv", (7, 2)),
        ("compact", ([0, None, 1],)),
        ("decode_redis_hash", ({b"a": b"b"},)),
        ("ensure_job_list", ("a",)),
        ("ensure_job_list", (["a", "b"],)),
        ("get_call_string", ("f", (1, "x" * 99), {"b": 1, "a": 2})),
        ("is_nonstring_iterable", ("a",)),
        ("normalize_config_path", ("a/b.py",)),
        ("normalize_config_path", ("a.b",)),
        ("normalize_config_path", ("/a/b.py",)),
        ("parse_composite_key", ("a:b",)),
        ("parse_names", (["a", "b"],)),
        ("parse_composite_key", ("a",)),
        ("parse_names", ([5],)),
        ("parse_timeout", (None,)),
        ("parse_timeout", (True,)),
        ("parse_timeout", (1.9,)),
        ("parse_timeout", ("1h",)),
        ("parse_timeout", ("5 M",)),
        ("parse_timeout", ("-5",)),
        ("resolve_function_reference", (jobs.add,)),
        ("resolve_function_reference", ("a.b",)),
        ("safe_json_dumps", ({"a": object()},)),
        ("str_to_date", (b"2026-11-21T01:37:08.574081Z",)),
        ("str_to_date", ("2026-11-21T01:37:08Z",)),
        ("truncate_long_string", ("x" * 9, 5)),
        ("truncate_long_string", ("x", 0)),
        ("utcparse", ("2026-01-02T03:04:05.5Z",)),
        ("get_call_string", ("f", (1, "x" * 99), {"b": 1}, 10)),
        ("import_attribute", ("tests.interop.jobs.Counter.plus",)),
    ],
)
@pytest.mark.filterwarnings("ignore:Composite key:DeprecationWarning")
def test_helpers_say_what_rqs_say(name: str, arguments: tuple[Any, ...]) -> None:
    assert getattr(utils, name)(*arguments) == getattr(rq.utils, name)(*arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("as_text", (None,)),
        ("import_attribute", ("nope.x",)),
        ("import_attribute", ("os.nope",)),
        ("import_job_class", ("collections.OrderedDict",)),
        ("parse_composite_key", ("a:b:c",)),
        ("parse_timeout", ([],)),
        ("resolve_function_reference", (5,)),
        ("resolve_function_reference", (int,)),
        ("split_list", ([1], 0)),
        ("str_to_date", (b"",)),
        ("utcparse", ("x",)),
        ("validate_absolute_path", ("/",)),
        ("validate_absolute_path", ("/nothing/here",)),
    ],
)
def test_helpers_refuse_what_rqs_refuse(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(Exception) as theirs:
        list(getattr(rq.utils, name)(*arguments))
    with pytest.raises(theirs.type):
        list(getattr(utils, name)(*arguments))


@pytest.mark.parametrize("text", ["1.5", "", "h", "1w"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(rq.utils.TimeoutFormatError):
        rq.utils.parse_timeout(text)
    with pytest.raises(utils.TimeoutFormatError):
        utils.parse_timeout(text)


def test_helpers_with_a_server(redis_connection: redis.Redis) -> None:
    assert utils.get_version(redis_connection) == rq.utils.get_version(redis_connection)
    assert utils.get_platform().name == rq.utils.get_platform().name
    assert list(utils.split_list([1, 2, 3], 2)) == list(rq.utils.split_list([1, 2, 3], 2))
    assert utils.import_job_class("atomiq.Job").__name__ == "Job"
    with pytest.raises(ValueError, match="not a Job class"):
        utils.import_job_class("atomiq.Queue")
    with pytest.raises(ValueError, match="required"):
        registration.get_keys()


def test_the_intermediate_list_of_rqs_workers_is_readable(redis_connection: redis.Redis) -> None:
    redis_connection.rpush("rq:queue:a:intermediate", "stuck")
    theirs = rq.intermediate_queue.IntermediateQueue("rq:queue:a", redis_connection)
    ours = intermediate_queue.IntermediateQueue("rq:queue:a", redis_connection)
    assert ours.key == theirs.key
    assert ours.get_job_ids() == ["stuck"]
    assert ours.get_first_seen("stuck") is None
    theirs.set_first_seen("stuck")
    assert ours.get_first_seen("stuck") == theirs.get_first_seen("stuck")
    assert not ours.should_be_cleaned_up("stuck")
    ours.remove("stuck")
    assert theirs.get_job_ids() == []
