"""RQ's worker classes on atomiq's loop: constructor, `work`, birth and death."""

from __future__ import annotations

import math
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any
from uuid import uuid4

from setproctitle import setproctitle as setprocname

from atomiq._core.addresses import parse_address
from atomiq._core.callref import import_attribute
from atomiq._core.choices import CHOICES
from atomiq._core.errors import InvalidOption, StopRequested, WorkerFailed
from atomiq._core.ids import validate_worker_name
from atomiq._core.log import get_logger
from atomiq._core.serial import resolve_serializer
from atomiq._core.settings import (
    DEFAULT_JOB_MONITORING_INTERVAL,
    DEFAULT_LEASE,
    DEFAULT_LOGGING_DATE_FORMAT,
    DEFAULT_LOGGING_FORMAT,
    DEFAULT_MAINTENANCE_TASK_INTERVAL,
    DEFAULT_MAX_ABANDONED,
    DEFAULT_RESULT_TTL,
    DEFAULT_WORKER_TTL,
    HARD_LIMIT_MARGIN,
)
from atomiq._core.version import __version__
from atomiq._wire.siblings import check_client, lives_here
from atomiq._wire.sync import Store
from atomiq.command import PUBSUB_CHANNEL_TEMPLATE, handle_command, parse_payload
from atomiq.executors.death import signal_name
from atomiq.executors.perform import Handler
from atomiq.job import Job
from atomiq.queue import Queue
from atomiq.utils import is_nonstring_iterable
from atomiq.worker.brain import Brain
from atomiq.worker.engine import Engine, default_executor
from atomiq.worker.life import Living
from atomiq.worker.overrides import our_own, overridden
from atomiq.worker.rehearsal import rehearsing
from atomiq.worker.reload import found
from atomiq.worker.signals import SHUTDOWN_SIGNALS, Signals
from atomiq.worker.status import DequeueStrategy, WorkerStatus

SHUTDOWN_SIGNAL = SHUTDOWN_SIGNALS[0]
"""The signal that asks a worker to finish what it runs and end (RQ)."""
VERSION = __version__
logger = get_logger("worker")
POLICIES = ("retry", "fail")

__all__ = [
    "PUBSUB_CHANNEL_TEMPLATE",
    "SHUTDOWN_SIGNAL",
    "VERSION",
    "BaseWorker",
    "DequeueStrategy",
    "WorkerStatus",
    "handle_command",
    "logger",
    "parse_payload",
    "setprocname",
    "signal_name",
]


@our_own
class BaseWorker(Living):
    """A worker (RQ). Use `Worker`, which runs jobs in child processes, or `SimpleWorker`, which runs them itself."""

    queue_class: Any = Queue
    job_class: type[Job] = Job

    def __init__(
        self,
        queues: Any,
        name: str | None = None,
        default_result_ttl: int = DEFAULT_RESULT_TTL,
        connection: Any = None,
        exception_handlers: Any = None,
        maintenance_interval: int = DEFAULT_MAINTENANCE_TASK_INTERVAL,
        default_worker_ttl: int | None = None,
        worker_ttl: int | None = None,
        job_class: Any = None,
        queue_class: Any = None,
        log_job_description: bool = True,
        job_monitoring_interval: int = DEFAULT_JOB_MONITORING_INTERVAL,
        disable_default_exception_handler: bool = False,
        prepare_for_work: bool = True,
        serializer: Any = None,
        work_horse_killed_handler: Callable[..., Any] | None = None,
        *,
        lease: float = DEFAULT_LEASE,
        max_abandoned: int = DEFAULT_MAX_ABANDONED,
        abandoned: str | None = None,
        grace: float | None = None,
        kill_after: float = HARD_LIMIT_MARGIN,
        executor: str | Mapping[str, int] | None = None,
        concurrency: int | None = None,
        max_jobs_per_child: int | None = None,
        max_memory_per_child: int | str | None = None,
        memory_limit: int | str | None = None,
        imports: Sequence[str] = (),
        health_port: str = "",
        reloads: bool = False,
        watched: Sequence[str] = (),
    ) -> None:
        """RQ's arguments, and:

        Args:
            queues: names, Queue objects, or a mix; their order is their priority.
            lease: seconds after which a job is taken from a worker that gives no sign of life.
            max_abandoned: how often in a row a job may lose its worker or its process (killed by a signal) and be run
                again; then it is failed as a poison job.
            abandoned: 'retry', or 'fail' for RQ's way (the job's own Retry, else failed). Default: 'retry', and 'fail'
                under the alias `rq`.
            grace: seconds that running jobs get at a warm shutdown; past it they are given back. None: as long as
                they need. A SimpleWorker can't interrupt its job and always lets it finish.
            kill_after: seconds between the time limit of a job (an exception in it) and the kill of its child.
            executor: how jobs are run: process (warm children, one job at a time each), fork (a fresh fork for each
                job), spawn, thread, async, inline; or several with their concurrency, as {'process': 2, 'async': 100}
                or 'process:2,async:100'. Default: what the class says.
            concurrency: jobs at a time, for a single executor. Default: 1; thread 8, async 100.
            max_jobs_per_child, max_memory_per_child: a warm child that has run so many jobs, or uses so many bytes
                ('512M') after one, is replaced.
            memory_limit: a child that uses more while a job runs is killed; the job fails with MemoryLimitExceeded.
            imports: modules that spawned children import before they take work; forked ones have what is imported
                before `work`.
            reloads: at SIGHUP the whole process executes anew what it was started as, to use changed code; children
                finish what they run. For a process that is nothing but this worker, as `atomiq worker` is.
            watched: folders; a change of a Python file there is as good as SIGHUP.
            health_port: where probes may ask (/live, /ready): '8080' on this machine only, ':8080' from anywhere,
                'unix:/path'. Default: nowhere.

        `disable_default_exception_handler` is accepted and has no effect: a failed job is always where failed jobs are.
        `job_monitoring_interval` counts only where RQ's own loop runs, for a class that overrides a method of it;
        otherwise leases are extended every third of a lease.

        Raises:
            TypeError: something in `queues` is neither a name nor a queue; or `connection` is no redis.Redis.
            AssertionError: no connection, and no queue that has one (RQ).
            ValueError: a class is of the wrong kind, or a number makes no sense. InvalidName, one of them: the name.
        """
        given = list(queues) if is_nonstring_iterable(queues) else [queues]
        self.connection = connection if connection is not None else _connection_of(given)
        check_client(self.connection, asyncio=False)
        self.job_class = _subclass(job_class, Job, "job") or self.job_class
        self.queue_class = _subclass(queue_class, object, "queue") or self.queue_class
        self.serializer = resolve_serializer(serializer)
        self.queues = [self._as_queue(queue) for queue in given]
        self._ordered_queues = list(self.queues)
        self.validate_queues()
        abandoned = CHOICES.abandoned if abandoned is None else abandoned
        if not 0 < lease < math.inf or max_abandoned < 0 or abandoned not in POLICIES:
            raise ValueError(
                "lease must be above 0 and end, max_abandoned not below, and abandoned one of 'retry' and 'fail'"
            )
        if health_port:
            parse_address(health_port)
        self.name = name or uuid4().hex
        validate_worker_name(self.name)
        self.lease = lease
        self.max_abandoned = max_abandoned
        self.abandoned = abandoned
        self.grace = grace
        self.kill_after = kill_after
        self.imports = tuple(imports)
        self.health_port = health_port
        self.watched = tuple(watched)
        self.reloads = reloads and hasattr(signal, "SIGHUP")
        self.engine = Engine.of(
            executor or self._default_executor(),
            concurrency,
            max_jobs_per_child,
            max_memory_per_child,
            memory_limit,
        )
        self.default_result_ttl = default_result_ttl
        self.worker_ttl = worker_ttl or default_worker_ttl or DEFAULT_WORKER_TTL
        self.maintenance_interval = maintenance_interval
        self.job_monitoring_interval = job_monitoring_interval
        self.disable_default_exception_handler = disable_default_exception_handler
        self.log_job_description = log_job_description
        self.last_cleaned_at = None
        self.scheduler = None
        self.log = get_logger("worker")
        self._exc_handlers = _handlers(exception_handlers)
        self._work_horse_killed_handler = work_horse_killed_handler
        self._dequeue_strategy = DequeueStrategy.DEFAULT
        self._incarnation = os.urandom(16).hex()
        self._signals: Signals | None = None
        self._own: Store | None = None
        self.version, self.python_version = __version__, sys.version
        if prepare_for_work:
            self.hostname, self.pid = socket.gethostname(), os.getpid()

    def validate_queues(self) -> None:
        """Raises TypeError unless every queue is one (RQ)."""
        for queue in self.queues:
            if not isinstance(queue, self.queue_class):
                raise TypeError(f"{queue} is not of type {self.queue_class} or string types")

    def _default_executor(self) -> str:
        """What the class says. One that changes what RQ's work horse does gets a work horse for each job."""
        if self._steps_wanted and self.executor != "inline":
            return "fork"
        if self.executor is not None:
            return self.executor
        return "fork" if self._overrides_work_horse else CHOICES.executor or default_executor()

    def _as_queue(self, queue: Any) -> Any:
        if not isinstance(queue, str):
            return queue
        return self.queue_class(
            queue,
            connection=self.connection,
            job_class=self.job_class,
            serializer=self.serializer,
            death_penalty_class=self.death_penalty_class,
        )

    # --- work

    def work(
        self,
        burst: bool = False,
        logging_level: str | int | None = None,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: float | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy | str | None = DequeueStrategy.DEFAULT,
    ) -> bool:
        """Work until told to stop; True if at least one job was executed (RQ).

        Args:
            burst: end when there is nothing to do.
            max_jobs: end after so many jobs.
            max_idle_time: end after so many seconds without work.
            with_scheduler: accepted; every worker moves what is due.
            dequeue_strategy: 'default' (order of the queues), 'round_robin', 'random'.

        Raises:
            ValueError: an unknown strategy, or no queue to work on; nothing was claimed yet.
            WorkerExists: a ValueError; a living worker has this name.
            ServerError: the server can't be reached at the start (later the worker waits for it), or is too old.
            WorkerFailed: the server is in this process's memory (fakeredis), and this is no SimpleWorker in a burst.
        """
        self._dequeue_strategy = DequeueStrategy(dequeue_strategy or DequeueStrategy.DEFAULT)
        if not self.queues:
            raise InvalidOption(f"worker {self.name} has no queue to work on: Worker(['default'], ...)")
        if lives_here(self.connection) and not (burst and self.engine.inline):
            raise WorkerFailed(
                f"worker {self.name} can't work on fakeredis, which keeps its data in this process and has nothing to "
                "wait on: use SimpleWorker(...).work(burst=True), or the embedded server: connect(embedded=True)"
            )
        if rehearsing():
            return False
        self._ordered_queues = list(self.queues)
        self._stop_requested = False
        self._signals = signals = Signals()
        self._handed_on = found() if self.reloads else None
        if self._handed_on is not None:
            self.name, self._incarnation = self._handed_on.name, self._handed_on.incarnation
            max_jobs = None if max_jobs is None else max(0, max_jobs - self._handed_on.done)
        try:
            # Before the birth: a signal that comes in between must not leave the name of a dead worker behind.
            signals.install(self._hear_signal, reloads=self.reloads)
            self.bootstrap(logging_level, date_format, log_format)
            try:
                return self._work(signals, burst, max_jobs, max_idle_time)
            finally:
                self.teardown()
        finally:
            signals.uninstall()
            signals.close()
            self._signals = None
            self._close_own()

    def _work(self, signals: Signals, burst: bool, max_jobs: int | None, max_idle_time: float | None) -> bool:
        changed = self._steps_wanted
        if changed:
            text = "Worker %s: %s runs jobs one at a time, in RQ's way: it has its own %s"
            self.log.info(text, self.name, type(self).__name__, ", ".join(changed))
            self._warn_of_what_steps_lack()
            return self._work_in_steps(signals, burst, max_jobs, max_idle_time)
        brain = Brain(self._rules(burst, max_jobs, max_idle_time), self._reordered, random.random)
        self._drive(brain, max_jobs)
        return brain.executed + brain.crew.done > 0

    def _warn_of_what_steps_lack(self) -> None:
        kinds, unheeded = self.engine.executors, ["grace"] if self.grace is not None else []
        unheeded += [name for name in ("health_port", "watched") if getattr(self, name)]
        unheeded += ["concurrency"] if sum(kinds.values()) > 1 else []
        unheeded += ["executor"] if self.engine.first not in ("fork", "inline") else []
        if unheeded:
            self.log.warning("Worker %s: in RQ's loop there is no %s", self.name, ", ".join(unheeded))

    # --- stopping

    def request_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Finish what runs, then end `work`; asked a second time, more than a second later, end at once. What is
        broken off is run again by somebody (RQ's handler of SIGINT and SIGTERM; also safe to call from another
        thread).

        Raises:
            StopRequested: called with a signal, and the worker isn't at work (RQ).
        """
        first, self._stop_requested = not self._stop_requested, True
        if first:
            self.handle_warm_shutdown_request()
        if self._signals is not None:
            self._signals.wish(signal_name(signum) if signum else "request_stop")
        elif signum is not None:
            self._stop_requested = False
            raise StopRequested

    def request_force_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """As `request_stop`; the second of them is the one that ends at once (RQ)."""
        BaseWorker.request_stop(self, signum, frame)

    def stop_by_command(self) -> None:
        """The command to shut down has come."""
        if overridden(self, "request_stop", "handle_warm_shutdown_request"):
            self.request_stop(SHUTDOWN_SIGNAL, None)
        elif self._signals is not None:
            self._stop_requested = True
            self._signals.wish("shutdown command")

    def _hear_signal(self, signum: int, frame: FrameType | None) -> None:
        if signum not in SHUTDOWN_SIGNALS:
            if self._signals is not None:
                self._signals.wish(signal_name(signum))
        elif self._stop_requested:
            self.request_force_stop(signum, frame)
        else:
            self.request_stop(signum, frame)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(self.queue_names())}>"


def _connection_of(queues: Sequence[Any]) -> Any:
    connection = next((queue.connection for queue in queues if not isinstance(queue, str)), None)
    assert connection is not None, "a worker needs a connection, or a queue that has one"
    return connection


def _subclass(given: Any, base: type[Any], what: str) -> Any:
    """`given`, imported if it is a name. Raises ValueError unless it is a subclass of `base`."""
    if given is None:
        return None
    found = import_attribute(given) if isinstance(given, str) else given
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"Invalid {what} class: {given}")
    return found


def _handlers(given: Any) -> list[Handler]:
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]
