"""Names, parameters and helpers: what code written for RQ finds here."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import redis
import rq
import rq.command
import rq.executions
import rq.group
import rq.intermediate_queue
import rq.registry
import rq.results
import rq.suspension
import rq.utils
import rq.worker_registration
from tests.interop import jobs

from atomiq import command, executions, group, intermediate_queue, registry, results, suspension, utils
from atomiq import worker_registration as registration

CLASSES = [
    (rq.results.Result, results.Result),
    (rq.executions.Execution, executions.Execution),
    (rq.group.Group, group.Group),
    (rq.intermediate_queue.IntermediateQueue, intermediate_queue.IntermediateQueue),
    *((getattr(rq.registry, name), getattr(registry, name)) for name in registry.__all__ if name.endswith("Registry")),
]
LEFT_OUT = {
    # An execution is opened, kept alive and closed by a worker's own steps; its cleanup likewise.
    "Execution": {"create", "save", "delete", "heartbeat"},
    "StartedJobRegistry": {"add_execution", "remove_execution", "remove_executions"},
    "IntermediateQueue": {"cleanup", "set_first_seen"},
}
MODULES = [
    (rq.suspension, suspension, set[str]()),
    # The worker's part: it obeys by its own code.
    (rq.command, command, {f"handle_{name}command" for name in ("", "shutdown_", "kill_worker_", "stop_job_")}),
    (rq.worker_registration, registration, {"register", "unregister"}),
    (rq.utils, utils, set[str]()),
]  # fmt: skip


def named(function: Any) -> list[str]:
    found = getattr(function, "__func__", function)
    return [name for name in inspect.signature(found).parameters if name not in ("self", "cls")]


@pytest.mark.parametrize(("theirs", "ours"), CLASSES, ids=lambda kind: kind.__name__)
def test_methods_and_their_parameters(theirs: type, ours: type) -> None:
    """Every public method of RQ's class, with RQ's parameters first and in order."""
    for name, found in inspect.getmembers(theirs, lambda one: inspect.isfunction(one) or inspect.ismethod(one)):
        if name.startswith("_") or name in LEFT_OUT.get(theirs.__name__, ()):
            continue
        wanted, got = named(found), named(getattr(ours, name))
        assert got[: len(wanted)] == wanted or set(wanted) <= {"args", "kwargs"}, f"{theirs.__name__}.{name}"


@pytest.mark.parametrize(("theirs", "ours", "left_out"), MODULES, ids=lambda part: getattr(part, "__name__", ""))
def test_functions_and_their_parameters(theirs: Any, ours: Any, left_out: set[str]) -> None:
    for name, found in inspect.getmembers(theirs, inspect.isfunction):
        if found.__module__ == theirs.__name__ and not name.startswith("_") and name not in left_out:
            wanted = named(found)
            assert named(getattr(ours, name))[: len(wanted)] == wanted, name
    for name in dir(theirs):
        if name[0].isalpha() and name.isupper() and name != "TYPE_CHECKING":
            assert getattr(ours, name) == getattr(theirs, name), name


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
        ("parse_timeout", ("1h",)),
        ("resolve_function_reference", (jobs.add,)),
        ("resolve_function_reference", ("a.b",)),
        ("safe_json_dumps", ({"a": object()},)),
        ("str_to_date", (b"2026-11-21T01:37:08.574081Z",)),
        ("str_to_date", ("2026-11-21T01:37:08Z",)),
        ("truncate_long_string", ("x" * 9, 5)),
        ("import_attribute", ("tests.interop.jobs.Counter.plus",)),
    ],
)
def test_helpers_say_what_rqs_say(name: str, arguments: tuple[Any, ...]) -> None:
    assert getattr(utils, name)(*arguments) == getattr(rq.utils, name)(*arguments)


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
