"""A coroutine that can be interrupted: it gets JobTimeoutException, or whatever is to be raised in it, at the `await`
where it waits.

Only a cancellation wakes a task that waits. What asyncio throws in then is replaced on its way to the coroutine by an
exception that is both: the one wanted, which the job may catch by its name, and a CancelledError, on which task groups,
timeouts, locks and whoever else cleans up behind an `await` rely.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import types
from collections.abc import Coroutine, Generator
from typing import Any

from atomiq.executors.job_forks import end_if_stray


class GivenUp(GeneratorExit):
    """The task is closed from outside: nobody is there any more whom its end could be told. A GeneratorExit that the
    coroutine raises by itself is an exception like any other."""


class Drive:
    """A coroutine under way in the present task. `waiting`: what is to be raised in it when the task comes to it next;
    `thrown`: what has been raised."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiting: BaseException | None = None
        self.thrown: list[BaseException] = []
        self._process = os.getpid()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._over = False

    async def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine returns. A cancellation of the task that the coroutine asked for itself ends with it. A
        fork that comes back from it ends here: since Python 3.14 the loop isn't the fork's, and what it raises to the
        loop would be lost."""
        cancellations = self._task.cancelling()
        try:
            answer = await _forward(self, coroutine)
        except BaseException as error:  # noqa: BLE001  it is raised again, without its second nature
            end_if_stray(self._process, error)
            plain = self._plain(error)
        else:
            end_if_stray(self._process)
            return answer
        finally:
            self._over = True
            if self._task.cancelling() > cancellations:
                await _absorb(self._task, cancellations)
        try:
            raise plain
        finally:
            del plain  # its traceback refers to this frame

    def throw(self, exception: type[BaseException], *args: Any) -> None:
        """Raise it in the coroutine. To be called on the loop's thread, but not by the coroutine."""
        if self._over:
            return
        if self.waiting is None:
            self._task.cancel()
        self.waiting = _both(exception)(*args)

    def throw_soon(self, exception: type[BaseException], *args: Any) -> bool:
        """`throw` for any thread and for signal handlers. False: there's no loop any more."""
        try:
            self.loop.call_soon_threadsafe(self.throw, exception, *args)
        except RuntimeError:
            return False
        return True

    def taken(self) -> BaseException | None:
        """What is to be raised now; the cancellation has done its service."""
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            self._task.uncancel()
            self.thrown.append(waiting)
        return waiting

    def _plain(self, error: BaseException) -> BaseException:
        """The exception as it would be without asyncio; a task group may have wrapped it."""
        found = error
        while isinstance(found, BaseExceptionGroup) and len(found.exceptions) == 1:
            found = found.exceptions[0]
        if not any(found is thrown for thrown in self.thrown):
            return error
        pure: BaseException = type(found).__bases__[0](*found.args)
        pure.__cause__, pure.__context__ = found.__cause__, found.__context__
        pure.__suppress_context__ = True
        return pure.with_traceback(error.__traceback__)


@types.coroutine
def _forward(drive: Drive, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """`await coroutine`, but for what is thrown in."""
    error: BaseException | None = None
    while True:
        try:
            awaited = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as end:
            return end.value
        try:
            yield awaited
        except GeneratorExit:
            coroutine.close()
            raise GivenUp from None
        except BaseException as thrown:  # noqa: BLE001  it goes on to the coroutine
            error = drive.taken() or thrown
        else:
            error = drive.taken()


def _both(exception: type[BaseException]) -> type[BaseException]:
    """A class that is this exception and a CancelledError, and looks like the former."""
    body = {"__module__": exception.__module__, "__qualname__": exception.__qualname__}
    return type(exception.__name__, (exception, asyncio.CancelledError), body)


async def _absorb(task: asyncio.Task[Any], before: int) -> None:
    """Forget cancellations that the job has asked for and that were not raised yet."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    while task.cancelling() > before:
        task.uncancel()
