"""CronScheduler: enqueues jobs of entries when it is their time (RQ's API).

Any number of them may look after the same entries, in any number of processes: the server decides each tick once.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Any, Final, Self

from atomiq._commands.cron import cron_beat, view_cron_beat, view_cron_scheduler
from atomiq._core.errors import SERVER_AWAY, InvalidName, SchedulerNotFound
from atomiq._core.log import get_logger
from atomiq._core.precondition import RequiresOption
from atomiq._core.settings import DEFAULT_CRON_SCHEDULER_TTL, DEFAULT_RESULT_TTL
from atomiq._core.timestamp import from_unix, utcformat, utcparse
from atomiq._core.ttl import Duration
from atomiq._core.values import Retry
from atomiq._wire.sync import Store
from atomiq.cron import config
from atomiq.cron.job import CronJob
from atomiq.cron.ticking import Ticker
from atomiq.cron_scheduler_registry import cleanup as forget_silent
from atomiq.cron_scheduler_registry import forget, get_keys
from atomiq.logutils import setup_loghandlers
from atomiq.utils import decode_redis_hash
from atomiq.webhook import Webhook

BEAT: Final = 20.0
"""Seconds between two signs of life; also the longest sleep, after which the server's clock is asked again."""
LONGEST_PAUSE: Final = 5.0
_OWN_OPTIONS: Final = config.register.__kwdefaults__ or {}


class DuplicateCronName(InvalidName):
    """Two entries of one scheduler have the same name."""


class CronScheduler:
    """Looks after cron entries (RQ).

    Args:
        connection: a redis.Redis.
        logging_level: of its log.
        name: default host, process id and six random digits.
        queue_class, job_class, serializer: of the queues that it enqueues to. Default: as `Queue`.
    """

    def __init__(
        self,
        connection: Any,
        logging_level: str | int = logging.INFO,
        name: str = "",
        *,
        queue_class: Any = None,
        job_class: Any = None,
        serializer: Any = None,
    ) -> None:
        self.connection = connection
        self.hostname, self.pid = socket.gethostname(), os.getpid()
        self.name = name or f"{self.hostname}:{self.pid}:{uuid.uuid4().hex[:6]}"
        self.config_file = ""
        self.created_at = datetime.now(UTC)
        self.queue_class, self.job_class, self.serializer = queue_class, job_class, serializer
        self.log = get_logger("cron")
        setup_loghandlers(logging_level, name=self.log.name)
        self._cron_jobs: list[CronJob] = []
        self._places: dict[str, str] = {}
        self._place = ""
        self._stop = threading.Event()

    @cached_property
    def _ticker(self) -> Ticker:
        # Late: a subclass may learn its connection from its first entry, as django-rq's does.
        return Ticker(self._store, self.name, self.log, self._stop.is_set)

    @property
    def _store(self) -> Store:
        return Store.of(self.connection)

    # -- entries ------------------------------------------------------------------------------------------------------

    def register(
        self,
        func: Callable[..., Any] | str,
        queue_name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        interval: float | None = None,
        cron: str | None = None,
        job_timeout: Duration | None = None,
        result_ttl: Duration | None = DEFAULT_RESULT_TTL,
        ttl: Duration | None = None,
        failure_ttl: Duration | None = None,
        meta: dict[str, Any] | None = None,
        webhooks: Sequence[Webhook] | None = None,
        name: str = "",
        *,
        timezone: str | tzinfo = "UTC",
        jitter: float = 0,
        missed: str | None = None,
        overlap: str = "allow",
        retry: Retry | None = None,
        requires: RequiresOption = None,
    ) -> CronJob:
        """Look after an entry (RQ). Arguments as for `CronJob`.

        Raises:
            InvalidName: a ValueError; there is an entry of this name already. Both are named.
            InvalidInput: a ValueError; an argument can't be used, the message says why.
        """
        job = CronJob(
            queue_name, func, None, args, kwargs, interval, cron, job_timeout, result_ttl, ttl, failure_ttl, meta,
            webhooks, name, timezone=timezone, jitter=jitter, missed=missed, overlap=overlap, retry=retry,
            requires=requires,
        )  # fmt: skip
        job.queue_class, job.job_class = self.queue_class or job.queue_class, self.job_class
        job.serializer = self.serializer
        job.make_job(self.connection)  # what can't be serialised is found now, not at its first tick
        self._add(job, self._place)
        return job

    def _add(self, job: CronJob, where: str) -> None:
        other = next((each for each in self._cron_jobs if each.name == job.name), None)
        if other is not None:
            raise DuplicateCronName(
                f"two cron entries are called '{job.name}': {other.describe()}{self._places[job.name]}, and "
                f"{job.describe()}{where}. Give one of them another name="
            )
        self._cron_jobs.append(job)
        self._places[job.name] = where
        self._ticker.add(job)
        when = f"every {job.interval} seconds" if job.interval else f"with cron schedule '{job.cron}'"
        self.log.info("Registered '%s' to run on %s %s", job.name, job.queue_name, when)

    def get_jobs(self) -> list[CronJob]:
        """Its entries (RQ)."""
        return self._cron_jobs

    def load_config_from_file(self, config_path: str) -> None:
        """Look after the entries that a config file registers, instead of those of the file loaded before (RQ).

        An entry that can't be used is logged as an error and left out.

        Args:
            config_path: an absolute path, or a dotted name or relative path to import.

        Raises:
            FileNotFoundError, IsADirectoryError: nothing, or a folder, at an absolute path.
            ImportError: importing it failed.
            InvalidName: a ValueError; two entries have the same name. Both are named.
        """
        self.log.info("Loading cron configuration from %s", config_path)
        self.config_file = config_path
        found = config.import_config(config_path)
        for name in [name for name, place in self._places.items() if place]:
            self._drop(name)
        count = 0
        for data, place in found:
            count += self._register_found(data, place)
        self.log.info("Successfully registered %s cron jobs from '%s'", count, config_path)

    def _register_found(self, data: Mapping[str, Any], place: str) -> bool:
        self._place = f" ({place})"
        try:
            self.register(**_as_rq_says(data))
        except DuplicateCronName:
            raise
        except (ValueError, TypeError) as error:
            self.log.error("The cron entry at %s is left out: %s", place, error)
            return False
        finally:
            self._place = ""
        return True

    def _drop(self, name: str) -> None:
        self._cron_jobs[:] = [job for job in self._cron_jobs if job.name != name]
        del self._places[name]
        self._ticker.remove(name)

    # -- working ------------------------------------------------------------------------------------------------------

    def enqueue_jobs(self) -> list[CronJob]:
        """Enqueue a job for each tick that has come and that nobody has enqueued one for. Says of which entries (RQ).

        Raises:
            ServerError: the server can't be reached.
        """
        return self._ticker.turn(self.connection)

    def calculate_sleep_interval(self) -> float:
        """Seconds until there is something to do, 0 to 60 (RQ)."""
        return min(self._ticker.next_in(), 60.0)

    def start(self) -> None:
        """Work until SIGINT, SIGTERM or `request_stop` (RQ). While the server is away, it waits for it.

        Raises:
            ServerError: what waiting won't cure, such as a missing permission.
        """
        self.log.info("CronScheduler %s: starting...", self.name)
        with self._signals():
            try:
                self._work()
            finally:
                self._take_leave()
        self.log.info("CronScheduler %s: shutdown complete", self.name)

    def request_stop(self) -> None:
        """Let `start` return, soon; safe to call from another thread."""
        self._stop.set()

    def stops_within(self, seconds: float) -> bool:
        """Wait so long, or until somebody asks it to stop. Says whether somebody has."""
        return self._stop.wait(seconds)

    def _work(self) -> None:
        born, beat_at, pause = False, 0.0, 0.1
        while not self._stop.is_set():
            try:
                if not born:
                    self.register_birth()
                    born, beat_at = True, time.monotonic() + BEAT
                if self.enqueue_jobs():
                    self.save()
                if time.monotonic() >= beat_at:
                    self.heartbeat()
                    beat_at = time.monotonic() + BEAT
                wait, pause = min(self.calculate_sleep_interval(), BEAT), 0.1
            except SERVER_AWAY as error:
                self.log.warning("CronScheduler %s: the server is away, waiting for it: %s", self.name, error)
                wait = pause = min(pause * 2, LONGEST_PAUSE)
            self._stop.wait(wait)

    def _take_leave(self) -> None:
        try:
            self.register_death()
        except SERVER_AWAY as error:
            self.log.warning("CronScheduler %s: could not take leave: %s", self.name, error)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end `start`, where it is in the main thread; elsewhere nobody can hear them."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _request_stop(self, signum: int, frame: Any) -> None:
        self.log.info("CronScheduler %s: received shutdown signal %s", self.name, signum)
        self.log.info("CronScheduler %s: stop requested", self.name)
        self.request_stop()

    # -- what others see ----------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Key of its hash (RQ)."""
        return self._store.keys.cron_scheduler(self.name)

    def to_dict(self) -> dict[str, str]:
        """The fields of its hash (RQ)."""
        return {
            "hostname": self.hostname,
            "pid": str(self.pid),
            "name": self.name,
            "created_at": utcformat(self.created_at),
            "config_file": self.config_file or "",
            "cron_jobs": json.dumps([job.to_dict() for job in self._cron_jobs]),
        }

    def save(self, pipeline: Any = None) -> None:
        """Write its hash, for two minutes (RQ)."""
        self._beat(pipeline, beats=False)

    def register_birth(self) -> None:
        """Be listed among the cron schedulers (RQ). Another one of the same name doesn't matter: only the name is
        shared."""
        self.log.info("CronScheduler %s: registering birth...", self.name)
        self._beat(None, beats=True)

    def heartbeat(self) -> None:
        """Say that it is alive, and write its hash (RQ)."""
        self._beat(None, beats=True)

    def _beat(self, pipeline: Any, beats: bool) -> None:
        store = self._store
        command = cron_beat(
            store.keys, name=self.name, ttl=DEFAULT_CRON_SCHEDULER_TTL, fields=self.to_dict(), beats=beats
        )
        now_ms = store.send(command, pipeline)
        if now_ms is not None:
            self._ticker.clock.hear(now_ms)

    def register_death(self, pipeline: Any = None) -> None:
        """Be listed no more (RQ). It is no error if it isn't."""
        self.log.info("CronScheduler %s: registering death...", self.name)
        self._store.send(forget(self._store.keys, self.name), pipeline)

    @property
    def last_heartbeat(self) -> datetime | None:
        """When it last said that it is alive, aware; None if it is not listed (RQ)."""
        seconds = self._store.run(view_cron_beat(self._store.keys, name=self.name))
        return None if seconds is None else from_unix(seconds)

    def restore(self, raw_data: Mapping[Any, Any]) -> None:
        """Take over what a hash says (RQ). Its entries are to look at; they can't enqueue."""
        data = decode_redis_hash(dict(raw_data), decode_values=True)
        self.hostname, self.pid = data.get("hostname", ""), int(data.get("pid") or 0)
        self.name = data.get("name") or self.name
        self.config_file = data.get("config_file", "")
        if data.get("created_at"):
            self.created_at = utcparse(data["created_at"])
        self._cron_jobs = [CronJob.from_dict(entry) for entry in json.loads(data.get("cron_jobs") or "[]")]

    @classmethod
    def fetch(cls, name: str, connection: Any) -> Self:
        """The cron scheduler of this name, to look at (RQ).

        Raises:
            SchedulerNotFound: there is none, or it has been silent for two minutes.
        """
        store = Store.of(connection)
        raw = store.run(view_cron_scheduler(store.keys, name=name))
        if not raw:
            raise SchedulerNotFound(f"CronScheduler with name '{name}' not found")
        scheduler = cls(connection, name=name)
        scheduler.restore(raw)
        return scheduler

    @classmethod
    def all(cls, connection: Any, cleanup: bool = True) -> list[Self]:
        """All cron schedulers, to look at (RQ). `cleanup`: forget those that have been silent for two minutes."""
        if cleanup:
            forget_silent(connection)
        store, found = Store.of(connection), []
        for name in get_keys(connection):
            raw = store.run(view_cron_scheduler(store.keys, name=name))
            if raw:
                scheduler = cls(connection, name=name)
                scheduler.restore(raw)
                found.append(scheduler)
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CronScheduler) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<CronScheduler {self.name}>"


def create_cron(connection: Any) -> CronScheduler:
    """A scheduler of what was registered in this process so far (RQ). Raises what `CronScheduler.register` raises."""
    scheduler = CronScheduler(connection)
    for data, _ in config.registered():
        scheduler.register(**data)
    return scheduler


def _as_rq_says(data: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `register` without those of ours that say nothing: a subclass may have RQ's signature."""
    return {name: value for name, value in data.items() if name not in _OWN_OPTIONS or value != _OWN_OPTIONS[name]}
