"""RQ's methods of a worker that forks for each job, for classes that override one of them and for callers from outside.
A worker without overrides has warm children instead, or the fork executor."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from atomiq._commands.base import text
from atomiq._commands.settle import Settled
from atomiq._commands.views import view_job
from atomiq._core.settings import DEFAULT_TIMEOUT
from atomiq._wire.readable import readable
from atomiq.executors import hooks
from atomiq.executors.death import Death, death_text
from atomiq.executors.fork import Announce, Child, ForkExecutor
from atomiq.executors.limits import MainThreadGuard
from atomiq.executors.report import Report
from atomiq.job import Job
from atomiq.timeouts import HorseMonitorTimeoutException
from atomiq.worker.execution_methods import NOBODY, Waited
from atomiq.worker.opened import Opened
from atomiq.worker.overrides import our_own, overridden
from atomiq.worker.signals import SHUTDOWN_SIGNALS
from atomiq.worker.status import WorkerStatus
from atomiq.worker.steps import Stepping


@our_own
class Forking(Stepping):
    """A work horse for each job."""

    _horse: Child | None = None
    _horse_forks: ForkExecutor | None = None

    def execute_job(self, job: Job, queue: Any) -> None:
        """Run a job in a process of its own, wait for its end, and see to it that the job ends (RQ)."""
        self.prepare_execution(job)
        opened = self._call.opened
        try:
            self.fork_work_horse(job, queue)
            self.monitor_work_horse(job, queue)
        finally:
            self._forget_horse()
        if not self._perseveres:  # or the loop does it
            self._leave_failed(job, opened, f"{type(self).__name__}: the work horse did not perform the job")
        with self._in_spite_of_outage():
            self.set_state(WorkerStatus.IDLE)

    def fork_work_horse(self, job: Job, queue: Any) -> None:
        """Start the process that runs the job (RQ). An override notes its pid as `_horse_pid`."""
        forks = self._horse_forks = ForkExecutor()

        def call(_announce: Announce) -> Report:
            began = time.monotonic()
            self._is_horse = self._perseveres = True
            self._signals = None
            self._call.guard = MainThreadGuard(self.death_penalty_class)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.environ["RQ_WORKER_ID"], os.environ["RQ_JOB_ID"] = self.name, job.id
            try:
                hooks.start_child()
                self.main_work_horse(job, queue)
            finally:
                hooks.stop_child()
            return Report("finished", began, time.monotonic())

        self._horse = forks.start(call, boxed=True)
        self._horse_pid = self._horse.pid
        self.procline(f"Forked {self._horse_pid} at {time.time()}")

    def monitor_work_horse(self, job: Job, queue: Any) -> None:
        """Wait for the end of the work horse; extend the lease meanwhile, and kill it when it overruns (RQ)."""
        opened, began = self._opened_for(job), time.monotonic()
        told = False
        while True:
            over, (retpid, ret_val, rusage) = self._wait_a_while(job)
            if over:
                break
            working = time.monotonic() - began
            with self._in_spite_of_outage():
                if self._stop_requested and not told:
                    self.set_shutdown_requested_date()
                    told = True
                self.set_current_job_working_time(working)
            if self._is_over(job, working):
                self.log.warning("Worker %s: job %s overran its time limit and is killed", self.name, job.id)
                opened.verdict = "overran"
                self.kill_horse()
                retpid, ret_val, rusage = self.wait_for_horse()
                break
            with self._in_spite_of_outage():
                self.maintain_heartbeats(job)
        with self._in_spite_of_outage():
            self.set_current_job_working_time(0)
        self._horse_pid = 0
        if (ret_val == os.EX_OK and opened.verdict == "reported") or not self._still_open(opened):
            return
        self._horse_died(job, queue, opened, retpid, ret_val, rusage)

    def _is_over(self, job: Job, working: float) -> bool:
        """Whether the horse is to be killed: by RQ's rule, and not while it is in a callback that may take longer."""
        limit = job.timeout or DEFAULT_TIMEOUT
        return 0 < limit < working - self.kill_after and (self._kept_by is None or self._kept_by.is_over())

    def _wait_a_while(self, job: Job) -> tuple[bool, Waited]:
        """Wait for the horse, at most until the lease has to be extended. Says whether it has ended, and how."""
        seconds = min(float(self.job_monitoring_interval), self.lease / 3)
        if not overridden(self, "wait_for_horse") and self._horse is not None and self._horse.pidfd >= 0:
            ready = readable((self._horse.pidfd,), seconds)
            return (True, self.wait_for_horse()) if ready else (False, NOBODY)
        try:
            with self.death_penalty_class(max(1, int(seconds)), HorseMonitorTimeoutException, job_id=job.id):
                return True, self.wait_for_horse()
        except HorseMonitorTimeoutException:
            return False, NOBODY

    def _still_open(self, opened: Opened) -> bool:
        """Whether nobody has settled the execution yet."""
        fields = self._ask(lambda: view_job(self._store.keys, job_id=opened.job_id)) or {}
        return fields.get(b"status") == b"started" and text(fields.get(b"execution", b"")) == opened.execution_id

    def _horse_died(self, job: Job, queue: Any, opened: Opened, *ended: Any) -> None:
        retpid, ret_val, rusage = ended
        holding, words = opened.holding, None
        if self._horse is not None and self._horse.box is not None:
            words = self._horse.box.last_words()
        holding.death = Death(retpid or 0, ret_val, rusage, words)
        holding.ended = time.monotonic()
        if self._stop_requested and holding.death.signal_number in SHUTDOWN_SIGNALS:  # it was to stop with us
            self._give_back(opened)
            opened.settled = Settled("ok", "queued", 0, False)
            return
        if self._stopped_job_id == job.id:
            opened.verdict = "stopped"
            self.log.warning("Worker %s: job %s stopped by user, killing work-horse", self.name, job.id)
            try:
                job.execute_stopped_callback(self.death_penalty_class)
            except Exception:
                self.log.exception("Worker %s: job %s: its stopped callback failed", self.name, job.id)
            self._settle_death(job, opened)
            return
        if opened.verdict == "reported":
            opened.verdict = "died"
        text = death_text(holding.death)
        self.log.warning("Worker %s: job %s: %s", self.name, job.id, text)
        self._tell_of(job, queue, opened, text, ended)

    def _tell_of(self, job: Job, queue: Any, opened: Opened, text: str, ended: tuple[Any, ...]) -> None:
        """Have the methods called that may be somebody's; what they leave open is settled behind them."""
        before = int(opened.holding.claimed.fields.get(b"retries_left") or 0)
        try:
            self.handle_work_horse_killed(job, *ended)
            if before > 0 and not job.retries_left:
                opened.holding.retry = "never"
            self.handle_job_failure(job, queue=queue, exc_string=text)
        except Exception:
            self.log.exception("Worker %s: job %s: a method of its end failed", self.name, job.id)
        if opened.settled is None:
            self._settle_death(job, opened, text)

    def wait_for_horse(self) -> Waited:
        """Wait for the end of the work horse: its pid, exit status and use of resources, all None if unknown (RQ)."""
        if self._horse is not None and self._horse.pid == self._horse_pid:
            death = self._horse.wait()
            return (death.pid, death.status, death.usage) if death.status is not None else NOBODY
        try:
            return os.wait4(self._horse_pid, 0) if self._horse_pid else NOBODY
        except ChildProcessError:
            return NOBODY

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signal the work horse and what it has started; without one nothing happens (RQ)."""
        pid = self._horse_pid
        if not pid or pid == os.getpid():  # 0 would be our own group
            self.log.debug("Worker %s: no horse to kill", self.name)
            return
        if self._horse is not None and self._horse.pid == pid:
            self._horse.kill(sig)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sig)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) == pid:
                    os.killpg(pid, sig)
        self.log.info("Worker %s: killed horse pid %s", self.name, pid)

    def _end_own_fork(self) -> None:
        """That of a `fork_work_horse` which isn't ours, if nobody has waited for its end."""
        try:
            ended, _ = os.waitpid(self._horse_pid, os.WNOHANG)
        except ChildProcessError:
            return
        if not ended:
            self.kill_horse()
            self.wait_for_horse()

    def _forget_horse(self) -> None:
        horse, forks = self._horse, self._horse_forks
        self._horse = self._horse_forks = None
        if horse is not None:
            if horse.look() is None:
                horse.kill()
                horse.wait()
            horse.close()
            if horse.box is not None and forks is not None:
                forks.put_back(horse.box)
        elif self._horse_pid:
            self._end_own_fork()
        if forks is not None:
            forks.close()
        self._horse_pid = 0
