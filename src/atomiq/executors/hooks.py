"""Calls the hooks (atomiq.hooks) where jobs run, and does by itself what would be everybody's hook: fresh random
numbers after a fork, Django's database connections."""

from __future__ import annotations

import asyncio
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from atomiq._core.log import get_logger
from atomiq.executors import databases
from atomiq.hooks import CHILD_START, CHILD_STOP, JOB_END, JOB_START, hook_name
from atomiq.job import Job
from atomiq.job.current import running

_MODULES: Final = sys.modules
_log: Final = get_logger("worker")


def job_hooks_wanted() -> bool:
    """Whether `start_job` and `end_job` have anything to do."""
    return bool(JOB_START or JOB_END or "django.db" in _MODULES)


# --- the process


def before_fork() -> None:
    """In the supervisor: close what a child must not share with it."""
    databases.before_fork()


def after_fork_in_child() -> None:
    """In a forked child: random numbers of its own. Generators that the application has made are left alone."""
    random.seed()
    numpy_random: ModuleType | None = _MODULES.get("numpy.random")
    reseed = getattr(numpy_random, "seed", None)
    if reseed is not None:
        reseed()


def start_child(inline: bool = False) -> None:
    """Before the first job. `inline`: the process is the worker's own, whose caller may be inside a transaction.

    Raises:
        BaseException: whatever a hook raised, after it was logged: this child can't work.
    """
    databases.start_child(inline)
    for hook in tuple(CHILD_START):
        with _fatal(hook):
            _call(hook)


async def astart_child() -> None:
    """`start_child` on a running loop."""
    await databases.aside(databases.start_child)
    for hook in tuple(CHILD_START):
        with _fatal(hook):
            await _acall(hook)


def stop_child() -> None:
    """After the last job. What a hook raises is logged."""
    for hook in tuple(reversed(CHILD_STOP)):
        with _logged("on_child_stop", hook):
            _call(hook)
    databases.stop_child()


async def astop_child() -> None:
    """`stop_child` on a running loop."""
    for hook in tuple(reversed(CHILD_STOP)):
        with _logged("on_child_stop", hook):
            await _acall(hook)
    await databases.aside(databases.stop_child)


# --- a job


def start_job(job: Job) -> None:
    """Before a job, in the thread that will run it.

    Raises:
        BaseException: whatever a hook raised: the job fails with it. `end_job` is to be called all the same.
    """
    if "django.db" in _MODULES:
        databases.around_job()
    if JOB_START:
        with running(job):
            for hook in tuple(JOB_START):
                _call(hook, job)


async def astart_job(job: Job) -> None:
    """`start_job` for a coroutine, in its task: context variables that a hook sets are there for the job."""
    if "django.db" in _MODULES:
        await databases.aside(databases.around_job)
    if JOB_START:
        with running(job):
            for hook in tuple(JOB_START):
                await _acall(hook, job)


def end_job(job: Job, error: BaseException | None) -> None:
    """After a job, in the thread that ran it and outside of its time limit. What a hook raises is logged."""
    if JOB_END:
        with running(job):
            for hook in tuple(reversed(JOB_END)):
                with _logged("on_job_end", hook, job):
                    _call(hook, job, error)
    if "django.db" in _MODULES:
        databases.around_job()


async def aend_job(job: Job, error: BaseException | None) -> None:
    """`end_job` for a coroutine, in its task."""
    if JOB_END:
        with running(job):
            for hook in tuple(reversed(JOB_END)):
                with _logged("on_job_end", hook, job):
                    await _acall(hook, job, error)
    if "django.db" in _MODULES:
        await databases.aside(databases.around_job)


# --- a hook


def _call(hook: Callable[..., object], *arguments: Any) -> None:
    """Call it; an awaitable gets an event loop of its own."""
    answer = hook(*arguments)
    if inspect.isawaitable(answer):

        async def wait() -> None:
            await answer

        asyncio.run(wait())


async def _acall(hook: Callable[..., object], *arguments: Any) -> None:
    answer = hook(*arguments)
    if inspect.isawaitable(answer):
        await answer


@contextmanager
def _fatal(hook: Callable[..., object]) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit):
        _log.exception("on_child_start hook %s failed: this child can't run jobs", hook_name(hook))
        raise


@contextmanager
def _logged(kind: str, hook: Callable[..., object], job: Job | None = None) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and type(error) is not SystemExit:  # the worker's own wish to stop
            raise
        if job is None:
            _log.exception("%s hook %s failed", kind, hook_name(hook))
        else:
            _log.exception("Job %s: %s hook %s failed", job.id, kind, hook_name(hook))
