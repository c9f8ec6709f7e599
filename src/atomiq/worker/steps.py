"""RQ's loop, one thing after the other, each by a method that a subclass may override.

A class that has changed one of them (`overrides.LOOP`) is run by it, one job at a time; any of the methods may also be
called from outside. Every change of a job is one atomic step here as well, and a keeper process extends the lease of
what runs, whatever an override does meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import time
from datetime import datetime
from typing import Any, ClassVar

from atomiq._commands.base import text
from atomiq._commands.claim import Claim, claim, release
from atomiq._commands.views import view_job
from atomiq._core.errors import SERVER_AWAY, ServerUnavailable, StopRequested
from atomiq._core.ids import new_execution_id
from atomiq._core.settings import QUICK_SAFETY_CHECK, SAFETY_CHECK
from atomiq._wire.demoted import leave
from atomiq._wire.readable import readable
from atomiq._wire.siblings import lives_here
from atomiq._wire.sync import Store
from atomiq._wire.wait import Bell
from atomiq.command import handle_command, parse_payload
from atomiq.executors.fork import NoRoom
from atomiq.executors.perform import describe_error
from atomiq.executors.report import Report
from atomiq.executors.story import ColdStop
from atomiq.job import Job
from atomiq.stations.rules import QUICK_PERIOD
from atomiq.suspension import is_suspended
from atomiq.worker.between import Between
from atomiq.worker.keeper import Keeper, NamesTooLong
from atomiq.worker.listener import Listener
from atomiq.worker.opened import Opened
from atomiq.worker.orphans import Orphans
from atomiq.worker.overrides import LOOP, our_own, overridden
from atomiq.worker.own_store import cut_off_for
from atomiq.worker.runs import NO_ROOM_PAUSE
from atomiq.worker.settle import Holding
from atomiq.worker.signals import Signals
from atomiq.worker.status import WorkerStatus


@our_own
class Stepping(Between):
    """The part of a worker that does one thing after the other."""

    in_steps: ClassVar[bool] = False
    """This class is always run by RQ's loop."""

    birth_date: datetime | None = None
    pubsub: Any = None
    pubsub_thread: Any = None
    _stop_requested: bool = False
    _listener: Listener | None = None
    _bell: Bell | None = None
    _kept_by: Keeper | None = None
    _quick_until: float = float("-inf")

    # --- the loop

    @property
    def _store(self) -> Store:
        """In the loop its own line, which is less patient with a silent server than the application's."""
        if self._perseveres and self._own is not None and os.getpid() == self.pid:
            return self._own
        return super()._store

    @property
    def _steps_wanted(self) -> list[str]:
        """Why RQ's loop has to run this worker: the methods of it that somebody has made their own."""
        return ["setup_work_horse_signals"] if self.in_steps else overridden(self, *LOOP)

    def handle_warm_shutdown_request(self) -> None:
        """Called when the worker is asked to end for the first time, in the handler of the signal (RQ)."""
        if self._perseveres:
            self.log.info("Worker %s: warm shut down requested", self.name)

    def _work_in_steps(self, signals: Signals, burst: bool, max_jobs: int | None, max_idle_time: float | None) -> bool:
        done, pause, begun = 0, 1.0, False
        self._perseveres = True
        keeper = self._kept_by = self._keeper(hears=False)
        self._orphans = Orphans(keeper.pids)
        try:
            while max_jobs is None or done < max_jobs:
                try:
                    if not begun:
                        self._reap_at = time.monotonic() + cut_off_for(self._store, self.lease)
                        if not lives_here(self.connection):
                            self.subscribe()
                        begun = True
                    self.check_for_suspension(burst)
                    if self.should_run_maintenance_tasks:
                        self.run_maintenance_tasks()
                    self._look_after_others()
                    self._take_wishes()
                    if self._stop_requested:
                        self.log.info("Worker %s: stopping on request", self.name)
                        break
                    found = self.dequeue_job_and_maintain_ttl(None if burst else self.dequeue_timeout, max_idle_time)
                except SERVER_AWAY as error:
                    self.log.error(
                        "Worker %s: the server can't be reached (%s); next try in %s s", self.name, error, pause
                    )
                    leave(self._store.connection.connection_pool)
                    self._pause(pause)
                    self._reap_at = time.monotonic() + self.lease  # others may have been cut off as well
                    pause = min(self.max_connection_wait_time, pause * self.exponential_backoff_factor)
                    continue
                pause = 1.0
                if found is None:
                    self._say_why_it_ends(burst)
                    break
                self._execute(signals, keeper, *found)
                done += 1
                with contextlib.suppress(*SERVER_AWAY):
                    done -= self._waits(found[0])
                    self.heartbeat()
            else:
                self.log.info("Worker %s: finished executing %s jobs, quitting", self.name, done)
        except StopRequested:
            pass
        finally:
            self._perseveres = False
            with contextlib.suppress(Exception):
                self.unsubscribe()
            if self._bell is not None:
                self._bell.close()
                self._bell = None
            self._kept_by = self._orphans = None
            keeper.close()
        return done > 0

    def _say_why_it_ends(self, burst: bool) -> None:
        if self._stop_requested:
            self.log.info("Worker %s: stopping on request", self.name)
        elif burst:
            self.log.info("Worker %s: done, quitting", self.name)
        else:
            self.log.info("Worker %s: idle for long enough, quitting", self.name)

    def _execute(self, signals: Signals, keeper: Keeper, job: Job, queue: Any) -> None:
        """Have a job executed; whatever `execute_job` does or leaves out, it ends."""
        opened, me = self._opened(job), os.getpid()

        def begun() -> Opened | None:
            return opened or self._opened(job)

        with signals.job_here():
            try:
                if opened is not None:
                    self._keep(opened)
                self.execute_job(job, queue)
                if os.getpid() != me:  # a fork that came back to us; it must not go on as a second worker
                    os._exit(0)
            except ColdStop:
                self.log.info("Worker %s: cold shut down", self.name)
                self.kill_horse()
                self._perseveres = False  # nor is the server waited for
                with contextlib.suppress(*SERVER_AWAY):
                    self._give_back(begun())
                raise
            except SERVER_AWAY as error:
                self.log.error("Worker %s: the server can't be reached (%s)", self.name, error)
                self._give_back(begun())
                return
            except NoRoom as error:
                self.log.error("Worker %s: no process can be started (%s)", self.name, error.strerror)
                self._give_back(begun())
                self._pause(NO_ROOM_PAUSE)
                return
            except NamesTooLong as error:
                self._leave_failed(job, begun(), f"{error}\n")
                return
            except Exception:
                self._leave_failed(job, begun(), describe_error())
                raise
            finally:
                keeper.let_go()
        self._leave_failed(job, begun(), f"{type(self).__name__}.execute_job did not perform the job")

    def _opened(self, job: Job) -> Opened | None:
        """The execution of this job that is open. A job that a class has taken in its own way has none at first."""
        return self._call.opened if self._executes(job) else None

    def _keep(self, opened: Opened) -> None:
        if self._kept_by is not None:
            self._call.announce = self._kept_by.keep(opened.holding.claimed, self.kill_after)

    def _open(self, job: Job) -> Opened:
        """In the loop: have the lease extended, too, of a job that wasn't claimed there."""
        opened = super()._open(job)
        if os.getpid() == self.pid:
            self._keep(opened)
        return opened

    def _leave_failed(self, job: Job, opened: Opened | None, why: str) -> None:
        """Nobody has said how it ended; or somebody has in another process: then the server knows, and refuses this."""
        if opened is None or opened.settled is not None:
            return
        opened.supervised = True  # nothing is said about it if it is refused
        at = time.monotonic()
        self._settle(job, opened, Report("failed", at, at, exc_string=why, failure_ttl=job.failure_ttl))
        if opened.word == "ok":
            self.log.error("Worker %s: job %s is failed: %s", self.name, job.id, why)
        store = self._store
        self._ask(lambda: release(store.keys, worker=self.name, held=()))

    def _give_back(self, opened: Opened | None) -> None:
        if opened is not None and opened.settled is None:
            held = (opened.holding.held,)
            (word,) = self._ask(lambda: release(self._store.keys, worker=self.name, held=held))
            if word == "ok":
                self.log.warning("Worker %s: job %s given back to its queue", self.name, opened.job_id)

    def _waits(self, job: Job) -> bool:
        """Whether what the job requires was not there: it is not one of max_jobs then. A work horse tells the server
        alone."""
        opened = self._call.opened
        if opened is None or opened.job_id != job.id or not opened.holding.claimed.fields.get(b"requires"):
            return False
        fields = self._store.run(view_job(self._store.keys, job_id=job.id)) or {}
        return text(fields.get(b"settled", b"")) == f"waiting:{opened.execution_id}"

    def execute_job(self, job: Job, queue: Any) -> None:
        """Run a job and settle it (RQ). What it is depends on the class."""
        raise NotImplementedError

    # --- taking jobs

    def dequeue_job_and_maintain_ttl(
        self, timeout: float | None, max_idle_time: float | None = None
    ) -> tuple[Job, Any] | None:
        """The next job, started already, with its queue; None if there is none, or the worker is to end (RQ).

        Args:
            timeout: None: don't wait. Otherwise one wait lasts at most so many seconds, and others follow.
            max_idle_time: seconds without a job after which None is returned.
        """
        names = ", ".join(queue.name for queue in self._ordered_queues)
        self.procline(f"Listening on {names}")
        self.log.debug("Worker %s: *** Listening on %s...", self.name, names)
        began = time.monotonic()
        waited = False
        while True:
            answer = self._claim_one()
            if answer.jobs:
                break
            if answer.more:
                continue
            left = None if max_idle_time is None else max_idle_time - (time.monotonic() - began)
            if timeout is None or (left is not None and left <= 0):
                return None
            waits = [timeout, QUICK_SAFETY_CHECK if time.monotonic() < self._quick_until else SAFETY_CHECK]
            waits += [left] if left is not None else []
            waits += [max(0.001, (answer.next_due_ms - answer.now_ms) / 1000)] if answer.next_due_ms else []
            waited = not self._wait_for_bell(min(waits))
            if self._stop_requested:
                return None
            self.heartbeat()
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()
            self._look_after_others()
        if waited:  # the bell was silent although there was work: RQ's producers don't ring
            self._quick_until = time.monotonic() + QUICK_PERIOD
        return self._taken(answer)

    def _claim_one(self) -> Claim:
        store = self._store
        names = tuple(dict.fromkeys(queue.name for queue in self._ordered_queues))
        executions = (new_execution_id(),)
        # RQ's time, as nobody knows when the caller will execute it; our lease where we execute it ourselves.
        lease = self.lease if self._perseveres else self.lease + self.job_monitoring_interval + 60
        ask = claim(store.keys, queues=names, worker=self.name, executions=executions, lease_ms=round(lease * 1000))
        return store.run(ask)

    def _taken(self, answer: Claim) -> tuple[Job, Any]:
        (claimed,) = answer.jobs
        self._call.opened = Opened(Holding(claimed, time.monotonic(), answer.now_ms))
        self._stopped_job_id = None
        job = self.restore_claimed(claimed)
        queue = next((queue for queue in self.queues if queue.name == claimed.queue), None)
        assert queue is not None
        self.reorder_queues(reference_queue=queue)
        self._job_log().started(claimed)
        return job, queue

    def _wait_for_bell(self, seconds: float) -> bool:
        """Wait for work at most so long, or until the worker is to end. Says whether somebody rang."""
        bell = self._bell = self._bell or Bell(self._store)
        if not bell.listening:
            bell.listen(self._distinct_names, seconds)
        fds = [bell.fileno()] if self._signals is None else [bell.fileno(), self._signals.fileno()]
        ready = readable(fds, max(0.0, bell.deadline - time.monotonic()))
        if not ready:
            bell.close()
            raise ServerUnavailable("the connection of the bell is dead")
        rung = bell.fileno() in ready and bell.read()
        if bell.listening or self._signals is None:
            bell.close()
            self._bell = None
        self._take_wishes()
        return rung

    def _pause(self, seconds: float) -> None:
        """Sleep, but for a wish to end."""
        if self._signals is None:
            time.sleep(seconds)
        else:
            readable((self._signals.fileno(),), seconds)
            self._take_wishes()

    def _take_wishes(self) -> None:
        """A wish to stop has been noted when it came."""
        if self._signals is not None and any(name == "SIGHUP" for name, _ in self._signals.take()):
            self.log.warning("Worker %s: SIGHUP is ignored: in RQ's loop only a restart changes the code", self.name)

    def check_for_suspension(self, burst: bool) -> None:
        """Wait while workers are suspended (RQ).

        Raises:
            StopRequested: they are, and the worker isn't to wait for anything.
        """
        before: str | None = None
        while not self._stop_requested and is_suspended(self._store.connection, None if before is None else self):
            if burst:
                self.log.info("Worker %s: suspended in burst mode, exiting", self.name)
                raise StopRequested
            if before is None:
                self.log.info("Worker %s: suspended, run `atomiq resume` to resume", self.name)
                before = self.get_state()
                self.set_state(WorkerStatus.SUSPENDED)
            self._pause(1.0)
        if before is not None:
            self.set_state(before)

    # --- commands

    def subscribe(self) -> None:
        """Listen to the worker's channel, in a thread (RQ)."""
        if self._listener is None:
            self.log.info("Worker %s: subscribing to channel %s", self.name, self.pubsub_channel_name)
            self._listener = Listener(self._store, self.pubsub_channel_name, self.handle_payload, self.log)
            self.pubsub_thread = self._listener.thread

    def unsubscribe(self) -> None:
        """Listen no more (RQ)."""
        if self._listener is not None:
            self.log.info("Worker %s: unsubscribing from channel %s", self.name, self.pubsub_channel_name)
            self._listener.close()
            self._listener = self.pubsub_thread = None

    def handle_payload(self, message: Any) -> None:
        """Do what a message on the worker's channel says (RQ)."""
        handle_command(self, parse_payload(message))

    def stop_scheduler(self) -> None:
        """Nothing to do: workers move what is due by themselves, there is no scheduler process (RQ has one)."""
