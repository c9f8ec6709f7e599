"""The guard for jobs on an event loop that they share."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

from atomiq.executors.drive import Drive
from atomiq.executors.limits import ThreadGuard
from atomiq.timeouts import NEVER, JobTimeoutException, over_text


class TaskGuard:
    """For the jobs of one task after the other. All methods are called on the loop's thread, none in a signal handler.

    `aside`: the guard of plain functions, which run in a thread meanwhile.
    """

    def __init__(self) -> None:
        self.aside = ThreadGuard()
        self.interrupted: type[BaseException] | None = None
        self._running: Drive | None = None
        self._seconds = 0.0
        self._deadline = NEVER

    def begin(self, job_id: str) -> None:
        self.interrupted = None

    async def drive(self, seconds: float | None, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine returns. JobTimeoutException is raised in it when it takes longer; None: no limit."""
        self._seconds, self._deadline = seconds or 0.0, NEVER if seconds is None else time.monotonic() + seconds
        drive = self._running = Drive()
        try:
            return await drive.run(coroutine)
        finally:
            self._running, self._deadline = None, NEVER

    def strike(self, now: float) -> float | None:
        """End the call whose time is over. `now`: monotonic seconds. Says the next deadline, None if there is none."""
        drive = self._running
        if drive is None:
            return self.aside.strike(now)
        if self._deadline <= now:
            self._deadline = NEVER
            if drive.waiting is None:
                drive.throw(JobTimeoutException, over_text(self._seconds))
        return None if self._deadline == NEVER else self._deadline

    def interrupt(self, exception: type[BaseException]) -> bool:
        """Raise an exception in the job, wherever it runs. False: nothing runs, and nothing will be raised."""
        if self._running is None:
            return self.aside.interrupt(exception)
        self.interrupted = exception
        self._running.throw(exception)
        return True
