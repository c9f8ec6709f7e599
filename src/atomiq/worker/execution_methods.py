"""RQ's methods that open and end one execution, each of them one atomic step.

They are called by whoever works without a supervisor (a loop that does one thing after the other, a test, a tool), and
around the calls of warm children where a class has overridden one of them. Whatever an override does or leaves out, the
job ends once: what is settled here is `already` so for the supervisor, and what isn't the supervisor settles.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from atomiq._commands.alone import begin_job
from atomiq._commands.base import Command, text
from atomiq._commands.claim import Claimed, extend, release
from atomiq._commands.settle import Settled, Settlement, free, settle
from atomiq._commands.views import view_job
from atomiq._core.errors import SERVER_AWAY, JobIsRunning, NoSuchJobError
from atomiq._core.ids import new_execution_id
from atomiq._core.settings import DEFAULT_TIMEOUT, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import from_ms
from atomiq.executions import Execution
from atomiq.executors.job_log import JobLog
from atomiq.executors.outcome import number, reported
from atomiq.executors.report import Report
from atomiq.executors.webhooks import deliver, notice_of, sends_by_itself
from atomiq.job import Job, Retry
from atomiq.utils import now
from atomiq.worker.fields import WorkerFields
from atomiq.worker.opened import CallState, Opened
from atomiq.worker.overrides import our_own, overridden
from atomiq.worker.own_store import clock
from atomiq.worker.settle import NOT_TAKEN, Abandonment, Holding, in_its_place, settlement
from atomiq.worker.status import WorkerStatus

Reply = TypeVar("Reply")
Waited = tuple[int | None, int | None, resource.struct_rusage | None]
NOBODY: Waited = (None, None, None)
FREE_STEPS = 100
LONGEST_PAUSE = 5.0


@our_own
class ExecutionMethods(WorkerFields):
    """From the beginning of an execution to its end."""

    log_result_lifespan: ClassVar[bool] = True
    log_job_description: bool = True

    log: logging.Logger
    default_result_ttl: int
    lease: float
    queues: list[Any]
    kill_after: float
    max_abandoned: int
    abandoned: str
    job_monitoring_interval: int
    _stopped_job_id: str | None = None
    _perseveres: bool = False
    """The server is waited for: nobody else would say how the job has ended."""

    @cached_property
    def _call(self) -> CallState:
        return CallState()

    @property
    def execution(self) -> Execution | None:
        """The execution that this thread has opened last, until it is settled (RQ)."""
        opened = self._call.opened
        if opened is None or opened.settled is not None:
            return None
        execution = Execution(opened.execution_id, opened.job_id, self.connection, self.name)
        if opened.holding.claimed_ms:
            execution.created_at = execution.last_heartbeat = from_ms(opened.holding.claimed_ms)
        return execution

    @execution.setter
    def execution(self, execution: Execution | None) -> None:
        self._call.opened = None if execution is None else self._opened_as(execution.job_id, execution.id)

    # --- the beginning

    def prepare_execution(self, job: Job) -> Execution:
        """Start a job: open an execution with a lease, taking the job out of wherever it is; nothing more if it was
        this worker that has claimed it (RQ).

        Raises:
            NoSuchJobError: the job is gone.
            JobIsRunning: somebody else runs it.
        """
        if not self._executes(job):
            self._call.opened = self._open(job)
            self.set_state(WorkerStatus.BUSY)
        execution = self.execution
        assert execution is not None
        return execution

    def _executes(self, job: Job) -> bool:
        opened = self._call.opened
        return opened is not None and opened.settled is None and opened.job_id == job.id

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:
        """What belongs to the beginning of a call (RQ). The job is `started` since it was claimed, and in no
        intermediate queue: that argument has no effect."""
        if not self._executes(job):
            self.prepare_execution(job)
        opened = self._call.opened
        if opened is not None and not opened.supervised and not self._perseveres:  # or the claim has written it
            self.set_current_job_id(job.id)
            self.set_current_job_working_time(0)
        job.started_at, job.worker_name = now(), self.name
        job.remember_status(JobStatus.STARTED)

    def get_heartbeat_ttl(self, job: Job) -> int:
        """Seconds that an execution lives without a sign of life, where no loop of ours extends its lease (RQ)."""
        limit = job.timeout or DEFAULT_TIMEOUT
        interval = self.job_monitoring_interval
        return (interval if limit < 0 else int(min(limit - self.current_job_working_time, interval))) + 60

    def maintain_heartbeats(self, job: Job) -> None:
        """Extend the lease of the job that runs, and beat (RQ). A job that is no longer ours, or is to be stopped,
        loses its work horse."""
        opened = self._call.opened
        if opened is None or opened.settled is not None or opened.job_id != job.id:
            return
        working = self.current_job_working_time
        store, held = self._store, (opened.holding.held,)
        ttl, lease = self.worker_ttl + 60, self._lease_ms(job)
        command = extend(
            store.keys, worker=self.name, lease_ms=lease, held=held, worker_ttl=ttl, working_ms=round(working * 1000)
        )
        answer = store.run(command)
        job.last_heartbeat = self.last_heartbeat = now()
        if answer.lost:
            self.log.warning("Worker %s: job %s is no longer ours, its lease was over: killed here", self.name, job.id)
            self.kill_horse()
        elif answer.stop:
            self.log.info("Worker %s: job %s is stopped on request", self.name, job.id)
            self._stopped_job_id = job.id
            self.kill_horse()

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Kill the process that runs the job; nothing for a worker that has none (RQ)."""

    def wait_for_horse(self) -> Waited:
        """Wait for the process that runs the job; nothing for a worker that has none (RQ)."""
        return NOBODY

    def cleanup_execution(self, job: Job, pipeline: Any) -> None:
        """The worker shows no job any more (RQ). The execution itself is closed by its settlement."""
        self.set_current_job_id(None, pipeline)

    def _lease_ms(self, job: Job) -> int:
        """RQ's time where RQ's loop might do what it likes meanwhile, our lease where we extend it."""
        if self._perseveres and not overridden(self, "get_heartbeat_ttl"):
            return round(self.lease * 1000)
        return max(1, self.get_heartbeat_ttl(job)) * 1000

    def _open(self, job: Job) -> Opened:
        if not job.was_stored():
            job.save()
        store, execution_id = self._store, new_execution_id()
        command = begin_job(
            store.keys, job_id=job.id, worker=self.name, execution=execution_id, lease_ms=self._lease_ms(job)
        )
        word, now_ms = store.run(command)
        if word == "gone":
            raise NoSuchJobError(f"No such job: {job.key}")
        opened = self._opened_as(job.id, execution_id)
        if word == "busy":
            fields = opened.holding.claimed.fields
            if text(fields.get(b"worker_name", b"")) != self.name:
                raise JobIsRunning(f"job {job.id} runs elsewhere: its execution is another worker's")
            return self._opened_as(job.id, text(fields.get(b"execution", b"")))
        opened.holding.claimed_at, opened.holding.claimed_ms = time.monotonic(), now_ms
        return opened

    def _opened_as(self, job_id: str, execution_id: str) -> Opened:
        fields = self._store.run(view_job(self._store.keys, job_id=job_id)) or {}
        queue = text(fields.get(b"origin", b""))
        claimed = Claimed(queue, job_id, execution_id, int(fields.get(b"attempts") or 1), fields)
        return Opened(Holding(claimed, 0.0, 0))

    def _opened_for(self, job: Job) -> Opened:
        """The execution of a job that has just ended."""
        opened = self._call.opened
        if opened is not None and opened.job_id == job.id and (opened.supervised or not opened.goes_on):
            return opened
        fields = self._store.run(view_job(self._store.keys, job_id=job.id)) or {}
        execution_id = text(fields.get(b"execution", b""))
        running = fields.get(b"status") == b"started" and execution_id
        opened = self._call.opened = self._opened_as(job.id, execution_id) if running else self._open(job)
        return opened

    # --- the end

    def handle_execution_ended(self, job: Job, queue: Any, heartbeat_ttl: int | None) -> None:
        """The call is over: note when (RQ)."""
        job.ended_at = now()
        if not self._perseveres:  # or the settlement follows at once
            with contextlib.suppress(NoSuchJobError, *SERVER_AWAY):
                job.heartbeat(now(), heartbeat_ttl or 0)

    def handle_job_success(self, job: Job, queue: Any, started_job_registry: Any) -> None:
        """Settle the job as finished: result, dependants, repetition, counters (RQ)."""
        opened = self._opened_for(job)
        report = opened.holding.report
        if report is None or report.outcome != "finished":
            at = time.monotonic()
            value = job._result  # noqa: SLF001  where RQ's users put it
            result = None if value is None else self._dumped(value)
            report = Report("finished", at, at, result)
        self._settle(job, opened, replace(report, result_ttl=job.get_result_ttl(self.default_result_ttl)))

    def handle_job_failure(self, job: Job, queue: Any, started_job_registry: Any = None, exc_string: str = "") -> None:
        """Settle the job as failed, or for another try if it has retries left; as stopped, if that was wanted (RQ)."""
        opened = self._opened_for(job)
        before = number(opened.holding.claimed, b"retries_left") or 0
        retry: str | int = "never" if before > 0 and not job.retries_left else "auto"
        if opened.verdict != "reported":
            opened.holding.retry = retry
            self._settle_death(job, opened, exc_string)
            return
        report = opened.holding.report
        if report is not None and report.retry == "never":
            retry = "never"
        if report is None or report.outcome != "failed":
            at = time.monotonic()
            report = Report("failed", at, at, failure_ttl=job.failure_ttl)
        if self._stopped_job_id == job.id:
            report, retry = replace(report, outcome="stopped"), "never"
            self._stopped_job_id = None
        self._settle(job, opened, replace(report, exc_string=exc_string, retry=retry))

    def handle_job_retry(
        self, job: Job, queue: Any, retry: Retry, started_job_registry: Any, execution: Any = None
    ) -> None:
        """Settle a job whose function has returned a Retry: another try, or the end if it has had all (RQ)."""
        opened = self._opened_for(job)
        done = job.number_of_retries or 0
        outcome: Any = "retried" if done < retry.max else "exhausted"
        delay = retry.delay_ms(done)
        report = opened.holding.report
        at = time.monotonic()
        started, ended = (at, at) if report is None else (report.started, report.ended)
        result = self._dumped(retry)
        self._settle(job, opened, Report(outcome, started, ended, result, retry=delay, failure_ttl=job.failure_ttl))

    def end_by_methods(self, job: Job, queue: Any, report: Report) -> None:
        """Have the method called that belongs to how a call ended."""
        registry = job.started_job_registry
        if report.outcome in ("stopped", "released", "waiting"):
            return
        self.handle_execution_ended(job, queue, job.success_callback_timeout)
        if report.outcome == "finished":
            job._result = report.value  # noqa: SLF001  where RQ's users look for it
            self.handle_job_success(job=job, queue=queue, started_job_registry=registry)
        elif report.outcome == "failed":
            text = report.exc_string
            self.handle_job_failure(job=job, queue=queue, started_job_registry=registry, exc_string=text)
        else:
            self.handle_job_retry(
                job=job, queue=queue, retry=report.value, started_job_registry=registry, execution=self.execution
            )

    def end_anyway(self, job: Job, opened: Opened, report: Report) -> Report:
        """Whatever methods of a subclass have left open. Says how the job has ended, to whoever settles it again."""
        if opened.settled is None and not opened.supervised:
            if report.outcome == "released":
                held = (opened.holding.held,)
                self._ask(lambda: release(self._store.keys, worker=self.name, held=held))
                opened.settled = Settled("ok", "queued", 0, False)
            else:
                self._settle(job, opened, report)
        final = opened.holding.report or report
        final.told = opened.settled is not None
        return final

    def _dumped(self, value: Any) -> bytes:
        try:
            return bytes(self.serializer.dumps(value))
        except Exception:  # noqa: BLE001  whatever the value's own code raises; the job is done all the same
            return bytes(self.serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD))

    def _settle(self, job: Job, opened: Opened, report: Report) -> None:
        holding = opened.holding
        if not holding.claimed_ms:
            holding.claimed_ms, holding.claimed_at = round(clock(self._store) * 1000), time.monotonic()
        end = reported(holding.claimed, report, self.name, holding.server_ms)
        holding.report = report
        self._settle_as(job, opened, end)

    def _settle_death(self, job: Job, opened: Opened, exc_string: str = "") -> None:
        """Its process could not say how it ended."""
        policy = Abandonment(self.abandoned, self.max_abandoned)
        end = settlement(opened.holding, opened.verdict, self.name, self.kill_after, policy)
        if exc_string and end.outcome == "failed" and not end.exc_string.startswith("atomiq."):
            end.exc_string = exc_string
        self._settle_as(job, opened, end)

    def _settle_as(self, job: Job, opened: Opened, end: Settlement) -> None:
        if opened.settled is not None:
            return
        keys = self._store.keys
        try:
            settled, end = self._insist(lambda: self._send_end(opened.holding, end))
        except SERVER_AWAY as error:
            if not opened.supervised:
                raise
            self.log.warning("Worker %s: job %s is settled later (%s)", self.name, end.job_id, error)
            return
        opened.settled = settled
        if settled.word in ("ok", "already") and settled.status != "gone":
            job.remember_status(JobStatus(settled.status))
        if opened.supervised:
            return
        JobLog(self.log, self.name, self.log_job_description, self.log_result_lifespan).settled(
            opened.holding.claimed, end, settled, opened.holding.took
        )
        notice = notice_of(opened.holding.claimed, end, settled)
        if notice is not None and (job.webhooks or sends_by_itself(type(job))):
            seen = job.known_status
            deliver(lambda _: job, notice, self.log)
            job.remember_status(seen)
        if settled.word in ("not_yours", "gone"):
            why = "was no longer ours when it ended" if settled.word == "not_yours" else "was deleted while it ran"
            self.log.warning("Worker %s: job %s %s: its outcome is dropped", self.name, end.job_id, why)
        more = settled.more
        for _ in range(FREE_STEPS if more else 0):
            if not self._ask(lambda: free(keys)).more:
                break
        if not self._perseveres:  # or the next claim shows that the worker rests
            self._ask(lambda: release(keys, worker=self.name, held=()))

    def _send_end(self, holding: Holding, end: Settlement) -> tuple[Settled, Settlement]:
        """Tell how an execution ended. Says what the server has taken: a failure, if it doesn't take the outcome as it
        is."""
        keys = self._store.keys
        try:
            return self._store.run(settle(keys, settlement=end)), end
        except NOT_TAKEN as error:
            fitting = in_its_place(holding, end, error, self.name, self.log)
        return self._store.run(settle(keys, settlement=fitting)), fitting

    @contextlib.contextmanager
    def _in_spite_of_outage(self) -> Iterator[None]:
        """A server that is away is no reason to break off what runs."""
        try:
            yield
        except SERVER_AWAY as error:
            if not self._perseveres:
                raise
            self.log.warning("Worker %s: the server can't be reached (%s)", self.name, error)

    def _ask(self, make: Callable[[], Command[Any]]) -> Any:
        """Send a command; where nobody else could say it, wait for a server that is away."""
        return self._insist(lambda: self._store.run(make()))

    def _insist(self, call: Callable[[], Reply]) -> Reply:
        """Have the server asked; where nobody else could say it, again and again while it is away."""
        pause = 0.25
        while True:
            try:
                return call()
            except SERVER_AWAY as error:
                if not self._perseveres:
                    raise
                self.log.error("Worker %s: the server can't be reached (%s); next try in %s s", self.name, error, pause)
                time.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
