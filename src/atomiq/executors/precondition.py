"""Before a call: look whether what the job requires is there. If not, the job waits in the schedule for the next look;
looks are counted in the job's record of waits, apart from its attempts and retries."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from types import CoroutineType
from typing import Any

from atomiq._core.errors import PreconditionError, PreconditionNotMet
from atomiq._core.precondition import Requirement, Wait, Waits, error_text
from atomiq._core.timestamp import to_ms
from atomiq.executors import databases
from atomiq.executors.limits import Guard
from atomiq.job import Job
from atomiq.job.current import running


class Look:
    """What one job requires, and what came of looking for it so far."""

    def __init__(self, job: Job) -> None:
        self.requirement = Requirement.read(job.raw[b"requires"])
        self.waits = Waits.read(job.raw.get(b"waits"), job.attempts)
        self._began_ms = to_ms(job.enqueued_at) if job.enqueued_at else 0
        """When its schedule let it go, by the server's clock; this machine's may be another."""

    @property
    def next(self) -> Wait:
        """The wait that follows."""
        return self.waits.log[-1]

    def absent(self, took: float) -> None:
        """It is not there. `took`: seconds of this look.

        Raises:
            PreconditionNotMet: it was looked for often enough.
        """
        waits, delays = self.waits, self.requirement.waits
        waits.absent += 1
        if waits.absent > len(delays):
            raise PreconditionNotMet(f"not there: {self._summary(took)}")
        waits.add(delays[waits.absent - 1])

    def failed(self, error: BaseException, took: float) -> None:
        """The check has raised.

        Raises:
            PreconditionError: it has done so often enough.
        """
        waits, delays = self.waits, self.requirement.errors
        waits.errors += 1
        if waits.errors > len(delays):
            text = f"{error_text(error)} (while looking for: {self._summary(took)})"
            raise PreconditionError(text) from error
        waits.add(delays[waits.errors - 1], error_text(error))

    def _summary(self, took: float) -> str:
        waits = self.waits
        waited = max(0, self._began_ms - waits.since_ms) / 1000 if waits.since_ms else 0.0
        looks = f"{waits.looks} look{'s' if waits.looks > 1 else ''} in {waited + took:.1f} s"
        failed = f", {waits.errors} of them failed" if waits.errors else ""
        return f"{self.requirement.what}; {looks}{failed}"

    def describe(self) -> str:
        """The wait that follows, for the log."""
        waits, requirement = self.waits, self.requirement
        if self.next.error:
            count = f"error {waits.errors} of at most {len(requirement.errors) + 1}: {self.next.error}"
        else:
            count = f"look {waits.absent} of at most {len(requirement.waits) + 1}"
        return f"not there yet: {requirement.what} ({count}); looked for again in {self.next.delay_ms / 1000:g} s"


def look(job: Job, guard: Guard) -> bool:
    """Call the check in this thread."""
    check, args, kwargs = job.required_call()
    with running(job):
        answer = check(*args, **kwargs)
        return bool(guard.run(answer) if type(answer) is CoroutineType else answer)


async def alook(job: Job, pool: Executor | None, guard: Guard) -> bool:
    """Call the check on this loop if it is a coroutine function, otherwise in a thread of the pool: it may wait for a
    database, and Django's refuses to be asked on a loop."""
    check, args, kwargs = job.required_call()
    with running(job):
        if inspect.iscoroutinefunction(check):
            return bool(await check(*args, **kwargs))
        call = functools.partial(guard.call, None, _beside, check, args, kwargs)
        looking = asyncio.get_running_loop().run_in_executor(pool, contextvars.copy_context().run, call)
        looking.add_done_callback(_heard)
        try:
            answer = await looking
        except BaseException as error:
            guard.interrupt(type(error))  # it may go on in its thread
            raise
        return bool(await answer if isinstance(answer, Awaitable) else answer)


def _heard(looking: asyncio.Future[Any]) -> None:
    """Nobody may be left who wants to hear how it ended."""
    if not looking.cancelled():
        looking.exception()


def _beside(check: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The hooks around the job see to the connections of another thread than this."""
    has_connections = "django.db" in sys.modules
    if has_connections:
        databases.around_job()
    try:
        return check(*args, **kwargs)
    finally:
        if has_connections:
            databases.around_job()
