"""Forks that jobs make in a warm child. It is deaf to SIGTERM, which is its supervisor's; they are not: by SIGTERM
multiprocessing ends its processes, and waits for their end."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from atomiq.timeouts import plain_getsignal

_getsignal = plain_getsignal()


class JobForks:
    """`handler`: of SIGTERM in the warm child; one that a job has set instead goes along."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler
        self._thread = threading.local()

    def watch(self) -> None:
        """For the rest of this process's life."""
        os.register_at_fork(before=self._hold_back, after_in_parent=self._go_on, after_in_child=self._be_mortal)

    def _hold_back(self) -> None:
        """A SIGTERM that comes at once must not meet our handler in the child, which would swallow it."""
        self._thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def _go_on(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._thread.mask)

    def _be_mortal(self) -> None:
        if _getsignal(signal.SIGTERM) is self.handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._go_on()
