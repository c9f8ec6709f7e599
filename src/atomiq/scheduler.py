"""RQ's scheduler (`rq.scheduler`), for code that uses it.

Nobody needs one: every worker moves what is due, in the step in which it takes a job. A scheduler here does it by the
same atomic step, so that any number of them, and of RQ's, may run side by side.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Self
from uuid import uuid4

from atomiq._commands.base import fields as fields_of
from atomiq._commands.base import plain
from atomiq._commands.enqueue import promote
from atomiq._commands.raw import free_lock, take_lock
from atomiq._commands.worker import scheduler_beat
from atomiq._core.errors import SchedulerNotFound
from atomiq._core.keys import Keys
from atomiq._core.log import get_logger
from atomiq._core.serial import resolve_serializer
from atomiq._core.settings import (
    DEFAULT_LOGGING_DATE_FORMAT,
    DEFAULT_LOGGING_FORMAT,
    DEFAULT_SCHEDULER_FALLBACK_PERIOD,
)
from atomiq._core.timestamp import utcformat, utcparse
from atomiq._wire.prefixes import prefix_of, set_prefix
from atomiq._wire.siblings import fresh_like
from atomiq._wire.sync import Store
from atomiq.logutils import setup_loghandlers
from atomiq.registry import ScheduledJobRegistry
from atomiq.scripts import ACQUIRE_OR_REFRESH_LOCK_SCRIPT
from atomiq.utils import parse_names

__all__ = [
    "ACQUIRE_OR_REFRESH_LOCK_SCRIPT",
    "SCHEDULER_KEY_TEMPLATE",
    "SCHEDULER_LOCKING_KEY_TEMPLATE",
    "RQScheduler",
    "SchedulerStatus",
    "run",
]

SCHEDULER_KEY_TEMPLATE = Keys().scheduler("%s")
SCHEDULER_LOCKING_KEY_TEMPLATE = Keys().scheduler_lock("%s")
MARGIN = 60
"""Seconds that a scheduler's hash and locks outlive its interval."""
MOST_STEPS = 1000


class SchedulerStatus(str, Enum):
    """What a scheduler is doing (RQ)."""

    STARTED = "started"
    WORKING = "working"
    STOPPED = "stopped"


class RQScheduler:
    """Moves scheduled jobs of some queues into them when they are due (RQ).

    Attributes:
        interval: seconds between two looks.
        lock_acquisition_time: when it last tried to get its locks.
    """

    Status = SchedulerStatus

    def __init__(
        self,
        queues: Iterable[Any],
        connection: Any,
        interval: int = 1,
        logging_level: str | int = logging.INFO,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        serializer: Any = None,
        name: str | None = None,
    ) -> None:
        self._queue_names = set(parse_names(queues))
        self._acquired_locks: set[str] = set()
        self._scheduled_job_registries: list[ScheduledJobRegistry] = []
        self.lock_acquisition_time: datetime | None = None
        self.serializer = resolve_serializer(serializer)
        self.name = name or uuid4().hex
        self.hostname = socket.gethostname()
        self.created_at = datetime.now(UTC)
        self.pid: int | None = os.getpid()
        self.last_heartbeat: datetime | None = None
        self.interval = interval
        self._given = connection
        self._connection: Any = None
        self._connection_of: int | None = None
        self._stop_requested = False
        self._status = SchedulerStatus.STOPPED
        self._process: Any = None
        self.log = get_logger("scheduler")
        setup_loghandlers(logging_level, date_format, log_format, name="atomiq.scheduler")

    # --- what it is

    @property
    def connection(self) -> Any:
        """A connection of its own, after the pattern of the given one (RQ); each process has its own."""
        if self._connection is None or self._connection_of != os.getpid():
            self._connection, self._connection_of = fresh_like(self._given), os.getpid()
            set_prefix(self._connection, prefix_of(self._given))
        return self._connection

    @property
    def _store(self) -> Store:
        return Store.of(self.connection)

    @property
    def acquired_locks(self) -> set[str]:
        """Names of the queues whose lock it has."""
        return self._acquired_locks

    @property
    def status(self) -> SchedulerStatus:
        """What it is doing."""
        return self._status

    @property
    def key(self) -> str:
        """Key of its hash."""
        return self._store.keys.scheduler(self.name)

    @property
    def should_reacquire_locks(self) -> bool:
        """Whether it lacks a lock, and has not tried to get it for two minutes (RQ)."""
        if self._queue_names == self._acquired_locks:
            return False
        if self.lock_acquisition_time is None:
            return True
        passed = datetime.now(UTC) - self.lock_acquisition_time
        return passed > timedelta(seconds=DEFAULT_SCHEDULER_FALLBACK_PERIOD)

    @classmethod
    def get_locking_key(cls, name: str) -> str:
        """Key of the lock of a queue, under the default prefix (RQ)."""
        return SCHEDULER_LOCKING_KEY_TEMPLATE % name

    # --- locks

    def acquire_locks(self, auto_start: bool = False) -> set[str]:
        """Take the locks that are free; says the names of their queues (RQ). `auto_start`: start its process then."""
        got = {name for name in self._queue_names if self._take_lock(name) != "taken"}
        self.lock_acquisition_time = datetime.now(UTC)
        for name in sorted(got - self._acquired_locks):
            self.log.info("Acquired scheduler lock for %s", name)
        self._acquired_locks |= got
        if self._acquired_locks and auto_start and not (self._process and self._process.is_alive()):
            self.start()
        return got

    def release_locks(self) -> None:
        """Give its locks back, those of others not (RQ)."""
        for name in self._acquired_locks:
            self._store.run(free_lock(self._store.keys, key=self._store.keys.scheduler_lock(name), owner=self.name))
        self._acquired_locks = set()

    def _take_lock(self, name: str) -> str:
        keys = self._store.keys
        return self._store.run(take_lock(keys, key=keys.scheduler_lock(name), owner=self.name, ttl=self._ttl))

    @property
    def _ttl(self) -> int:
        return int(self.interval) + MARGIN

    # --- its work

    def prepare_registries(self, queue_names: Iterable[str] | None = None) -> None:
        """Choose the registries to look through: of these queues, or of those whose lock it has (RQ)."""
        names = self._acquired_locks if queue_names is None else queue_names
        self._scheduled_job_registries = [
            ScheduledJobRegistry(name, connection=self.connection, serializer=self.serializer) for name in names
        ]

    def enqueue_scheduled_jobs(self) -> None:
        """Move what is due into its queue (RQ): each job by one atomic step that can't move it twice."""
        self._status = SchedulerStatus.WORKING
        if not self._scheduled_job_registries and self._acquired_locks:
            self.prepare_registries()
        for registry in self._scheduled_job_registries:
            for _ in range(MOST_STEPS):
                if not self._store.run(promote(self._store.keys, queue=registry.name)).more:
                    break
        self._status = SchedulerStatus.STARTED

    def heartbeat(self) -> None:
        """Renew its hash and its locks (RQ). One that had expired is taken again, one that another has by now is
        dropped."""
        self.last_heartbeat = datetime.now(UTC)
        beat = {"last_heartbeat": utcformat(self.last_heartbeat)}
        self._store.run(scheduler_beat(self._store.keys, name=self.name, ttl=self._ttl, fields=beat))
        for name in sorted(self._acquired_locks):
            word = self._take_lock(name)
            if word == "acquired":
                self.log.warning("Scheduler lock for %s had expired, and is acquired again", name)
            elif word == "taken":
                self.log.warning("Scheduler lock for %s is another's by now", name)
                self._acquired_locks.discard(name)
                self._scheduled_job_registries = []

    # --- its hash

    def register_birth(self) -> None:
        """Write its hash (RQ)."""
        self.pid, self.last_heartbeat = os.getpid(), datetime.now(UTC)
        self.save()

    def register_death(self) -> bool:
        """Remove its hash; says whether there was one (RQ)."""
        return self._store.run(plain("DEL", (self.key,), int)) > 0

    def save(self, pipeline: Any = None) -> None:
        """Write its hash (RQ)."""
        command = scheduler_beat(self._store.keys, name=self.name, ttl=self._ttl, fields=self.to_dict())
        self._store.send(command, pipeline)

    def to_dict(self) -> dict[str, str]:
        """Fields of its hash (RQ)."""
        return {
            "name": self.name,
            "hostname": self.hostname,
            "pid": str(self.pid or ""),
            "queues": ",".join(self._queue_names),
            "created_at": utcformat(self.created_at),
            "last_heartbeat": utcformat(self.last_heartbeat) if self.last_heartbeat else "",
        }

    def restore(self, raw_data: Mapping[Any, Any]) -> None:
        """Take over the fields of a hash (RQ)."""
        texts = {_text(name): _text(value) for name, value in raw_data.items()}
        self._queue_names = {name for name in texts.get("queues", "").split(",") if name}
        self.hostname = texts.get("hostname", "")
        self.pid = int(texts["pid"]) if texts.get("pid", "").isdecimal() else None
        if texts.get("created_at"):
            self.created_at = utcparse(texts["created_at"])
        self.last_heartbeat = utcparse(texts["last_heartbeat"]) if texts.get("last_heartbeat") else None

    @classmethod
    def fetch(cls, name: str, connection: Any) -> Self:
        """The scheduler of this name (RQ). Raises SchedulerNotFound when there is none."""
        store = Store.of(connection)
        raw = store.run(plain("HGETALL", (store.keys.scheduler(name),), fields_of))
        if not raw:
            raise SchedulerNotFound(f"There is no scheduler named {name!r}")
        scheduler = cls([], connection, name=name)
        scheduler.restore(raw)
        return scheduler

    # --- its process

    def start(self) -> Any:
        """Work in a process of its own; says which (RQ)."""
        self._status = SchedulerStatus.STARTED
        context: Any = multiprocessing.get_context("fork" if hasattr(os, "fork") else None)
        self._process = context.Process(target=run, args=(self,), name="Scheduler")
        self._process.start()
        return self._process

    def work(self) -> None:
        """Move what is due, every `interval` seconds, until asked to stop (RQ)."""
        self.register_birth()
        self._install_signal_handlers()
        try:
            while not self._stop_requested:
                if self.should_reacquire_locks:
                    self.acquire_locks()
                    self._scheduled_job_registries = []
                self.heartbeat()
                self.enqueue_scheduled_jobs()
                self._pause()
        finally:
            self.stop()
            self.register_death()

    def _pause(self) -> None:
        until = time.monotonic() + self.interval
        while not self._stop_requested and time.monotonic() < until:
            time.sleep(min(0.1, self.interval))

    def request_stop(self, signum: int | None = None, frame: Any = None) -> None:
        """End `work` soon (RQ's handler of SIGINT and SIGTERM)."""
        self._stop_requested = True

    def stop(self) -> None:
        """Give its locks back and say that it has stopped (RQ)."""
        self.log.info("Scheduler stopping, releasing locks for %s...", ", ".join(self._acquired_locks))
        self.release_locks()
        self._status = SchedulerStatus.STOPPED

    def _install_signal_handlers(self) -> None:
        signal.signal(signal.SIGINT, self.request_stop)
        signal.signal(signal.SIGTERM, self.request_stop)


def run(scheduler: RQScheduler) -> None:
    """What the process of a scheduler does (RQ)."""
    scheduler.log.info("Scheduler for %s started with PID %s", ", ".join(scheduler._queue_names), os.getpid())  # noqa: SLF001
    try:
        scheduler.work()
    except Exception:
        scheduler.log.exception("Scheduler [PID %s] ended by an exception", os.getpid())
        raise
    scheduler.log.info("Scheduler with PID %s has stopped", os.getpid())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
