"""A station's life: what every kind of it does at birth, between jobs, and at its end."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Final, Protocol

from atomiq._commands.claim import Claimed
from atomiq._core.errors import JobStopped, ShuttingDown
from atomiq._wire.readable import readable
from atomiq.executors import hooks
from atomiq.executors.black_box import BlackBox
from atomiq.executors.flush import flush_all
from atomiq.executors.fork import Announce
from atomiq.executors.job_forks import JobForks
from atomiq.executors.limits import Guard
from atomiq.executors.memory import own_resident_memory
from atomiq.executors.outcome import time_limit
from atomiq.executors.perform import Performer
from atomiq.executors.report import Report
from atomiq.executors.webhooks import ThreadSender
from atomiq.job import Job
from atomiq.stations.ledger import NOTHING, SHUT_DOWN, STOP, Ledger, can_be_noted, number_of
from atomiq.stations.mail import Mailbox, Passed
from atomiq.stations.pump import Pump
from atomiq.stations.task import Task
from atomiq.timeouts import plain_getsignal

WISHES: Final[dict[int, type[BaseException]]] = {SHUT_DOWN: ShuttingDown, STOP: JobStopped}
"""What is raised in a job for each wish of the supervisor."""
LAST_ANSWERS: Final = 10.0
"""Seconds. A station that ends waits at most so long for the server to confirm what it has sent."""
MEMORY_CHECK: Final = 0.2
"""Seconds between two readings of the memory in use."""

UNUSABLE: Final = 70
"""Exit code of a child in which a job has closed our files, or a thread of ours has failed."""

_getsignal: Final = plain_getsignal()


class Host(Protocol):
    """The worker object, as far as a station needs it."""

    name: str
    log: logging.Logger

    @property
    def webhooks(self) -> ThreadSender:
        """Sends the webhooks of jobs that this process settles."""

    @property
    def hands_over(self) -> bool:
        """The worker has several executors."""

    def is_for_another(self, executor: bytes | None) -> bool:
        """Whether a job that names this one is not for the executor that claims."""

    def restore_claimed(self, claimed: Claimed) -> Job:
        """The job object of a claimed job."""

    def performer(self) -> Performer:
        """Makes the calls."""

    def perform_claimed(self, claimed: Claimed, announce: Announce, guard: Guard) -> Report:
        """Make the call of a claimed job, and everything around it. Raises nothing."""

    @property
    def overrides_perform_job(self) -> bool:
        """A subclass does something around each call: `perform_claimed` has to make it."""

    def enter_station(self) -> None:
        """Called once in a new child before it takes work."""


@dataclass(frozen=True, slots=True)
class Recycling:
    """When a station has served its time: after so many jobs, or above so many bytes; None: never."""

    max_jobs: int | None = None
    max_memory: int | None = None


class Station:
    """Base of the kinds. A subclass says in `_work` how jobs are run."""

    def __init__(
        self, host: Host, pump: Pump, ledger: Ledger, mailbox: Mailbox, recycling: Recycling, box: BlackBox
    ) -> None:
        self.host = host
        self.pump = pump
        self.ledger = ledger
        self.mailbox = mailbox
        self.box = box
        self.guests: list[Passed] = []
        self._recycling = recycling
        self._alone = not host.hands_over
        self._pid = os.getpid()
        self._home = _identity(mailbox.fd)
        self._handler: Final = self._asked  # a method is a new object each time it is looked up
        self._forks = JobForks(self._handler)
        pump.on_cut_off = self._check_files
        self._taken = 0
        self._memory_at = 0.0
        self._mail_seen = 0

    def run(self) -> None:
        """Work until the supervisor wants no more of it, or it has served its time."""
        signal.signal(signal.SIGTERM, self._handler)
        self._forks.watch()
        try:
            self._enter()
            self._work()
            self._leave()
            if self.pump.failed is not None:
                raise self.pump.failed
        except BaseException as error:
            self._check_files()
            self.mailbox.say("failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            self._exit()
            flush_all()

    def _enter(self) -> None:
        hooks.start_child()
        self.host.enter_station()

    def _exit(self) -> None:
        hooks.stop_child()

    def _work(self) -> None:
        raise NotImplementedError

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        """SIGTERM: look what the supervisor wishes. One that somebody else sent to the whole group has no wish."""
        raise NotImplementedError

    # --- between jobs

    @property
    def _done(self) -> bool:
        """No further job is to be started."""
        return self.pump.leaving or self.ledger.draining

    def _count(self) -> None:
        """A job is started: see whether it is the last."""
        self._taken += 1
        most = self._recycling.max_jobs
        if most is not None and self._taken >= most:
            self._leave_soon()

    def _leave_soon(self) -> None:
        self.pump.leaving = True
        self.ledger.drain()  # so that nothing more is handed to us

    def _weigh(self) -> None:
        """A job has ended: see whether the process has become too large."""
        recycling = self._recycling
        if recycling.max_memory is not None and time.monotonic() >= self._memory_at:
            self._memory_at = time.monotonic() + MEMORY_CHECK
            used = own_resident_memory()
            if used > recycling.max_memory:
                text = "Worker %s: child %s uses %.0f MiB and is replaced"
                self.host.log.info(text, self.host.name, os.getpid(), used / 2**20)
                self._leave_soon()

    def _still_here(self) -> None:
        """To be asked behind each job, before anything is said to anybody. A fork of the job that came back to us must
        not go on as a second station."""
        if os.getpid() != self._pid:
            os._exit(0)
        self._check_files()

    def _check_files(self) -> None:
        """To be asked in trouble too: a job may have closed our files, and opened its own under their numbers."""
        if _identity(self.mailbox.fd) != self._home:
            os._exit(UNUSABLE)  # without a word: who knows where it would be written to

    def _listen_again(self) -> None:
        """A job may have taken SIGTERM. For stations that run jobs in the main thread."""
        if _getsignal(signal.SIGTERM) is not self._handler:
            signal.signal(signal.SIGTERM, self._handler)

    def _hear(self) -> None:
        """Take the mail, if there is any."""
        if self.ledger.mail == self._mail_seen:
            return
        self._mail_seen = self.ledger.mail
        for message in self.mailbox.read():
            if message[0] == "run":
                self.guests.append(Passed(*message[1:]))

    def _speak_up(self, task: Task) -> None:
        """If jobs wait behind the one that begins, somebody has to watch how long."""
        if self.ledger.asked > task.number and not self.ledger.watched:
            self.mailbox.say("look")

    def _for_another(self, task: Task) -> bool:
        """Hand a job over that is for another executor of this worker. True if this one need not run it."""
        if self._alone or not self.host.is_for_another(task.claimed.fields.get(b"executor")):
            return False
        if not can_be_noted(task.entry(0.0, None)):
            return False
        if not self.mailbox.say("pass", *Passed.of(task.claimed, task.claimed_at, task.claimed_ms)):
            return False
        self.pump.passed_on(task)
        return True

    def _fulfil_wish(self, slot: int, interrupt: Callable[[type[BaseException]], bool]) -> None:
        """Raise in a job that shares its process what the supervisor wishes of it; if it is between two calls at the
        moment, the next look does."""
        wish = self.ledger.wish(slot)
        if wish in WISHES and interrupt(WISHES[wish]):
            self.ledger.want(slot, NOTHING)

    def _receive(self, slot: int, passed: Passed) -> Task:
        """Begin a job that was handed over."""
        self._count()
        task = Task(passed.claimed, number_of(passed.execution_id), passed.claimed_at, passed.claimed_ms)
        self.ledger.host(slot, task.entry(time.monotonic(), time_limit(task.claimed)))
        return task

    def _return(self, slot: int, task: Task, report: Report) -> None:
        """It has ended."""
        self._weigh()
        self.mailbox.ended_with(task.claimed.execution_id, report)
        self.ledger.end(slot)

    def _wait(self) -> None:
        """Nothing can be run: see to it that there will be something, and wait for whatever comes."""
        now = time.monotonic()
        until = self.pump.go_on(now)
        if self.pump.held or self._done:
            return
        self._look(readable((*self.pump.fds(), self.mailbox.fd), None if until is None else until - now))

    def _look(self, ready: set[int]) -> None:
        bell = self.pump.lookout.bell.fileno() if self.pump.lookout.bell.listening else -1
        if bell in ready:
            self.pump.rang()
            self.pump.go_on(time.monotonic())
        self.pump.take(time.monotonic())
        if self.mailbox.fd in ready:
            self._read_mail()

    def _read_mail(self) -> None:
        self._mail_seen = -1
        self._hear()
        if self.mailbox.ended:  # the supervisor is gone; the kernel is about to end us, where it can
            self.pump.leaving = True

    # --- the end

    def _leave(self) -> None:
        pump = self.pump
        pump.leaving = True
        pump.take(time.monotonic())
        deadline = time.monotonic() + LAST_ANSWERS
        self._hear_all(deadline)
        if not len(pump.line):  # nothing is under way any more: no number stands for a job
            self.ledger.skip(self.ledger.asked)
        pump.lookout.bell.close()
        pump.line.close()
        self.host.webhooks.close()

    def _hear_all(self, deadline: float) -> None:
        """Wait for the answers to all that is under way. When the server is away, for longer only if a job has ended of
        which it doesn't know; a claim that it may have carried out is looked after by the supervisor, or ends with its
        leases."""
        pump = self.pump
        pump.release_held()
        while len(pump.line) and (time.monotonic() < deadline or (pump.owes and not pump.line.open)):
            pump.go_on(time.monotonic())
            if pump.line.open and pump.line.wait(min(1.0, max(0.0, deadline - time.monotonic()))):
                pump.take(time.monotonic())
                pump.release_held()
            elif not pump.line.open:
                readable((self.mailbox.fd,), 0.1)
                self._read_mail()  # or the next select wouldn't wait
                if self.mailbox.ended:
                    return


def _identity(fd: int) -> tuple[int, int] | None:
    """Which file a descriptor stands for; None: for none."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino
