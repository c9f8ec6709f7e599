"""The inline executor: the call is made in the calling process, as RQ's SimpleWorker does.

No isolation: a call that crashes takes the worker along, and nothing can kill it alone. Its lease is extended by a
keeper process (worker/keeper.py), so that a long call needs no help from the thread that it runs in.
"""

from __future__ import annotations

import contextvars
import os

from atomiq.executors.fork import Call
from atomiq.executors.report import Report


class InlineExecutor:
    """Makes calls here and now."""

    def start(self, call: Call) -> Report:
        me = os.getpid()
        report = contextvars.copy_context().run(call, lambda _seconds: None)
        if os.getpid() != me:  # a fork made by the call came back to us; it must not go on as a second worker
            os._exit(0)
        return report

    def close(self) -> None:
        pass
