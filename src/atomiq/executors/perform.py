"""What happens around a call, in whichever process makes it: time limit, callbacks, exception handlers, result bytes.

Nothing here writes the job's state: it ends in a Report, and the worker settles.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Final, Protocol

from atomiq.executors.coroutine import TaskGuard
from atomiq.executors.drive import GivenUp
from atomiq.executors.fork import Announce
from atomiq.executors.job_forks import end_if_stray
from atomiq.executors.limits import Guard, MainThreadGuard
from atomiq.executors.precondition import alook, look
from atomiq.executors.report import Report
from atomiq.executors.story import ColdStop, ExcInfo, Narrator, exception_text, parts_of
from atomiq.job import Job
from atomiq.job.current import enter_job, leave_job, running

_PERFORM: Final = Job.perform
_EXECUTE: Final = Job._execute  # noqa: SLF001
"""As we have made them: what a subclass, or somebody who patches Job, puts in their place is called."""

Handler = Callable[..., Any]
"""(job, exception type, exception, traceback); a false value other than None ends the chain."""


class Hooks(Protocol):
    """What is to be called around a job; the module `hooks` is one."""

    def start_job(self, job: Job) -> None: ...

    def end_job(self, job: Job, error: BaseException | None) -> None: ...

    async def astart_job(self, job: Job) -> None: ...

    async def aend_job(self, job: Job, error: BaseException | None) -> None: ...


@dataclass(slots=True)
class Performer(Narrator):
    """Makes calls as one worker wants them made. `hooks`: called around a job; None as long as there are none."""

    hooks: Hooks | None = None

    def perform(self, job: Job, announce: Announce, guard: Guard | None = None) -> Report:
        """Run the job's function and what belongs to it, in this thread; what turns out to be a coroutine gets an event
        loop of its own. Raises nothing but ColdStop.

        Args:
            announce: called before each later part with the seconds that it may take.
            guard: limits and interrupts; by default one for the main thread that nobody can interrupt.
        """
        if guard is None:
            guard = MainThreadGuard(self.death_penalty_class)
        guard.begin(job.id)
        hooks = self.hooks
        make_call: Callable[[], Any] = job.perform
        if type(job).perform is _PERFORM and type(job)._execute is _EXECUTE:  # noqa: SLF001  RQ's users override it
            make_call = functools.partial(_perform, job, guard)
        if b"requires" in job.raw:
            begin, end = (None, None) if hooks is None else (hooks.start_job, hooks.end_job)
            story = self.story(job, announce, guard, make_call, end, begin, functools.partial(look, job, guard))
        elif hooks is None:
            story = self.story(job, announce, guard, make_call, None)
        else:
            story = self.story(job, announce, guard, _hooked(job, hooks, make_call), hooks.end_job)
        seconds, function, arguments = next(story)
        home = os.getpid()
        try:
            while True:
                try:
                    answer = guard.call(seconds, _finished, guard, function, arguments)
                except ColdStop:
                    raise
                except BaseException as error:  # noqa: BLE001  the story decides
                    end_if_stray(home, error)
                    seconds, function, arguments = story.throw(error)
                else:
                    end_if_stray(home)
                    seconds, function, arguments = story.send(answer)
        except StopIteration as said:
            return said.value  # type: ignore[no-any-return]
        finally:
            guard.end()

    async def aperform(self, job: Job, announce: Announce, guard: TaskGuard, pool: Executor | None = None) -> Report:
        """`perform` in a task. A coroutine function runs here with all that belongs to it; callbacks, hooks and
        handlers that aren't coroutines hold up the loop. A plain function runs in the pool with all that belongs to it:
        `announce` is called there, too.

        The task is never to be cancelled from outside; `guard.interrupt` ends a job.
        """
        if not is_coroutine_job(job):
            # Not asyncio.to_thread, which has a pool of its own; but the context goes along, as there.
            performing = functools.partial(contextvars.copy_context().run, self.perform, job, announce, guard.aside)
            return await run_in(pool, performing)
        hooks = self.hooks
        guard.begin(job.id)
        end = None if hooks is None else hooks.aend_job
        if b"requires" in job.raw:
            begin = None if hooks is None else hooks.astart_job
            looking = functools.partial(alook, job, pool, guard.aside)
            story = self.story(job, announce, guard, _ahooked(job, None), end, begin, looking)
        else:
            story = self.story(job, announce, guard, _ahooked(job, hooks), end)
        seconds, function, arguments = next(story)
        try:
            while True:
                try:
                    answer = await guard.drive(seconds, _awaited(function, arguments))
                except (ColdStop, GivenUp):
                    raise
                except BaseException as error:  # noqa: BLE001  the story decides
                    seconds, function, arguments = story.throw(error)
                else:
                    seconds, function, arguments = story.send(answer)
        except StopIteration as said:
            return said.value  # type: ignore[no-any-return]


async def run_in(pool: Executor | None, call: Callable[[], Report]) -> Report:
    """Make a call in a thread of the pool. A job that cancels all tasks of the loop doesn't end the thread: we wait."""
    running_call = asyncio.get_running_loop().run_in_executor(pool, call)
    while not running_call.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((running_call,))
    return running_call.result()


def is_coroutine_job(job: Job) -> bool:
    """Whether a job can share an event loop with others: its function is a coroutine function. It is imported."""
    if type(job).perform is not _PERFORM or type(job)._execute is not _EXECUTE:  # noqa: SLF001
        return False
    try:
        function = job.func
    except BaseException:  # noqa: BLE001  the call fails with it again, and then it is recorded
        return False
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _hooked(job: Job, hooks: Hooks, make_call: Callable[[], Any]) -> Callable[[], Any]:
    def start_and_call() -> Any:
        hooks.start_job(job)
        return make_call()

    return start_and_call


def _perform(job: Job, guard: Guard) -> Any:
    """`job.perform()`, with a coroutine that can be interrupted."""
    before = enter_job(job)
    try:
        answer = job.call_function()
        return guard.run(answer) if type(answer) is CoroutineType else answer
    finally:
        leave_job(before)


def _ahooked(job: Job, hooks: Hooks | None) -> Callable[[], Any]:
    async def make_call() -> Any:
        if hooks is not None:
            await hooks.astart_job(job)
        with running(job):
            return await _awaited(job.call_function, ())

    return make_call


def run_handlers(handlers: Sequence[Handler], job: Job, exc_info: ExcInfo, log: logging.Logger) -> None:
    """RQ's chain: in order, until one returns something false that isn't None. A raising handler is logged and passed
    over."""
    for handler in handlers:
        log.debug("Invoking exception handler %s", handler)
        try:
            carry_on = handler(job, *exc_info)
        except Exception:
            log.exception("Job %s: exception handler %r failed", job.id, handler)
            continue
        if carry_on is not None and not carry_on:
            return


def describe_error() -> str:
    """The exception that is being handled, as text that can be stored."""
    error = sys.exc_info()[1]
    assert error is not None
    return exception_text(parts_of(error))


def _finished(guard: Guard, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    answer = function(*arguments)
    return guard.run(answer) if type(answer) is CoroutineType else answer


async def _awaited(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    answer = function(*arguments)
    return await answer if isinstance(answer, Awaitable) else answer
