"""Sending webhooks, once a job's end is stored: never in the way of the next job, and whatever becomes of them changes
nothing. Each is sent once; what has not been sent when its process is killed is not made up for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settled, Settlement
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import from_ms
from atomiq.job import Job

MOST_THREADS: Final = 4
MOST_WAITING: Final = 1000
"""Jobs whose webhooks wait in one process; of more, which only a dead or slow receiver can cause, none are sent."""
LAST_SENT: Final = 15.0
"""Seconds. A process that ends waits at most so long for what it has not sent yet."""

_SEND: Final = Job.send_webhooks
"""As we have made it."""

Restore = Callable[[Claimed], Job]
"""The job object of a claimed job."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A job's end of which its webhooks are to tell."""

    claimed: Claimed
    status: JobStatus
    started_ms: int
    ended_ms: int
    exc_string: str | None = None


class Notifier(Protocol):
    """Sends the webhooks of jobs that one process settles. `always`: the job class sends them in its own way, so it is
    asked for jobs without any, too."""

    always: bool

    def ended(self, claimed: Claimed, end: Settlement, settled: Settled) -> None:
        """A settlement was answered."""


def notice_of(claimed: Claimed, end: Settlement, settled: Settled) -> Notice | None:
    """What there is to tell: of each successful run, and of a failure that is final; not of a stopped job (RQ)."""
    if settled.word not in ("ok", "already"):
        return None
    if end.outcome == "finished":
        return Notice(claimed, JobStatus.FINISHED, end.started_ms, end.ended_ms)
    if end.outcome == "stopped" or settled.status not in ("failed", "gone"):
        return None
    return Notice(claimed, JobStatus.FAILED, end.started_ms, end.ended_ms, end.exc_string)


def deliver(restore: Restore, notice: Notice, log: logging.Logger) -> None:
    """Send what one job's end calls for, here and now. Raises nothing."""
    try:
        job = restore(notice.claimed)
        job.remember_status(notice.status)
        job.started_at, job.ended_at = from_ms(notice.started_ms), from_ms(notice.ended_ms)
        if notice.exc_string is None:
            job.send_webhooks(notice.status)
        else:
            job.send_webhooks(notice.status, exc_string=notice.exc_string)
    except Exception:
        log.exception("Job %s: its webhooks could not be sent", notice.claimed.job_id)


def sends_by_itself(job_class: type[Job]) -> bool:
    """Whether a job class of the user's does something else, or more, where webhooks are sent."""
    return job_class.send_webhooks is not _SEND


def too_many(notice: Notice, log: logging.Logger) -> None:
    """Say that the webhooks of a job are left out."""
    text = "Job %s: its webhooks are not sent: those of %d jobs before it are waiting, so the receiver is too slow"
    log.warning(text, notice.claimed.job_id, MOST_WAITING)


class ThreadSender:
    """Sends from the process in which jobs run, in threads that are there only while there is something to send."""

    def __init__(self, restore: Restore, job_class: type[Job], log: logging.Logger) -> None:
        self.always = sends_by_itself(job_class)
        self.patience = LAST_SENT
        self._restore = restore
        self._log = log
        self._waiting: deque[Notice] = deque()
        self._threads = 0
        self._changed = threading.Condition()

    def ended(self, claimed: Claimed, end: Settlement, settled: Settled) -> None:
        """A settlement was answered. Doesn't wait."""
        notice = notice_of(claimed, end, settled)
        if notice is None:
            return
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                too_many(notice, self._log)
                return
            self._waiting.append(notice)
            if self._threads >= MOST_THREADS:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._send, name="atomiq-webhooks", daemon=True).start()
        except RuntimeError as error:  # no room for one more thread: it waits for one that there is, or the next
            with self._changed:
                self._threads -= 1
            self._log.warning("Job %s: no thread can be started for its webhooks: %s", claimed.job_id, error)

    def _send(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._threads -= 1
                    self._changed.notify_all()
                    return
                notice = self._waiting.popleft()
            deliver(self._restore, notice, self._log)

    def close(self) -> None:
        """Wait for what is not sent yet, as long as its patience lasts."""
        until = time.monotonic() + self.patience
        with self._changed:
            while self._threads and time.monotonic() < until:
                self._changed.wait(max(0.0, until - time.monotonic()))
            left = len(self._waiting) + self._threads
            self._waiting.clear()
        if left:
            text = "The webhooks of %d jobs were not sent within %.1f s and are left out"
            self._log.warning(text, left, self.patience)

    # --- a part of the loop of a worker that runs its jobs itself

    def check(self) -> None:
        """Nothing is to be looked after."""

    def wake_at(self) -> float | None:
        """At no time."""
        return None

    def fds(self) -> tuple[int, ...]:
        """None of its own."""
        return ()

    def pids(self) -> set[int]:
        """No children."""
        return set()
