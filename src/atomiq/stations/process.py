"""The process executor: a warm child that runs one job at a time in its main thread."""

from __future__ import annotations

import contextvars
import time
from types import FrameType
from typing import Any

from atomiq._commands.claim import Claimed
from atomiq._core.errors import ShuttingDown
from atomiq.executors.fork import Announce
from atomiq.executors.limits import MainThreadGuard
from atomiq.executors.report import Report
from atomiq.stations.base import Station
from atomiq.stations.ledger import SHUT_DOWN
from atomiq.stations.mail import Passed
from atomiq.stations.task import Task


class ProcessStation(Station):
    """One slot. While a job runs nothing is read from the server: answers wait in the socket, and as long as more jobs
    are held than answers wait, they are left there, to be read several at a time."""

    def __init__(self, *given: Any, guard: MainThreadGuard) -> None:
        super().__init__(*given)
        self.guard = guard

    def _work(self) -> None:
        self.guard.install()
        pump = self.pump
        while True:
            self._hear()
            if self.guests:
                self._run_guest(self.guests.pop(0))
            elif self._done:
                return
            elif pump.held:
                self._run(pump.held.popleft())
            else:
                self._wait()
                continue
            if len(pump.line) >= len(pump.held):
                pump.take(time.monotonic())

    def _run(self, task: Task) -> None:
        if self._for_another(task) or not self.pump.start(0, task):
            return
        self._speak_up(task)
        self._count()
        self.box.begin()
        report = self._perform(task.claimed, lambda seconds: self.pump.announce(0, task, seconds))
        self.pump.settle(0, task, report)

    def _run_guest(self, passed: Passed) -> None:
        task = self._receive(0, passed)
        self.box.begin()
        self._return(0, task, self._perform(task.claimed, lambda seconds: self.pump.announce(0, task, seconds)))

    def _perform(self, claimed: Claimed, announce: Announce) -> Report:
        report = contextvars.copy_context().run(self.host.perform_claimed, claimed, announce, self.guard)
        self._still_here()
        self._listen_again()
        self._weigh()
        return report

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        if self.ledger.wish(0) == SHUT_DOWN:
            self.guard.interrupt(ShuttingDown)
