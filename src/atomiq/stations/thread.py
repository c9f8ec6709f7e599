"""The thread executor: a warm child that runs several jobs at a time, each in a thread of its own.

Whichever thread has ended a job settles it and takes the next that is held, so short jobs need no change of threads.
The main thread runs no jobs: it waits for the server and the supervisor, and watches the time limits.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
import time
from types import FrameType
from typing import Any

from atomiq._commands.claim import Claimed
from atomiq._wire.readable import readable
from atomiq.executors.fork import Announce
from atomiq.executors.limits import ThreadGuard
from atomiq.executors.report import Report
from atomiq.stations.base import UNUSABLE, Station
from atomiq.stations.mail import Passed
from atomiq.stations.task import Task

LONGEST_WAIT = 1.0
"""Seconds until the time limits are looked at, whatever happens: a job may have begun meanwhile."""


class ThreadStation(Station):
    """`slots` threads. Pump, guests and the list of idle threads are touched under one lock only."""

    def __init__(self, *given: Any, slots: int) -> None:
        super().__init__(*given)
        self._slots = slots
        self._lock = threading.Condition()
        self._guards = [ThreadGuard() for _ in range(slots)]
        self._idle = 0
        self._over = False
        self._polling = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def _work(self) -> None:
        threads = [
            threading.Thread(target=self._serve, args=(slot,), name=f"atomiq-job-{slot}", daemon=True)
            for slot in range(self._slots)
        ]
        for thread in threads:
            thread.start()
        while not self._end_reached():
            self._wait_for_anything()
        with self._lock:
            self._over = True
            self._lock.notify_all()
        for thread in threads:
            thread.join()

    def _end_reached(self) -> bool:
        with self._lock:
            return self._done and self._idle == self._slots and not self.guests

    # --- the main thread

    def _wait_for_anything(self) -> None:
        now = time.monotonic()
        with self._lock:
            until = self.pump.go_on(now) if self._idle and not self.pump.held else now + 60
            hungry = bool(self._idle)
            fds = self.pump.fds() if hungry else []
            self._polling = hungry
        limits = [guard.strike(now) for guard in self._guards] if self._idle < self._slots else []
        until = min([at for at in (until, *limits, now + LONGEST_WAIT) if at is not None])
        self._see(readable((*fds, self._reader, self.mailbox.fd), until - now))

    def _see(self, ready: set[int]) -> None:
        if self._reader in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 4096)
        with self._lock:
            self._polling = False
            self._look(ready)
            self._wake()
            self._obey()  # under the lock, or the slot's next job may begin meanwhile

    def _wake(self) -> None:
        """As many threads as there is work for."""
        work = len(self.pump.held) + len(self.guests)
        if work and self._idle:
            self._lock.notify(min(work, self._idle))

    def _obey(self) -> None:
        """What the supervisor wishes of jobs that run."""
        for slot, guard in enumerate(self._guards):
            self._fulfil_wish(slot, guard.interrupt)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        self._poke()

    def _poke(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"!")

    # --- the threads

    def _serve(self, slot: int) -> None:
        try:
            self._serve_jobs(slot)
        except BaseException:  # a station without this thread would wait for it for ever
            self.host.log.critical("Worker %s: a thread can't go on", self.host.name, exc_info=True)
            os._exit(UNUSABLE)

    def _serve_jobs(self, slot: int) -> None:
        guard = self._guards[slot]
        while True:
            job = self._next(slot)
            if job is None:
                return
            if isinstance(job, Passed):
                self._run_guest(slot, job, guard)
            else:
                self._run(slot, job, guard)

    def _next(self, slot: int) -> Task | Passed | None:
        with self._lock:
            while True:
                if self.guests:
                    return self.guests.pop(0)
                if self._over:
                    return None
                if self._done:
                    self.pump.release_held()
                elif self.pump.held:
                    task = self.pump.held.popleft()
                    if not self._for_another(task) and self.pump.start(slot, task):
                        self._count()
                        self._speak_up(task)
                        return task
                    self._poke()  # there may be nothing under way that would wake the main thread
                    continue
                self._idle += 1
                if not self._polling:
                    self._poke()
                self._lock.wait()
                self._idle -= 1

    def _run(self, slot: int, task: Task, guard: ThreadGuard) -> None:
        report = self._perform(task.claimed, lambda seconds: self.pump.announce(slot, task, seconds), guard)
        with self._lock:
            self._weigh()
            self.pump.settle(slot, task, report)
            if len(self.pump.line) and not self.pump.held and self.pump.take(time.monotonic()):
                self._wake()
                if not self.pump.held:  # the main thread waits for an answer that this one has taken
                    self._poke()

    def _run_guest(self, slot: int, passed: Passed, guard: ThreadGuard) -> None:
        with self._lock:
            task = self._receive(slot, passed)
        report = self._perform(task.claimed, lambda seconds: self.pump.announce(slot, task, seconds), guard)
        with self._lock:
            self._return(slot, task, report)

    def _perform(self, claimed: Claimed, announce: Announce, guard: ThreadGuard) -> Report:
        report = contextvars.copy_context().run(self.host.perform_claimed, claimed, announce, guard)
        self._still_here()
        return report
