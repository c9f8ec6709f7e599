"""A job in the worker's own process (SimpleWorker), while the keeper holds its lease."""

from __future__ import annotations

import logging
import time

from atomiq.executors.fork import Call
from atomiq.executors.inline import InlineExecutor
from atomiq.executors.outcome import look_limit, time_limit
from atomiq.executors.perform import ColdStop
from atomiq.worker.keeper import Keeper, Note
from atomiq.worker.settle import Holding
from atomiq.worker.signals import Signals


def run_in_place(
    keeper: Keeper, signals: Signals, holding: Holding, call: Call, kill_after: float, log: logging.Logger
) -> bool:
    """Make a call here and now. Says whether it has ended: a second wish to stop breaks it off, to be given back."""
    claimed, limit = holding.claimed, time_limit(holding.claimed)
    now = time.monotonic()
    until = None if limit is None else now + look_limit(claimed) + limit + kill_after
    keeper.start()
    keeper.hold(Note(claimed.queue, claimed.job_id, claimed.execution_id, now, until))
    try:
        with signals.job_here():
            holding.report = InlineExecutor().start(call)
    except ColdStop:
        log.warning("Job %s is broken off and given back", claimed.job_id)
    finally:
        keeper.drop()
    return holding.report is not None
