"""Functions of yours that workers call where jobs run: around a child's life and around each job.

    @on_child_start
    def open_pool() -> None: ...

    @on_job_end
    def count(job: Job, error: BaseException | None) -> None: ...

Register them in a module that the worker imports before its first job. A hook may be a coroutine function. Hooks of
starts are called in the order of their registration, hooks of ends in the opposite order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from atomiq._core.signature import signature_of
from atomiq.job import Job

ChildHook = Callable[[], object]
"""No argument. What it returns is not looked at, unless it is an awaitable: that is awaited."""
JobStartHook = Callable[[Job], object]
"""The job that is about to run."""
JobEndHook = Callable[[Job, BaseException | None], object]
"""The job that has run, and the exception that it ended with, None if there was none."""

C = TypeVar("C", bound=ChildHook)
S = TypeVar("S", bound=JobStartHook)
E = TypeVar("E", bound=JobEndHook)

CHILD_START: Final[list[ChildHook]] = []
CHILD_STOP: Final[list[ChildHook]] = []
JOB_START: Final[list[JobStartHook]] = []
JOB_END: Final[list[JobEndHook]] = []


def on_child_start(function: C) -> C:
    """Have `function()` called when a child starts, before its first job. If it raises, the child ends.

    Raises:
        TypeError: it isn't callable, or can't be called without arguments.
    """
    _register(CHILD_START, function, "on_child_start")
    return function


def on_child_stop(function: C) -> C:
    """Have `function()` called when a child ends in order, after its last job. If it raises, that is logged.

    Raises:
        TypeError: it isn't callable, or can't be called without arguments.
    """
    _register(CHILD_STOP, function, "on_child_stop")
    return function


def on_job_start(function: S) -> S:
    """Have `function(job)` called before each job. If it raises, the job is not run: it fails with that exception.

    Raises:
        TypeError: it isn't callable, or can't be called with one argument.
    """
    _register(JOB_START, function, "on_job_start", "job")
    return function


def on_job_end(function: E) -> E:
    """Have `function(job, error)` called after each job that was started. `error`: what the job or a hook of its
    start raised, None if it succeeded. If the hook raises, that is logged and changes nothing for the job.

    Raises:
        TypeError: it isn't callable, or can't be called with two arguments.
    """
    _register(JOB_END, function, "on_job_end", "job", "error")
    return function


def remove(function: Callable[..., object]) -> bool:
    """Never call `function` again, whatever it was registered for. False if it wasn't registered."""
    found = False
    tables: tuple[list[Any], ...] = (CHILD_START, CHILD_STOP, JOB_START, JOB_END)
    for table in tables:
        if function in table:
            table.remove(function)
            found = True
    return found


def hook_name(function: Callable[..., object]) -> str:
    """How a hook is called in messages: its dotted name, else what it looks like."""
    name = getattr(function, "__qualname__", None)
    return f"{function.__module__}.{name}" if name else repr(function)


def _register(table: list[Any], function: Any, kind: str, *arguments: str) -> None:
    if not callable(function):
        raise TypeError(f"{kind} takes a function, not {type(function).__name__}: {function!r}")
    try:
        signature_of(function).bind(*arguments)
    except ValueError:  # some built-in functions have no signature; the call will tell
        pass
    except TypeError as error:
        said = ", ".join(arguments)
        raise TypeError(f"{hook_name(function)} is called as f({said}) by {kind}, and can't be: {error}") from error
    if function not in table:
        table.append(function)
