"""Single fields of a worker's hash that RQ's users set and count themselves. A worker at work needs none of these: what
it runs is written by the very step that claims or settles it."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any, ClassVar

from atomiq._commands.base import Argument
from atomiq._commands.worker import worker_note
from atomiq._core.timestamp import utcformat
from atomiq.utils import get_version, now
from atomiq.worker.overrides import our_own
from atomiq.worker.record import WorkerRecord
from atomiq.worker.status import WorkerStatus


@our_own
class WorkerFields(WorkerRecord):
    """Setters and counters; each is one atomic step."""

    exponential_backoff_factor: ClassVar[float] = 2.0
    """RQ's; a worker here waits 1, 2, 4 ... 60 seconds, less up to a fifth, when the server is away."""
    max_connection_wait_time: ClassVar[float] = 60.0
    redis_server_version: tuple[int, int, int] | None = None

    @property
    def dequeue_timeout(self) -> int:
        """Seconds that one wait for work lasts at most (RQ)."""
        return max(1, self.worker_ttl - 15)

    @property
    def connection_timeout(self) -> int:
        """Seconds that RQ's worker waits for an answer of the server (RQ). The connection that is passed in is left as
        it is; a worker here has its own."""
        return self.dequeue_timeout + 10

    def get_redis_server_version(self) -> tuple[int, int, int]:
        """Version of the server (RQ)."""
        found: tuple[int, int, int] = get_version(self.connection)
        return found

    # --- what it does

    def get_state(self) -> str:
        """Its state, as last seen by this object (RQ)."""
        return self._state

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Write its state (RQ). A worker at work does that by itself."""
        self._state = state.value if isinstance(state, WorkerStatus) else state
        self._note("set", "state", self._state, pipeline)

    @property
    def state(self) -> str:
        """Its state, as last seen by this object. Deprecated, as in RQ: use `get_state`."""
        warnings.warn("worker.state is deprecated, use worker.get_state() instead.", DeprecationWarning, stacklevel=2)
        return self.get_state()

    @state.setter
    def state(self, state: str) -> None:
        warnings.warn("worker.state is deprecated, use worker.set_state() instead.", DeprecationWarning, stacklevel=2)
        self.set_state(state)

    def set_current_job_id(self, job_id: str | None = None, pipeline: Any = None) -> None:
        """Write which job it runs; None: none (RQ)."""
        if job_id is None:
            self._note("drop", "current_job", "", pipeline)
        else:
            self._note("set", "current_job", job_id, pipeline)

    def set_current_job_working_time(self, current_job_working_time: float, pipeline: Any = None) -> None:
        """Write for how many seconds its job has been running (RQ)."""
        self.current_job_working_time = current_job_working_time
        self._note("set", "current_job_working_time", current_job_working_time, pipeline)

    def set_shutdown_requested_date(self) -> None:
        """Write that it has been asked to end, just now (RQ)."""
        self._note("set", "shutdown_requested_date", utcformat(now()), None)

    # --- counters

    def increment_failed_job_count(self, pipeline: Any = None) -> None:
        """Count a failed job (RQ). Settlements count by themselves."""
        self._note("add", "failed_job_count", 1, pipeline)

    def increment_successful_job_count(self, pipeline: Any = None) -> None:
        """Count a successful job (RQ). Settlements count by themselves."""
        self._note("add", "successful_job_count", 1, pipeline)

    def increment_total_working_time(self, job_execution_time: timedelta, pipeline: Any) -> None:
        """Add the time that a job took (RQ). Settlements count by themselves."""
        self._note("add", "total_working_time", job_execution_time.total_seconds(), pipeline)

    def _note(self, verb: str, field: str, value: Argument, pipeline: Any) -> None:
        store = self._store
        ttl = self.worker_ttl + 60
        note = worker_note(store.keys, worker=self.name, ttl=ttl, verb=verb, field=field, value=value)
        store.send(note, pipeline)
