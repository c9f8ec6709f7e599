"""A worker's birth and death, and what goes with them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from atomiq._commands.worker import worker_birth, worker_death
from atomiq._core.errors import ServerError, WorkerExists
from atomiq._core.settings import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from atomiq._core.version import __version__
from atomiq._lua import script, script_names
from atomiq._wire.server import check_server
from atomiq.logutils import setup_loghandlers
from atomiq.worker.overrides import our_own
from atomiq.worker.own_store import address_seen, close_store
from atomiq.worker.status import WorkerStatus
from atomiq.worker.steps import Stepping


@our_own
class Living(Stepping):
    """The part of a worker that is registered."""

    def bootstrap(
        self,
        logging_level: str | int | None = "INFO",
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
    ) -> None:
        """Set up logging where the application has none, and be born (RQ)."""
        self._log_setup = (logging_level, date_format, log_format)
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
        if not self._steps_wanted:  # it says so itself
            self.log.info("Worker %s: subscribing to channel %s", self.name, self.pubsub_channel_name)
        self.log.info("*** Listening on %s...", ", ".join(self.queue_names()))
        self.procline(f"Listening on {','.join(self.queue_names())}")

    def register_birth(self) -> None:
        """Write the worker's hash (RQ). Raises WorkerExists, a ValueError, when a living worker has this name."""
        store = self._own_store()
        birth = worker_birth(
            store.keys,
            worker=self.name,
            queues=self._distinct_names,
            fields=self._birth_fields(),
            ttl=self.worker_ttl + 60,
            lease_ms=round(self.lease * 1000),
            incarnation=self._incarnation,
        )
        if store.run(birth) == "taken":
            raise WorkerExists(f"There exists an active worker named {self.name!r} already")

    def register_anew(self) -> None:
        """The server has lost the worker's entry, while it lives. Raises what `register_birth` raises."""
        self.log.warning("Worker %s: its entry had vanished from the server; written anew", self.name)
        self.register_birth()

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """A sign of life; its hash then lives `timeout` seconds (default: worker_ttl + 60) (RQ).

        While RQ's loop runs it, a worker whose entry the server has lost introduces itself again.
        """
        if self._beat({}, pipeline, timeout) == "gone" and self._perseveres:
            self.register_anew()

    def register_death(self) -> None:
        """Take leave; what is still held goes back to the front of its queues (RQ)."""
        store = self._own_store()
        death = worker_death(store.keys, worker=self.name, queues=self._distinct_names, incarnation=self._incarnation)
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
        if not self._steps_wanted:
            self.log.info("Worker %s: unsubscribing from channel %s", self.name, self.pubsub_channel_name)

    def _close_own(self) -> None:
        if self._own is not None:
            close_store(self._own)
            self._own = None
