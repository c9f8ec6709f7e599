"""What RQ's loop does between two jobs: upkeep, callbacks of abandoned jobs, a container's orphans."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta
from functools import cached_property

from atomiq._core.errors import SERVER_AWAY
from atomiq._core.settings import CALLBACK_TIMEOUT
from atomiq._wire.readable import readable
from atomiq.executors.fork import Child, ForkExecutor, NoRoom
from atomiq.worker.children import LOOK_AGAIN
from atomiq.worker.drive import Driving
from atomiq.worker.orphans import Orphans
from atomiq.worker.overrides import our_own
from atomiq.worker.upkeep import Upkeep


@our_own
class Between(Driving):
    """The part of a worker that looks after others."""

    _reap_at: float = 0.0
    _orphans: Orphans | None = None

    @property
    def should_run_maintenance_tasks(self) -> bool:
        """Whether it is time for `run_maintenance_tasks` (RQ)."""
        if self.last_cleaned_at is None:
            return True
        return datetime.now(UTC) - self.last_cleaned_at > timedelta(seconds=self.maintenance_interval)

    def run_maintenance_tasks(self) -> None:
        """Take back what dead workers held, clean registries, forget dead workers and empty groups, now (RQ)."""
        if not self._perseveres:
            self._reap_at = 0.0
        self._look_after_others()
        self.clean_registries()

    def clean_registries(self) -> None:
        """Clean the registries of the worker's queues, now (RQ)."""
        self._own_upkeep.clean_now()

    @cached_property
    def _own_upkeep(self) -> Upkeep:
        return self._upkeep(self._store)

    def _look_after_others(self) -> None:
        """Take expired leases back, at most every third of a lease. Bury a container's orphans: between two jobs, as a
        job's own children would be taken for some."""
        if self._orphans is not None:
            self._orphans.check()
        if time.monotonic() < self._reap_at:
            return
        self._reap_at = time.monotonic() + self.lease / 3
        failed, next_in, more = self._own_upkeep.reap(None)
        if more:
            self._reap_at = time.monotonic()
        elif next_in is not None:
            self._reap_at = min(self._reap_at, time.monotonic() + max(next_in, 0.01))
        for job_id in failed:
            self._call_aside(job_id)

    def _call_aside(self, job_id: str) -> None:
        """The callbacks of an abandoned job, in a process of their own: they may hang, or crash."""
        executor = ForkExecutor()
        try:
            child = executor.start(self.aside_call("abandoned", job_id, None))
        except NoRoom as error:
            text = "Worker %s: no room for the process of a callback (abandoned, %s), it is left out: %s"
            self.log.error(text, self.name, job_id, error.strerror)
            executor.close()
            return
        try:
            self._wait_for_aside(child)
        finally:
            child.kill()
            child.wait()
            child.close()
            executor.close()

    def _wait_for_aside(self, child: Child) -> None:
        """As long as it says that it may take. The worker beats meanwhile: it may be longer than its name is kept."""
        now = time.monotonic()
        beat_at, kill_at = now + self.lease / 3, now + CALLBACK_TIMEOUT + self.kill_after
        while child.look() is None and now < kill_at:
            if now >= beat_at:
                beat_at = now + self.lease / 3
                with contextlib.suppress(*SERVER_AWAY):
                    self.heartbeat()
            fds = child.fds[1:] if child.frames.ended else child.fds
            wait = min(kill_at, beat_at) - now
            readable(fds, max(0.0, wait if child.pidfd >= 0 else min(wait, LOOK_AGAIN)))
            now = time.monotonic()
            for kind, *said in child.messages():
                kill_at = now + self.kill_after + (float(said[0] or CALLBACK_TIMEOUT) if kind == "limit" else 0.0)
