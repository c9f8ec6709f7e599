"""Webhooks of jobs that the supervisor settles: sent by children of their own, as it runs no user code and has no
threads."""

from __future__ import annotations

import itertools
import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from selectors import DefaultSelector
from typing import Final

from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settled, Settlement
from atomiq.executors.death import Death
from atomiq.executors.fork import Announce, ForkExecutor
from atomiq.executors.report import Report
from atomiq.executors.webhooks import (
    LAST_SENT,
    MOST_WAITING,
    Notice,
    Restore,
    deliver,
    notice_of,
    sends_by_itself,
    too_many,
)
from atomiq.job import Job
from atomiq.worker.children import Children

MOST_CHILDREN: Final = 4
MOST_EACH: Final = 20
"""Jobs whose webhooks one child sends, one after the other."""
LONGEST_WAY: Final = 60.0
"""Seconds for the webhooks of one job; a child that takes longer on average is killed."""
LOOK_AGAIN: Final = 0.05


class ForkSender:
    """`ThreadSender` for the supervisor, a part of its loop. `unshare`: what a child must not keep."""

    def __init__(
        self, restore: Restore, job_class: type[Job], log: logging.Logger, unshare: Callable[[], Iterator[int]]
    ) -> None:
        self.always = sends_by_itself(job_class)
        self.patience = LAST_SENT
        self._restore = restore
        self._log = log
        self._waiting: deque[Notice] = deque()
        self._away: dict[Hashable, tuple[float, list[Notice]]] = {}
        self._numbers = itertools.count()
        self._selector = DefaultSelector()
        self._children = Children(self._selector, ForkExecutor(unshare), lambda _key, _seconds: None, self._back)

    def ended(self, claimed: Claimed, end: Settlement, settled: Settled) -> None:
        """A settlement was answered. Doesn't wait."""
        notice = notice_of(claimed, end, settled)
        if notice is None:
            return
        if len(self._waiting) >= MOST_WAITING:
            too_many(notice, self._log)
        else:
            self._waiting.append(notice)

    def check(self) -> None:
        """Send children off, and see who is back."""
        for key, _ in self._selector.select(0) if self._away else ():
            key.data()
        self._children.check()
        now = time.monotonic()
        for number, (until, _) in self._away.items():
            if now >= until:
                self._children.kill(number, signal.SIGKILL)
        while self._waiting and len(self._away) < MOST_CHILDREN:
            self._send_off()

    def _send_off(self) -> None:
        bag = [self._waiting.popleft() for _ in range(min(MOST_EACH, len(self._waiting)))]
        number = next(self._numbers)

        def call(_announce: Announce) -> Report:
            started = time.monotonic()
            for notice in bag:
                deliver(self._restore, notice, self._log)
            return Report("finished", started, time.monotonic())

        try:
            self._children.start(number, call)
        except OSError as error:
            text = "No room for a process that sends webhooks: those of %d jobs left out: %s"
            self._log.error(text, len(bag), error.strerror)
            return
        self._away[number] = (time.monotonic() + LONGEST_WAY * len(bag), bag)

    def _back(self, number: Hashable, report: Report | None, _death: Death | None) -> None:
        _, bag = self._away.pop(number)
        if report is None:
            ids = ", ".join(notice.claimed.job_id for notice in bag)
            self._log.warning("The process that sent webhooks has died; perhaps not all are sent, of jobs %s", ids)

    def wake_at(self) -> float | None:
        """When `check` wants to be called."""
        if self._waiting and len(self._away) < MOST_CHILDREN:
            return time.monotonic()
        leaving = self._children.wake_at()
        return leaving if not self._away else time.monotonic() + LOOK_AGAIN

    def fds(self) -> Iterator[int]:
        """What children must not keep."""
        yield self._selector.fileno()
        yield from self._children.fds()

    def pids(self) -> set[int]:
        """Its children."""
        return self._children.pids()

    def close(self) -> None:
        """Wait for what is not sent yet, as long as its patience lasts."""
        until = time.monotonic() + self.patience
        while (self._waiting or self._away) and time.monotonic() < until:
            self.check()
            self._selector.select(LOOK_AGAIN)
        left = len(self._waiting) + sum(len(bag) for _, bag in self._away.values())
        if left:
            text = "The webhooks of %d jobs were not sent within %.1f s and are left out"
            self._log.warning(text, left, self.patience)
        self._children.close()
        self._selector.close()
