"""RQ's worker classes on atomiq's loop: constructor, `work`, birth and death."""

from __future__ import annotations

import os
import random
import socket
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Any, ClassVar
from uuid import uuid4

from atomiq._commands.worker import worker_birth, worker_death
from atomiq._core.callref import import_attribute
from atomiq._core.errors import ServerError, WorkerExists
from atomiq._core.log import get_logger
from atomiq._core.serial import resolve_serializer
from atomiq._core.settings import (
    DEFAULT_ABANDONED,
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
from atomiq._lua import script, script_names
from atomiq._wire.server import check_server
from atomiq._wire.sync import Store
from atomiq.executors.death import signal_name
from atomiq.executors.perform import Handler
from atomiq.job import Job
from atomiq.logutils import setup_loghandlers
from atomiq.queue import Queue
from atomiq.utils import is_nonstring_iterable
from atomiq.worker.brain import Brain
from atomiq.worker.desk import Desk
from atomiq.worker.driver import Driver
from atomiq.worker.horse import Horse
from atomiq.worker.keeper import Keeper, KeeperLoop, Page
from atomiq.worker.logs import JobLog
from atomiq.worker.own_store import address_seen, close_store, own_store
from atomiq.worker.rules import Rules
from atomiq.worker.settle import Abandonment
from atomiq.worker.signals import Signals
from atomiq.worker.status import DequeueStrategy, WorkerStatus
from atomiq.worker.upkeep import Upkeep

POLICIES = ("retry", "fail")


class BaseWorker(Horse):
    """A worker (RQ). Use `Worker`, which runs each job in a forked child, or `SimpleWorker`, which runs jobs in its
    own process."""

    queue_class: Any = Queue
    job_class: type[Job] = Job
    log_result_lifespan: ClassVar[bool] = True
    log_job_description: bool = True

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
        abandoned: str = DEFAULT_ABANDONED,
        grace: float | None = None,
        kill_after: float = HARD_LIMIT_MARGIN,
    ) -> None:
        """RQ's arguments, and:

        Args:
            queues: names, Queue objects, or a mix; their order is their priority.
            lease: seconds after which a job is taken from a worker that gives no sign of life.
            max_abandoned: how often in a row a job may lose its worker or its process (killed by a signal) and be run
                again; then it is failed as a poison job.
            abandoned: 'retry', or 'fail' for RQ's way (the job's own Retry, else failed).
            grace: seconds that running jobs get at a warm shutdown; past it they are given back. None: as long as
                they need. A SimpleWorker can't interrupt its job and always lets it finish.
            kill_after: seconds between the time limit of a job (an exception in it) and the kill of its child.

        `disable_default_exception_handler` and `job_monitoring_interval` are accepted and have no effect: a failed
        job is always where failed jobs are, and leases are extended every third of a lease.

        Raises:
            TypeError: something in `queues` is neither a name nor a queue.
            AssertionError: no connection, and no queue that has one (RQ).
            ValueError: a class is of the wrong kind, or a number makes no sense.
        """
        given = list(queues) if is_nonstring_iterable(queues) else [queues]
        self.connection = connection if connection is not None else _connection_of(given)
        self.job_class = _subclass(job_class, Job, "job") or self.job_class
        self.queue_class = _subclass(queue_class, object, "queue") or self.queue_class
        self.serializer = resolve_serializer(serializer)
        self.queues = [self._as_queue(queue) for queue in given]
        self._ordered_queues = list(self.queues)
        self.validate_queues()
        if lease <= 0 or max_abandoned < 0 or abandoned not in POLICIES:
            raise ValueError("lease must be above 0, max_abandoned not below, and abandoned one of 'retry' and 'fail'")
        self.name = name or uuid4().hex
        self.lease = lease
        self.max_abandoned = max_abandoned
        self.abandoned = abandoned
        self.grace = grace
        self.kill_after = kill_after
        self.default_result_ttl = default_result_ttl
        self.worker_ttl = worker_ttl or default_worker_ttl or DEFAULT_WORKER_TTL
        self.maintenance_interval = maintenance_interval
        self.job_monitoring_interval = job_monitoring_interval
        self.disable_default_exception_handler = disable_default_exception_handler
        self.log_job_description = log_job_description
        self.last_cleaned_at: datetime | None = None
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
            ValueError: an unknown strategy; nothing was claimed yet.
            WorkerExists: a ValueError; a living worker has this name.
            ServerError: the server can't be reached at the start (later the worker waits for it), or is too old.
        """
        self._dequeue_strategy = DequeueStrategy(dequeue_strategy or DequeueStrategy.DEFAULT)
        self._ordered_queues = list(self.queues)
        rules = self._rules(burst, max_jobs, max_idle_time)
        self._signals = Signals()
        try:
            # Before the birth: a signal that comes in between must not leave the name of a dead worker behind.
            self._signals.install(self.request_stop)
            self.bootstrap(logging_level, date_format, log_format)
            brain = Brain(rules, self._reordered, random.random)
            try:
                self._drive(brain)
            finally:
                self.teardown()
        finally:
            self._signals.uninstall()
            self._signals.close()
            self._signals = None
            self._close_own()
        return brain.executed > 0

    def _rules(self, burst: bool, max_jobs: int | None, max_idle_time: float | None) -> Rules:
        return Rules(
            tuple(dict.fromkeys(self.queue_names())),
            lease=self.lease,
            burst=burst,
            max_jobs=max_jobs,
            max_idle_time=max_idle_time,
            grace=self.grace,
            kill_after=self.kill_after,
            upkeep_interval=self.maintenance_interval,
            killable=self.forks,
            extends=self.forks,
            killed_handler=self._has_killed_handler,
        )

    def _drive(self, brain: Brain) -> None:
        assert self._signals is not None
        store, ttl = self._own_store(), self.worker_ttl + 60
        names = list(dict.fromkeys(self.queue_names()))
        upkeep = Upkeep(store, self.name, names, self.log, self.max_abandoned, self.abandoned, self._cleaned)
        job_log = JobLog(self.log, self.name, self.log_job_description, self.log_result_lifespan)
        abandonment = Abandonment(self.abandoned, self.max_abandoned)
        desk = Desk(store, self.name, self.lease, ttl, abandonment, job_log, self.log)
        keeper = None if self.forks else self._keeper(ttl)
        try:
            Driver(self, brain, store, self._signals, upkeep, desk, job_log, self.log, keeper).run()
        finally:
            if keeper is not None:
                keeper.close()

    def _keeper(self, ttl: int) -> Keeper:
        page = Page()

        def connect() -> Store:
            return own_store(self.connection, self.name, self.lease)

        keeper = Keeper(KeeperLoop(connect, page, self.name, self.lease, ttl, self.log), page)
        keeper.start()
        return keeper

    def _cleaned(self) -> None:
        self.last_cleaned_at = datetime.now(UTC)

    # --- the order of the queues

    def reorder_queues(self, reference_queue: Any) -> None:
        """Change `_ordered_queues` after a job of `reference_queue` was taken, by the strategy (RQ)."""
        if self._dequeue_strategy is DequeueStrategy.ROUND_ROBIN:
            position = [queue.name for queue in self._ordered_queues].index(reference_queue.name)
            self._ordered_queues = self._ordered_queues[position + 1 :] + self._ordered_queues[: position + 1]
        elif self._dequeue_strategy is DequeueStrategy.RANDOM:
            random.shuffle(self._ordered_queues)

    def _reordered(self, order: Sequence[str], served: str) -> Sequence[str]:
        queue = next((queue for queue in self.queues if queue.name == served), None)
        if queue is not None:
            self.reorder_queues(queue)
        return [queue.name for queue in self._ordered_queues] or order

    # --- stopping

    def request_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Finish what runs, then end `work`; asked a second time, more than a second later, end at once. What is
        broken off is run again by somebody (RQ's handler of SIGINT and SIGTERM; also safe to call from another
        thread)."""
        if self._signals is not None:
            self._signals.wish(signal_name(signum) if signum else "request_stop")

    def request_force_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """As `request_stop`; the second of them is the one that ends at once (RQ)."""
        self.request_stop(signum, frame)

    # --- birth and death

    def bootstrap(
        self,
        logging_level: str | int | None = "INFO",
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
    ) -> None:
        """Set up logging where the application has none, and be born (RQ)."""
        setup_loghandlers(logging_level, date_format, log_format, name="atomiq.worker")
        setup_loghandlers(logging_level, date_format, log_format, name="atomiq.job")
        for name in script_names():  # all of them now: an upgrade may replace the files while we run
            script(name)
        self.pid = os.getpid()
        for warning in check_server(self._own_store().connection).warnings:
            self.log.warning("Worker %s: %s", self.name, warning)
        self.ip_address = address_seen(self._own_store())
        self._state = WorkerStatus.STARTED.value
        self.register_birth()
        self.birth_date = self.last_heartbeat = datetime.now(UTC)
        self.log.info("Worker %s: started with PID %s, version %s", self.name, self.pid, __version__)
        self.log.info("Worker %s: subscribing to channel %s", self.name, self.pubsub_channel_name)
        self.log.info("*** Listening on %s...", ", ".join(self.queue_names()))
        self.procline(f"Listening on {','.join(self.queue_names())}")

    def register_birth(self) -> None:
        """Write the worker's hash (RQ). Raises WorkerExists, a ValueError, when a living worker has this name."""
        store = self._own_store()
        birth = worker_birth(
            store.keys,
            worker=self.name,
            queues=list(dict.fromkeys(self.queue_names())),
            fields=self._birth_fields(),
            ttl=self.worker_ttl + 60,
            lease_ms=round(self.lease * 1000),
            incarnation=self._incarnation,
        )
        if store.run(birth) == "taken":
            raise WorkerExists(f"There exists an active worker named {self.name!r} already")

    def register_death(self) -> None:
        """Take leave; what is still held goes back to the front of its queues (RQ)."""
        store = self._own_store()
        names = list(dict.fromkeys(self.queue_names()))
        death = worker_death(store.keys, worker=self.name, queues=names, incarnation=self._incarnation)
        released = store.run(death)
        for job_id in released:
            self.log.warning("Worker %s: job %s given back to its queue", self.name, job_id)

    def teardown(self) -> None:
        """Take leave, if there is anybody to take leave of (RQ)."""
        try:
            self.register_death()
        except ServerError as error:
            text = "Worker %s: could not take leave (%s); what it held is run again when its lease is over"
            self.log.warning(text, self.name, error)
        self.log.info("Worker %s: unsubscribing from channel %s", self.name, self.pubsub_channel_name)

    def _own_store(self) -> Store:
        if self._own is None:
            self._own = own_store(self.connection, self.name, self.lease)
        return self._own

    def _close_own(self) -> None:
        if self._own is not None:
            close_store(self._own)
            self._own = None

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
