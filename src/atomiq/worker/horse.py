"""The worker object's part inside the process that makes a call: RQ's overridable methods around a job."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from types import FrameType
from typing import Any, ClassVar

from setproctitle import setproctitle

from atomiq._commands.claim import Claimed
from atomiq._commands.settle import Settled
from atomiq._core.errors import ShuttingDown
from atomiq.executors import hooks
from atomiq.executors.aside import call_abandoned, call_killed, call_stopped
from atomiq.executors.death import Death, death_text
from atomiq.executors.fork import Announce, Call
from atomiq.executors.job_forks import JobForks
from atomiq.executors.limits import Guard, MainThreadGuard
from atomiq.executors.outcome import time_limit
from atomiq.executors.perform import Handler, Performer, describe_error, run_handlers
from atomiq.executors.report import Report
from atomiq.executors.sentry import own_scope
from atomiq.executors.story import ColdStop, call_limit
from atomiq.executors.webhooks import ThreadSender
from atomiq.job import Job, JobStatus
from atomiq.timeouts import BaseDeathPenalty, UnixSignalDeathPenalty
from atomiq.worker.engine import Engine
from atomiq.worker.events import AsideKind
from atomiq.worker.execution_methods import ExecutionMethods
from atomiq.worker.opened import Opened
from atomiq.worker.overrides import CALL, our_own, overridden


@our_own
class Horse(ExecutionMethods):
    """What a worker does where user code runs. Subclasses may override `main_work_horse`, `setup_work_horse_signals`,
    `perform_job`, `handle_exception`, `handle_work_horse_killed` and what `ExecutionMethods` has, as with RQ."""

    death_penalty_class: type[BaseDeathPenalty] = UnixSignalDeathPenalty
    queue_class: Any
    executor: ClassVar[str | None] = None

    engine: Engine
    _exc_handlers: list[Handler]
    _work_horse_killed_handler: Callable[..., Any] | None = None
    _performer: Performer | None = None
    _is_horse: bool = False
    _horse_pid: int = 0

    @property
    def horse_pid(self) -> int:
        """Pid of the process that a worker which forks for each job has forked last; 0 without any (RQ)."""
        return self._horse_pid

    @property
    def is_horse(self) -> bool:
        """Whether this is the process that runs a job for a forking worker (RQ)."""
        return self._is_horse

    # --- what the loop asks for

    def job_call(self, claimed: Claimed, shuts_down: Callable[[], bool]) -> Call:
        """The call of a claimed job, to be made in a fork, or here if the worker is an inline one. `shuts_down`: asked
        at SIGTERM, whether the supervisor wants the call to end."""

        def call(announce: Announce) -> Report:
            started = time.monotonic()
            here = self._call
            here.announce, here.report = announce, None
            here.opened = Opened.under_supervision(claimed)
            try:
                job = self.restore_claimed(claimed)
                queue = self.queue_class(claimed.queue, connection=self.connection, serializer=self.serializer)
                if not self.engine.inline:
                    self._heed(shuts_down)
                    os.environ["RQ_WORKER_ID"], os.environ["RQ_JOB_ID"] = self.name, job.id
                    self._is_horse = True
                    self._work_as_horse(job, queue)
                else:
                    with own_scope():
                        self.perform_job(job, queue)
            except ColdStop:
                raise
            except BaseException:  # noqa: BLE001  the job's hash, or a method of a subclass; neither may end the worker
                return Report("failed", started, time.monotonic(), exc_string=describe_error())
            return self._made_report(started)

        return call

    def _work_as_horse(self, job: Job, queue: Any) -> None:
        try:
            hooks.start_child()
            self.main_work_horse(job, queue)
        finally:
            hooks.stop_child()

    def _heed(self, shuts_down: Callable[[], bool]) -> None:
        """In a fork: SIGTERM raises ShuttingDown where the supervisor means it, and kills as ever where it doesn't."""
        guard = self._call.guard = MainThreadGuard(self.death_penalty_class)

        def asked(number: int, _frame: FrameType | None) -> None:
            if shuts_down():
                guard.interrupt(ShuttingDown)
            else:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)

        signal.signal(signal.SIGTERM, asked)
        JobForks(asked).watch()

    # --- what a station asks for

    def restore_claimed(self, claimed: Claimed) -> Job:
        """The job object of a claimed job."""
        job = self.job_class.from_hash(claimed.job_id, claimed.fields, self.connection, self.serializer)
        job._status = JobStatus.STARTED  # noqa: SLF001  the hash is as it was before the claim
        job.worker_name, job.attempts, job.origin = self.name, claimed.attempt, claimed.queue
        job.started_at = datetime.now(UTC)
        return job

    @cached_property
    def webhooks(self) -> ThreadSender:
        """Sends the webhooks of jobs that this process runs and settles."""
        return ThreadSender(self.restore_claimed, self.job_class, self.log)

    @property
    def hands_over(self) -> bool:
        """The worker has several executors."""
        return len(self.engine.executors) > 1

    def is_for_another(self, executor: bytes | None) -> bool:
        """Whether a job that names this one is not for the executor that claims."""
        return self.engine.home(executor) != self.engine.claimant

    def performer(self) -> Performer:
        """Makes the calls of this worker, with the hooks that are registered by now."""
        made = self._performer
        if made is None:
            made = self._performer = Performer(
                self.serializer,
                self.death_penalty_class,
                self.default_result_ttl,
                self.handle_exception,
                self.name,
                self.log,
            )
        made.hooks = hooks if hooks.job_hooks_wanted() else None
        return made

    def enter_station(self) -> None:
        """In a new warm child, before it takes work."""
        self._is_horse = True
        assert self._call.report is None  # made here: cached_property takes no lock
        os.environ["RQ_WORKER_ID"] = self.name
        self.setup_work_horse_signals()
        self.procline(f"waiting for {','.join(self.queue_names())}")

    def perform_claimed(self, claimed: Claimed, announce: Announce, guard: Guard) -> Report:
        """Make the call of a claimed job in a warm child, and everything around it."""
        started = time.monotonic()
        try:
            with own_scope():
                job = self.restore_claimed(claimed)
                if self.overrides_perform_job:
                    here = self._call
                    here.announce, here.guard, here.report = announce, guard, None
                    here.opened = Opened.under_supervision(claimed)
                    queue = self.queue_class(claimed.queue, connection=self.connection, serializer=self.serializer)
                    self.perform_job(job, queue)
                    return self._made_report(started)
                return self.performer().perform(job, announce, guard)
        except BaseException:  # noqa: BLE001  the job's hash, or a method of a subclass; neither may end the station
            return Report("failed", started, time.monotonic(), exc_string=describe_error())

    @property
    def _overrides_work_horse(self) -> bool:
        return bool(overridden(self, "main_work_horse"))

    @cached_property
    def overrides_perform_job(self) -> bool:
        """Whether a subclass wants to do something around each call."""
        return bool(overridden(self, *CALL))

    @cached_property
    def _ends_by_methods(self) -> bool:
        return overridden(self, *CALL) not in ([], ["perform_job"])

    def aside_call(self, kind: AsideKind, job: Claimed | str, death: Death | None) -> Call:
        """A callback of a job whose own process is gone."""

        def call(announce: Announce) -> Report:
            if isinstance(job, str):
                return call_abandoned(
                    lambda: self.job_class.fetch(job, self.connection, self.serializer),
                    self.death_penalty_class,
                    self.handle_exception,
                    self.log,
                    announce,
                )
            restored = self.restore_claimed(job)
            if kind == "stopped":
                restored._status = JobStatus.STOPPED  # noqa: SLF001  what callbacks see, as with RQ
                return call_stopped(restored, self.death_penalty_class, self.log)
            arguments = (None, None, None) if death is None else (death.pid, death.status, death.usage)
            return call_killed(restored, self._tell_of_death(job, death), arguments, self.log)

        return call

    def _tell_of_death(self, claimed: Claimed, death: Death | None) -> Handler:
        """What RQ's worker calls when a work horse has died. The job is settled afterwards, by the supervisor."""
        if not overridden(self, "handle_job_failure"):
            return self.handle_work_horse_killed

        def tell(job: Job, *arguments: Any) -> None:
            self.handle_work_horse_killed(job, *arguments)
            opened = self._call.opened = Opened.under_supervision(claimed)
            opened.settled = Settled("ok", JobStatus.FAILED.value, 0, False)
            queue = self.queue_class(claimed.queue, connection=self.connection, serializer=self.serializer)
            self.handle_job_failure(job=job, queue=queue, exc_string=death_text(death or Death(0, None)))

        return tell

    def _made_report(self, started: float) -> Report:
        """Of the call that `perform_job` has made; a failure, if it has made none."""
        text = f"{type(self).__name__}.perform_job did not perform the job"
        return self._call.report or Report("failed", started, time.monotonic(), exc_string=text)

    # --- RQ's methods

    def main_work_horse(self, job: Job, queue: Any) -> None:
        """All that a child does (RQ)."""
        random.seed()
        self.setup_work_horse_signals()
        self.procline(f"running {job.description or job.id} since {time.strftime('%H:%M:%S')}")
        self.perform_job(job, queue)

    def setup_work_horse_signals(self) -> None:
        """Called in a child after its signals are set: SIGINT ignored, SIGTERM as usual (RQ). In a child that somebody
        else has forked they are set here."""
        if signal.getsignal(signal.SIGTERM) == self._hear_signal:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _hear_signal(self, signum: int, frame: FrameType | None) -> None:
        """The worker's own handler of signals."""
        raise NotImplementedError

    def perform_job(self, job: Job, queue: Any) -> bool:
        """Make the call and what belongs to it; True if it succeeded (RQ). A job that no worker at work has claimed is
        started and settled here as well.

        Raises:
            NoSuchJobError: the job is gone.
            JobIsRunning: somebody else runs it.
        """
        here = self._call
        if here.opened is not None and here.opened.supervised and not self._ends_by_methods:
            here.report = report = self._perform(job)
        else:
            here.report = report = self._perform_by_methods(job, queue)
        return report.succeeded

    def _perform(self, job: Job) -> Report:
        here = self._call
        announce = here.announce or (lambda _seconds: None)
        with contextlib.suppress(TypeError):  # of a limit that is no number: the call fails with it, which is recorded
            limit = call_limit(job)
            if here.opened is not None and limit != time_limit(here.opened.holding.claimed):
                announce(limit)  # a method of the class has changed it; who extends the lease knows what is stored
        return self.performer().perform(job, announce, here.guard)

    def _perform_by_methods(self, job: Job, queue: Any) -> Report:
        """The same, with RQ's methods called where RQ calls them."""
        if not self._executes(job):
            self.prepare_execution(job)
        opened = self._call.opened
        assert opened is not None
        began = time.monotonic()
        try:
            self.prepare_job_execution(job, remove_from_intermediate_queue=len(self.queues) == 1)
        except Exception as error:  # noqa: BLE001  a method of a subclass may raise anything
            report = self._gone_wrong(job, error, Report("failed", began, time.monotonic()))
        else:
            report = self._perform(job)
        opened.holding.report = report
        for _ in range(2):  # what goes wrong at the end of a success makes a failure of it
            try:
                self.end_by_methods(job, queue, report)
            except Exception as error:
                if opened.settled is not None or not report.succeeded:
                    self.log.exception("Worker %s: job %s: a method of its end failed", self.name, job.id)
                    break
                opened.holding.report = report = self._gone_wrong(job, error, report)
            else:
                break
        return self.end_anyway(job, opened, report)

    def _gone_wrong(self, job: Job, error: Exception, report: Report) -> Report:
        text = describe_error()
        self.log.error("Worker %s: job %s: a method of the worker failed\n%s", self.name, job.id, text)
        try:
            self.handle_exception(job, type(error), error, error.__traceback__)
        except Exception:
            self.log.exception("Worker %s: job %s: an exception handler failed", self.name, job.id)
        return Report("failed", report.started, report.ended, exc_string=text, failure_ttl=job.failure_ttl)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Have the exception handlers called (RQ)."""
        kind, exception, trace = exc_info
        run_handlers(list(self._exc_handlers), job, (kind, exception, trace), self.log)

    def push_exc_handler(self, handler_func: Handler) -> None:
        """Add an exception handler behind the others (RQ)."""
        self._exc_handlers.append(handler_func)

    def pop_exc_handler(self) -> Handler:
        """Take the last exception handler away (RQ)."""
        return self._exc_handlers.pop()

    def handle_work_horse_killed(self, job: Job, retpid: int | None, ret_val: int | None, rusage: Any) -> None:
        """Called when a child died before its job had ended (RQ). It runs in a child of its own, not in the
        supervisor."""
        if self._work_horse_killed_handler is not None:
            self._work_horse_killed_handler(job, retpid, ret_val, rusage)

    @property
    def _has_killed_handler(self) -> bool:
        changed = overridden(self, "handle_work_horse_killed", "handle_job_failure")
        return bool(changed) or self._work_horse_killed_handler is not None

    def procline(self, message: str) -> None:
        """Show what the process does in the list of processes (RQ)."""
        setproctitle(f"atomiq:worker:{self.name}: {message}")
