"""Several worker processes under one parent (RQ's `rq.worker_pool`).

One worker with `concurrency` does the same with less: its children share its heartbeat and its upkeep.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from multiprocessing.connection import wait
from types import FrameType
from typing import Any, Final, NamedTuple
from uuid import uuid4

from atomiq._core.errors import InvalidOption
from atomiq._core.log import get_logger
from atomiq._core.settings import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from atomiq._wire.carry import connection_like, make_connection, pattern_of
from atomiq._wire.connect import parse_connection
from atomiq.job import Job
from atomiq.logutils import setup_loghandlers
from atomiq.queue import Queue
from atomiq.serializers import DefaultSerializer
from atomiq.utils import parse_names
from atomiq.worker import BaseWorker, Worker

POLL = 1.0
ASKING: Final = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a pool to end."""
_masks: Final[list[set[Any]]] = []
"""What a pool that forks now held back before it did."""


def _begin_unasked() -> None:
    """In a fork of a pool's, before anything else: it has no handler of its own yet, and nothing to lose."""
    if _masks:
        for number in ASKING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_unasked)


@contextmanager
def _unasked(process: Any) -> Iterator[None]:
    """Hold back what asks this process to end while it forks another one. Python forgets the signals that a fork gets
    before it runs, and the pool's handler would take those that come next; and the pool must know whom to tell."""
    if getattr(process, "_start_method", "") != "fork":
        yield
        return
    _masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ASKING))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


class WorkerData(NamedTuple):
    """A worker of a pool (RQ)."""

    name: str
    pid: int
    process: Any


class WorkerPool:
    """Starts `num_workers` processes, each with a worker, and replaces those that die (RQ).

    Attributes:
        worker_dict: name -> WorkerData of the workers that live.
    """

    class Status(Enum):
        """What a pool is doing (RQ)."""

        IDLE = 1
        STARTED = 2
        STOPPED = 3

    def __init__(
        self,
        queues: Iterable[Any],
        connection: Any,
        num_workers: int = 1,
        worker_class: type[BaseWorker] = Worker,
        serializer: Any = DefaultSerializer,
        job_class: type[Job] = Job,
        queue_class: type[Queue] = Queue,
        exception_handlers: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """`args` and `kwargs` have no effect, as in RQ."""
        self.num_workers = num_workers
        self.log = get_logger("worker_pool")
        setup_loghandlers("INFO", DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT, name="atomiq.worker_pool")
        self._queue_names = parse_names(queues)
        self.connection = connection
        self.name = uuid4().hex
        self.status = self.Status.IDLE
        self.worker_class = worker_class
        self.serializer = serializer
        self.job_class = job_class
        self.queue_class = queue_class
        self.exception_handlers = exception_handlers
        self.worker_dict: dict[str, WorkerData] = {}
        self._asked_to_stop = False
        self._burst = True
        self._sleep = 0
        self._logging_level: str | int = "INFO"

    @property
    def queues(self) -> list[Queue]:
        """Its queues, made anew each time (RQ)."""
        return [self.queue_class(name, connection=self.connection) for name in self._queue_names]

    @property
    def number_of_active_workers(self) -> int:
        """How many of its workers live (RQ)."""
        return len(self.worker_dict)

    # --- the loop

    def start(self, burst: bool = False, logging_level: str | int = "INFO") -> None:
        """Start the workers and stay until they have ended; those that die are replaced, unless `burst` (RQ)."""
        self._burst, self._logging_level = burst, logging_level
        setup_loghandlers(logging_level, DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT, "atomiq.worker_pool")
        self.log.info("Starting worker pool %s with pid %s...", self.name, os.getpid())
        self.status, self._asked_to_stop = self.Status.IDLE, False
        handlers = self._install_signal_handlers()
        try:
            self.start_workers(burst=burst, logging_level=logging_level)
            while not self._has_ended():
                self._wait()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _has_ended(self) -> bool:
        if self._is_stopping():
            return self.all_workers_have_stopped()
        self.check_workers(respawn=not self._burst)
        return self._burst and not self.worker_dict

    def _wait(self) -> None:
        """For a worker to end; one that is to be replaced waits a moment, or a worker that can't start would be started
        all the time."""
        if self._burst or self._is_stopping():
            wait([data.process.sentinel for data in self.worker_dict.values()], POLL)
        else:
            time.sleep(POLL)

    def _install_signal_handlers(self) -> dict[int, Any]:
        return {number: signal.signal(number, self.request_stop) for number in ASKING}

    def request_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Ask all workers to end (RQ's handler of SIGINT and SIGTERM). The second time they break off what runs."""
        self.log.info("Received SIGINT/SIGTERM, shutting down...")
        self.status, self._asked_to_stop = self.Status.STOPPED, True
        self.stop_workers()

    def _is_stopping(self) -> bool:
        """Whether it was asked to end: at any moment, also between a look at the status and the next one."""
        return self._asked_to_stop or self.status is self.Status.STOPPED

    # --- workers

    def start_workers(self, burst: bool = True, _sleep: float = 0, logging_level: str | int = "INFO") -> None:
        """Start as many workers as are wanted (RQ)."""
        self.log.debug("Spawning %s workers", self.num_workers)
        for count in range(1, self.num_workers + 1):
            if not self._is_stopping():
                self.start_worker(count, burst=burst, _sleep=_sleep, logging_level=logging_level)
        if not self._is_stopping():
            self.status = self.Status.STARTED

    def start_worker(
        self, count: int | None = None, burst: bool = True, _sleep: float = 0, logging_level: str | int = "INFO"
    ) -> None:
        """Start one more (RQ)."""
        name = uuid4().hex
        process = self.get_worker_process(name, burst=burst, _sleep=_sleep, logging_level=logging_level)
        with _unasked(process):
            process.start()
            self.worker_dict[name] = WorkerData(name=name, pid=process.pid, process=process)
            self.log.debug("Spawned worker: %s with PID %s", name, process.pid)
            if self._asked_to_stop:  # before this one was known
                self.stop_worker(self.worker_dict[name])

    def get_worker_process(self, name: str, burst: bool, _sleep: float = 0, logging_level: str | int = "INFO") -> Any:
        """The process of a worker, not yet started (RQ)."""
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
        context: Any = multiprocessing.get_context(method)
        try:
            pattern = pattern_of(self.connection)
        except InvalidOption:
            pattern = None
        return context.Process(
            target=run_worker,
            args=(name, self._queue_names, *parse_connection(self.connection)),
            kwargs={
                "worker_class": self.worker_class,
                "serializer": self.serializer,
                "job_class": self.job_class,
                "queue_class": self.queue_class,
                "exception_handlers": self.exception_handlers,
                "burst": burst,
                "logging_level": logging_level,
                "_sleep": _sleep,
                "pattern": pattern,
            },
            name=f"Worker {name} (WorkerPool {self.name})",
        )

    def check_workers(self, respawn: bool = True) -> None:
        """Bury the dead, and replace them (RQ)."""
        self.log.debug("Checking worker processes")
        self.reap_workers()
        for _ in range(self.num_workers - len(self.worker_dict)):
            if respawn and not self._is_stopping():
                self.start_worker(burst=self._burst, _sleep=self._sleep, logging_level=self._logging_level)

    def reap_workers(self) -> None:
        """Bury the dead (RQ)."""
        for data in list(self.worker_dict.values()):
            data.process.join(0)
            if not data.process.is_alive():
                self.handle_dead_worker(data)

    def handle_dead_worker(self, worker_data: WorkerData) -> None:
        """Forget a worker that has ended (RQ)."""
        code = worker_data.process.exitcode
        level = logging.INFO if code == 0 else logging.WARNING
        self.log.log(level, "Worker %s has ended with exit code %s", worker_data.name, code)
        self.worker_dict.pop(worker_data.name, None)

    def all_workers_have_stopped(self) -> bool:
        """Whether none lives any more (RQ)."""
        self.reap_workers()
        return not self.worker_dict

    def stop_worker(self, worker_data: WorkerData, sig: int = signal.SIGINT) -> None:
        """Signal a worker (RQ)."""
        try:
            os.kill(worker_data.pid, sig)
            self.log.info("Sent shutdown command to worker with %s", worker_data.pid)
        except ProcessLookupError:
            self.log.debug("Horse already dead")

    def stop_workers(self) -> None:
        """Ask all workers to end (RQ)."""
        self.log.info("Sending stop signal to %s workers", len(self.worker_dict))
        for data in list(self.worker_dict.values()):
            self.stop_worker(data)


def run_worker(
    worker_name: str,
    queue_names: Iterable[str],
    connection_class: Any,
    connection_pool_class: Any,
    connection_pool_kwargs: dict[str, Any],
    worker_class: type[BaseWorker] = Worker,
    serializer: Any = DefaultSerializer,
    job_class: type[Job] = Job,
    queue_class: type[Queue] = Queue,
    exception_handlers: Any = None,
    burst: bool = True,
    logging_level: str | int = "INFO",
    _sleep: float = 0,
    *,
    pattern: bytes | None = None,
) -> None:
    """What the process of a worker does (RQ). `pattern`: of the connection, instead of the three parts of it."""
    if multiprocessing.parent_process() is not None:  # not the pool's own handlers, until the worker has some
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if hasattr(signal, "pthread_sigmask"):  # not on Windows; a worker that ran in the pool may have held them back
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
    if pattern is None:
        connection = make_connection(connection_class, connection_pool_class, connection_pool_kwargs)
    else:
        connection = connection_like(pattern)
    queues = [queue_class(name, connection=connection) for name in queue_names]
    worker = worker_class(
        queues,
        name=worker_name,
        connection=connection,
        serializer=serializer,
        job_class=job_class,
        queue_class=queue_class,
        exception_handlers=exception_handlers,
    )
    worker.log.info("Starting worker started with PID %s", os.getpid())
    time.sleep(_sleep)
    worker.work(burst=burst, with_scheduler=True, logging_level=logging_level)
