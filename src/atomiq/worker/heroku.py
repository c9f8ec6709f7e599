"""A warning to the job that its machine is about to stop (RQ's HerokuWorker)."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any, ClassVar, Final

from atomiq._core.errors import ShutDownImminentException
from atomiq.executors.death import signal_name
from atomiq.job import Job
from atomiq.worker.forking import Forking
from atomiq.worker.overrides import our_own

WARNING: Final[signal.Signals] = getattr(signal, "SIGRTMIN", signal.SIGUSR1)
"""What the worker tells its work horse with."""


@our_own
class Imminent(Forking):
    """The work horse ignores what is sent to all processes; the worker alone warns it."""

    in_steps: ClassVar[bool] = True
    imminent_shutdown_delay: int = 6
    """Seconds between the warning and the exception in the job; 0: at once (RQ)."""
    frame_properties: ClassVar[list[str]] = ["f_code", "f_lasti", "f_lineno", "f_locals", "f_trace"]

    _warned_pid: int = 0

    def fork_work_horse(self, job: Job, queue: Any) -> None:
        """Start the process that runs the job, and warn it if the worker was asked to end in this moment (RQ)."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (WARNING,))  # it waits until the work horse has its handler
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self._stop_requested:
            self._warn_horse()

    def setup_work_horse_signals(self) -> None:
        """In the work horse: hear the warning, and nothing else (RQ)."""
        signal.signal(WARNING, self.request_stop_sigrtmin)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (WARNING,))

    def handle_warm_shutdown_request(self) -> None:
        """Warn the work horse, if there is one (RQ)."""
        super().handle_warm_shutdown_request()
        self._warn_horse()

    def _warn_horse(self) -> None:
        """Once: a second warning would end the delay."""
        if self.horse_pid and self.horse_pid != self._warned_pid:
            self._warned_pid = self.horse_pid
            self.log.info("Worker %s: warm shut down requested, sending horse %s", self.name, signal_name(WARNING))
            self.kill_horse(WARNING)

    def request_stop_sigrtmin(self, signum: int, frame: FrameType | None) -> None:
        """In the work horse: the exception comes after the delay, or at the next such signal (RQ)."""
        if self.imminent_shutdown_delay == 0:
            self.request_force_stop_sigrtmin(signum, frame)
        self.log.warning("Imminent shutdown, raising ShutDownImminentException in %s s", self.imminent_shutdown_delay)
        signal.signal(WARNING, self.request_force_stop_sigrtmin)
        timer = threading.Timer(self.imminent_shutdown_delay, os.kill, (os.getpid(), WARNING))
        timer.daemon = True
        timer.start()

    def request_force_stop_sigrtmin(self, signum: int, frame: FrameType | None) -> None:
        """In the work horse: raise in the job (RQ).

        Raises:
            ShutDownImminentException: `extra_info` has what `frame_properties` names.
        """
        info = {name: getattr(frame, name) for name in self.frame_properties if frame is not None}
        self.log.warning("Imminent shutdown, raising ShutDownImminentException now")
        raise ShutDownImminentException(f"shut down imminent (signal: {signal_name(signum)})", info)
