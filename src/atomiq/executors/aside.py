"""Callbacks that the call itself can't make any more, because its process is gone. Each runs in a child of its own.

What goes wrong in them is logged and changes nothing: they are told of an end, they don't decide it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from atomiq._core.errors import NoSuchJobError, PoisonJobError
from atomiq._core.settings import CALLBACK_TIMEOUT
from atomiq._core.states import JobStatus
from atomiq.executors.fork import Announce
from atomiq.executors.report import Report
from atomiq.executors.webhooks import sends_by_itself
from atomiq.job import Job
from atomiq.timeouts import BaseDeathPenalty


def call_stopped(job: Job, penalty: type[BaseDeathPenalty], log: logging.Logger) -> Report:
    """The stopped callback of a job that was killed because a user wanted it stopped."""
    started = time.monotonic()
    try:
        job.execute_stopped_callback(penalty)
    except Exception:
        log.exception("Job %s: its stopped callback failed", job.id)
    return Report("finished", started, time.monotonic())


def call_killed(job: Job, handler: Callable[..., Any], arguments: tuple[Any, ...], log: logging.Logger) -> Report:
    """RQ's work_horse_killed_handler(job, pid, status, rusage). A handler that takes the job's retries away is
    obeyed."""
    started, before = time.monotonic(), job.retries_left or 0
    try:
        handler(job, *arguments)
    except Exception:
        log.exception("Job %s: the handler for killed work horses failed", job.id)
    retry = "never" if before > 0 and not job.retries_left else "auto"
    return Report("finished", started, time.monotonic(), retry=retry)


def call_abandoned(
    fetch: Callable[[], Job],
    penalty: type[BaseDeathPenalty],
    handle: Callable[..., Any],
    log: logging.Logger,
    announce: Announce,
) -> Report:
    """What a job is owed that lost its worker and isn't run again: failure callback, exception handlers and webhooks;
    the stopped callback if it was to be stopped. Each part announces what time it has."""
    started = time.monotonic()
    try:
        job = fetch()
        if job.get_status(refresh=False) is JobStatus.STOPPED:
            announce(job.stopped_callback_timeout)
            return call_stopped(job, penalty, log)
        error = PoisonJobError("the job's worker went away, and it is not run again")
        announce(job.failure_callback_timeout)
        try:
            job.execute_failure_callback(penalty, PoisonJobError, error, None)
        finally:
            announce(CALLBACK_TIMEOUT)
            try:
                handle(job, PoisonJobError, error, None)
            finally:
                _send_webhooks(job)
    except NoSuchJobError:
        log.info("An abandoned job is gone already: nobody is told of its failure")
    except Exception:
        log.exception("The failure callback of an abandoned job failed")
    return Report("finished", started, time.monotonic())


def _send_webhooks(job: Job) -> None:
    if job.webhooks or sends_by_itself(type(job)):
        latest = job.latest_result()
        job.send_webhooks(JobStatus.FAILED, exc_string="" if latest is None else latest.exc_string)
