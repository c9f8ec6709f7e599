"""The asyncio façades have the names and parameters of the synchronous ones; what differs is excused here."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import atomiq
from atomiq import aio, command, executions, group, job, registry, results, suspension

TWINS = [
    (atomiq.Queue, aio.Queue),
    (atomiq.Job, aio.Job),
    (group.Group, aio.Group),
    (results.Result, aio.Result),
    (executions.Execution, aio.Execution),
    (executions.ExecutionRegistry, aio.ExecutionRegistry),
    *(
        (getattr(registry, name), getattr(aio, name))
        for name in registry.__all__
        if isinstance(getattr(registry, name), type)
    ),
]
FUNCTIONS = [
    (getattr(module, name), getattr(aio, name))
    for module, names in (
        (suspension, ("suspend", "resume", "is_suspended")),
        (command, ("send_command", "send_shutdown_command", "send_kill_horse_command", "send_stop_job_command")),
        (job, ("cancel_job", "requeue_job")),
    )
    for name in names
]
ONLY_SYNC = {
    # A job runs, and its callbacks are called, by a worker or in the calling thread.
    "Job": {"execute_success_callback", "execute_failure_callback", "execute_stopped_callback", "transaction"},
    "Queue": {"run_sync", "run_job"}
    # RQ's primitives for loops that are no worker; nothing new should take them up.
    | {"dequeue_any", "lmove", "lpop", "pop_job_id", "push_job_id", "enqueue_dependents", "setup_dependencies"}
    | {"acquire_maintenance_lock", "release_maintenance_lock"}
    | {"intermediate_queue", "scheduler_pid", "get_redis_server_version"},
    # Low-level writing of single members is RQ's habit; nothing new should take it up.
    "Registry": {"add", "remove_jobs", "add_execution", "remove_execution", "remove_executions"},
    "Execution": {"create", "save", "delete", "heartbeat"},
    "Result": {"create", "create_failure", "create_retried", "create_max_retries_exceeded", "save"},
}
ONLY_AIO = {"Registry": {"contains"}}


def excused(table: dict[str, set[str]], kind: type) -> set[str]:
    return set().union(*(names for part, names in table.items() if kind.__name__.endswith(part)))


def public(kind: type) -> dict[str, Any]:
    return {name: inspect.getattr_static(kind, name) for name in dir(kind) if not name.startswith("_")}


def parameters(found: Any) -> list[tuple[str, Any, Any]]:
    """Names, defaults and kinds; a property has none."""
    called = found.__func__ if isinstance(found, classmethod | staticmethod) else found
    if not inspect.isfunction(called):
        return []
    given = list(inspect.signature(called).parameters.values())
    return [(one.name, one.default, one.kind) for one in given if one.name not in ("self", "cls")]


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda kind: kind.__name__)
def test_same_names_and_parameters(sync: type, twin: type) -> None:
    ours, theirs = public(sync), public(twin)
    assert set(ours) - set(theirs) - excused(ONLY_SYNC, sync) == set()
    assert set(theirs) - set(ours) - excused(ONLY_AIO, sync) == set()
    for name in sorted(set(ours) & set(theirs)):
        assert parameters(ours[name]) == parameters(theirs[name]), f"{sync.__name__}.{name}"
        assert isinstance(ours[name], classmethod) == isinstance(theirs[name], classmethod), name


@pytest.mark.parametrize(("sync", "twin"), FUNCTIONS, ids=lambda function: function.__name__)
def test_same_functions(sync: Any, twin: Any) -> None:
    assert parameters(sync) == parameters(twin)


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda kind: kind.__name__)
def test_what_asks_the_server_is_awaited(sync: type, twin: type) -> None:
    """Whatever a twin defines itself and is no property is a coroutine function, unless it needs no server."""
    without_server = {"from_queue_key", "from_hash", "get_queue", "key_of"}
    for name, found in public(twin).items():
        called = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        if inspect.isfunction(called) and called.__module__.startswith("atomiq.aio") and name not in without_server:
            assert inspect.iscoroutinefunction(called), f"{twin.__name__}.{name}"


@pytest.mark.parametrize(("sync", "twin"), TWINS, ids=lambda kind: kind.__name__)
def test_what_a_kind_does_in_its_own_way_its_twin_does_too(sync: type, twin: type) -> None:
    """`cleanup` of running jobs was inherited, and promised what it didn't do."""
    inherited = {name for base in sync.__mro__[1:] for name in vars(base) if not name.startswith("_")}
    mine = {name for name, found in vars(sync).items() if inspect.isfunction(found) and name in inherited}
    assert mine - set(vars(twin)) - excused(ONLY_SYNC, sync) == set()


def test_constructors_take_the_same() -> None:
    for sync, twin in TWINS:
        assert str(inspect.signature(sync)) == str(inspect.signature(twin)), sync.__name__
