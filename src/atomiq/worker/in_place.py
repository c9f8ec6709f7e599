"""A job in the worker's own process (SimpleWorker), while the keeper holds its lease.

No isolation: a call that crashes takes the worker along, and nothing can kill it alone.
"""

from __future__ import annotations

import contextvars
import logging
import os
import time

from atomiq.executors.fork import Call
from atomiq.executors.report import Report
from atomiq.executors.story import ColdStop
from atomiq.worker.keeper import Keeper, NamesTooLong
from atomiq.worker.settle import Holding
from atomiq.worker.signals import Signals


def run_in_place(
    keeper: Keeper, signals: Signals, holding: Holding, call: Call, kill_after: float, log: logging.Logger
) -> bool:
    """Make a call here and now. Says whether it has ended: a second wish to stop breaks it off, to be given back."""
    home = os.getpid()
    try:
        announce = keeper.keep(holding.claimed, kill_after)
        with signals.job_here():
            holding.report = contextvars.copy_context().run(call, announce)
            if os.getpid() != home:  # a fork made by the call came back to us; it must not go on as a second worker
                os._exit(0)
    except NamesTooLong as error:  # it must not come back, to end one worker after the other
        now = time.monotonic()
        holding.report = Report("failed", now, now, exc_string=f"{error}\n", retry="never")
    except ColdStop:
        log.warning("Job %s is broken off and given back", holding.claimed.job_id)
    finally:
        keeper.let_go()
    return holding.report is not None
