"""is_async=False: the job runs in the calling thread, and its state goes the same way as a worker's (RQ's run_sync).

Its retries are made at once, without waiting for their interval, so that its end is known when `enqueue` returns; all
of them are one execution. It isn't repeated, and no time limit is set, as in RQ. What it requires is looked for once.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any, Final, TypeVar

from atomiq._commands.alone import begin_job
from atomiq._commands.base import Command
from atomiq._commands.change import touch
from atomiq._commands.settle import Settlement, settle
from atomiq._core.errors import (
    BaseTimeoutException,
    JobIsRunning,
    NoSuchJobError,
    PreconditionError,
    PreconditionNotMet,
)
from atomiq._core.ids import new_execution_id
from atomiq._core.precondition import error_text
from atomiq._core.raised import calls_for_retry
from atomiq._core.settings import DEFAULT_RESULT_TTL, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import from_ms
from atomiq._core.values import Retry
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.job.current import current, running
from atomiq.job.planned import LEASE_MARGIN, LONGEST_RUN

R = TypeVar("R")

WORKER_NAME: Final = "sync"
_NOT_CALLED: Final = (PreconditionNotMet, PreconditionError)


@dataclass
class Run:
    """One job that runs here: its execution, and how it ended."""

    store: Store
    job: Job
    settlement: Settlement
    begun: float = field(default_factory=time.monotonic)
    result: Any = None
    is_settled: bool = False
    is_taken_away: bool = False
    """The job was canceled, deleted or begun elsewhere meanwhile: nothing becomes of it because of this run."""
    is_telling: bool = False
    """What is raised now is the server's, or the way's to it, and says nothing about the function."""

    @classmethod
    def begin(cls, store: Store, job: Job) -> Run:
        """Start a stored job past its queue. Raises JobIsRunning, NoSuchJobError."""
        execution_id = new_execution_id()
        seconds = job.timeout if job.timeout and job.timeout > 0 else LONGEST_RUN
        lease_ms = (seconds * (1 + max(job.retries_left or 0, 0)) + LEASE_MARGIN) * 1000
        word, started_ms = store.run(
            begin_job(store.keys, job_id=job.id, worker=WORKER_NAME, execution=execution_id, lease_ms=lease_ms)
        )
        if word == "busy":
            raise JobIsRunning(f"job {job.id} is running elsewhere")
        if word == "gone":
            raise NoSuchJobError(f"No such job: {job.key}")
        job.worker_name = WORKER_NAME
        job.started_at = job.last_heartbeat = from_ms(started_ms)
        settlement = Settlement(
            job_id=job.id, queue=job.origin, execution_id=execution_id, worker=WORKER_NAME, outcome="finished",
            result_ttl=job.get_result_ttl(DEFAULT_RESULT_TTL), failure_ttl=job.failure_ttl, started_ms=started_ms,
            retry="never",
        )  # fmt: skip
        return cls(store, job, settlement)

    def perform(self) -> None:
        """Call the function, again while it returns a Retry that is allowed, and settle what it has returned."""
        if self.job.requires:
            _look(self.job)
        result = self.job.perform()
        while (retry := Retry.asked_for(result)) is not None and self._may_go_again(retry):
            result = self.job.perform()
        self.finish(result)

    def finish(self, result: Any) -> None:
        """The job ended well, but for a Retry of which none is left."""
        self.result = result
        exhausted = Retry.asked_for(result) is not None
        self.settlement.outcome = "exhausted" if exhausted else "finished"
        self.settlement.result = None if result is None else _dump_result(self.job, result)
        self._settle(JobStatus.FAILED if exhausted else JobStatus.FINISHED)

    def fail(self, traceback_text: str) -> None:
        """The job did not end well."""
        self.settlement.outcome = "failed"
        self.settlement.exc_string = traceback_text
        self._settle(JobStatus.FAILED)

    def may_retry(self, error: BaseException) -> bool:
        """Whether the job's Retry allows another go after this; it is counted."""
        if not calls_for_retry(error, self.job.retry_on or (), self.job.retry_unless or ()):
            return False
        left = self.job.retries_left or 0
        return left > 0 and self._is_counted(retries_left=left - 1)

    def _may_go_again(self, retry: Retry) -> bool:
        """The same for a Retry that the function has returned."""
        done = self.job.number_of_retries or 0
        return done < retry.max and self._is_counted(number_of_retries=done + 1)

    def _is_counted(self, **fields: int) -> bool:
        """Write that there is another go. False: the job is not ours any more."""
        execution = self.settlement.execution_id
        said = self._tell(touch(self.store.keys, job_id=self.job.id, fields=fields, execution=execution))
        self.is_taken_away = said != "ok"
        if said == "ok":
            for name, value in fields.items():
                setattr(self.job, name, value)
        return said == "ok"

    def _tell(self, command: Command[R]) -> R:
        self.is_telling = True
        said = self.store.run(command)
        self.is_telling = False
        return said

    def _settle(self, status: JobStatus) -> None:
        end = self.settlement
        end.ended_ms = end.started_ms + int((time.monotonic() - self.begun) * 1000)
        settled = self._tell(settle(self.store.keys, settlement=end))
        self.is_settled, self.is_taken_away = True, settled.word not in ("ok", "already")
        self.job.ended_at = from_ms(end.ended_ms)
        if not self.is_taken_away:
            self.job.remember_status(status)


def run_in_this_thread(queue: Any, store: Store, job: Job) -> None:
    """Run a stored job by the queue's `run_job`, settle it, call its callbacks, which have no time limit (RQ).

    An exception of the function is recorded, not raised; one of a callback is raised. KeyboardInterrupt and SystemExit
    are recorded and raised, and so is PreconditionNotMet, or PreconditionError, when the function was not called. What
    the server refuses is raised alone: the function has run, and is not called again because of it.
    """
    run = job.__dict__["_run_here"] = Run.begin(store, job)
    try:
        while not run.is_settled:
            _run_once(queue, run)
    finally:
        del job.__dict__["_run_here"]
    if run.settlement.outcome == "finished" and job.success_callback is not None:
        job.success_callback(job, job.connection, run.result)
    if not run.is_taken_away:
        job.send_webhooks(job.known_status, exc_string=run.settlement.exc_string or None)


def _run_once(queue: Any, run: Run) -> None:
    job = run.job
    try:
        queue.run_job(job)
    except BaseException as error:
        if run.is_settled or run.is_telling:
            raise
        interrupted, text = _is_for_the_caller(error), traceback.format_exc()
        if interrupted or not run.may_retry(error):
            run.fail(text)
        if not run.is_taken_away:
            job.remember_status(JobStatus.FAILED)
        try:
            if job.failure_callback is not None:
                job.failure_callback(job, job.connection, *sys.exc_info())
        except BaseException:
            if not run.is_settled:
                run.fail(text)
            raise
        if interrupted:
            raise
    else:
        if not run.is_settled:  # somebody's own run_job
            run.finish(None)


def _is_for_the_caller(error: BaseException) -> bool:
    """Whether an exception is raised as well as recorded. The time limit of a job that has enqueued this one is among
    them: it ends both."""
    if isinstance(error, BaseTimeoutException) and current() is not None:
        return True
    return not isinstance(error, Exception) or isinstance(error, _NOT_CALLED)


def run_job_here(store: Store, job: Job) -> None:
    """Call the function of a stored job and record its result; what it raises is recorded by who calls this, if that is
    `run_in_this_thread`, otherwise here."""
    run: Run | None = job.__dict__.get("_run_here")
    if run is not None:
        run.perform()
        return
    run = Run.begin(store, job)
    try:
        run.perform()
    except BaseException:
        if not run.is_settled and not run.is_telling:
            run.fail(traceback.format_exc())
        raise


def _look(job: Job) -> None:
    """Raises PreconditionNotMet, PreconditionError: nobody is there to look again later."""
    try:
        check, args, kwargs = job.required_call()
        with running(job):
            answer = check(*args, **kwargs)
            there = asyncio.run(answer) if type(answer) is CoroutineType else answer
    except Exception as error:
        raise PreconditionError(f"{error_text(error)} (while looking for: {job.requires})") from error
    if not there:
        raise PreconditionNotMet(f"not there: {job.requires}; looked for once, as the job runs in the calling thread")


def _dump_result(job: Job, result: Any) -> bytes:
    try:
        dumped: bytes = job.serializer.dumps(result)
    except Exception:  # noqa: BLE001 - a serializer may raise anything
        dumped = job.serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD)
    return dumped
