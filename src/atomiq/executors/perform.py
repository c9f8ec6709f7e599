"""What happens around a call, in whichever process makes it: time limit, callbacks, exception handlers, result bytes.

Nothing here writes the job's state: it ends in a Report, and the worker settles.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from atomiq._core.errors import DeserializationError
from atomiq._core.settings import CALLBACK_TIMEOUT, DEFAULT_TIMEOUT, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.states import JobStatus
from atomiq.executors.fork import Announce
from atomiq.executors.report import Report
from atomiq.job import Job, Retry
from atomiq.serializers import Serializer
from atomiq.timeouts import BaseDeathPenalty, JobTimeoutException

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Handler = Callable[..., Any]
"""(job, exception type, exception, traceback); a false value other than None ends the chain."""

LARGEST_RESULT: Final = 380 * 2**20
"""Bytes; base64 of it still fits into the 512 MiB that a server takes as one argument."""


class ColdStop(SystemExit):
    """The worker itself ends, at once: not the doing of the job that happens to run in its process."""


@dataclass(slots=True)
class Performer:
    """Makes calls as one worker wants them made.

    `default_result_ttl`: seconds, for jobs that name none. `handle_exception`: called after the failure callback with
    the job and the three parts of the exception.
    """

    serializer: Serializer
    death_penalty_class: type[BaseDeathPenalty]
    default_result_ttl: int
    handle_exception: Callable[..., None]
    worker_name: str
    log: logging.Logger

    def perform(self, job: Job, announce: Announce) -> Report:
        """Run the job's function and what belongs to it. Raises nothing but ColdStop."""
        started = time.monotonic()
        ended: float | None = None
        retries = _retries_left(job)
        try:
            with self._limit(job):
                value = job.perform()
            ended = time.monotonic()
            if isinstance(value, Retry):
                return self._asked_again(job, value, started, ended)
            result = self._dump(value)
            self._call_success_callback(job, value, announce)
            return Report(
                "finished", started, ended, result, result_ttl=job.get_result_ttl(default_ttl=self.default_result_ttl)
            )
        except ColdStop:
            raise
        except BaseException:  # noqa: BLE001  SystemExit and KeyboardInterrupt of a job are the job's failures
            ended = ended or time.monotonic()
            text = self._after_failure(job, _exc_info(), announce)
            gave_up = retries > 0 and _retries_left(job) == 0
            retry = "never" if gave_up else "auto"
            return Report("failed", started, ended, exc_string=text, retry=retry, failure_ttl=_failure_ttl(job))

    def _limit(self, job: Job) -> contextlib.AbstractContextManager[Any]:
        timeout = job.timeout or DEFAULT_TIMEOUT
        if timeout < 0:
            return contextlib.nullcontext()
        return self.death_penalty_class(timeout, JobTimeoutException, job_id=job.id)

    def _asked_again(self, job: Job, retry: Retry, started: float, ended: float) -> Report:
        """The function returned a Retry: it counts apart from the retries for exceptions."""
        done = job.number_of_retries or 0
        outcome: Any = "retried" if done < retry.max else "exhausted"
        delay = Retry.get_interval(done, retry.intervals) * 1000
        return Report(outcome, started, ended, self._dump(retry), retry=delay, failure_ttl=_failure_ttl(job))

    def _dump(self, value: Any) -> bytes | None:
        if value is None:
            return None
        try:
            result = bytes(self.serializer.dumps(value))
        except Exception:  # noqa: BLE001  whatever the value's own code raises; the job is done all the same
            self.log.warning("Worker %s: the result can't be serialized: %s", self.worker_name, type(value).__name__)
            return bytes(self.serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD))
        if len(result) > LARGEST_RESULT:
            raise ValueError(f"the result has {len(result)} bytes; the server stores at most {LARGEST_RESULT}")
        return result

    def _call_success_callback(self, job: Job, value: Any, announce: Announce) -> None:
        if not job.success_callback_name:
            return
        announce(job.success_callback_timeout)
        _show_status(job, JobStatus.FINISHED)
        job.execute_success_callback(self.death_penalty_class, value)

    def _after_failure(self, job: Job, exc_info: ExcInfo, announce: Announce) -> str:
        """Failure callback, log line, exception handlers. Says the text to record."""
        _show_status(job, JobStatus.FAILED)
        if job.failure_callback_name:
            try:
                announce(job.failure_callback_timeout)
                job.execute_failure_callback(self.death_penalty_class, *exc_info)
            except ColdStop:
                raise
            except BaseException:  # noqa: BLE001  RQ records the exception of a raising failure callback
                exc_info = _exc_info()
        text = exception_text(exc_info)
        self._log_failure(job, text)
        announce(CALLBACK_TIMEOUT)
        try:
            self.handle_exception(job, *exc_info)
        except Exception:
            self.log.exception("Worker %s: job %s: an exception handler failed", self.worker_name, job.id)
        return text

    def _log_failure(self, job: Job, text: str) -> None:
        extra: dict[str, Any] = {"queue": job.origin, "job_id": job.id}
        try:
            extra |= {"func": job.func_name, "arguments": job.args, "kwargs": job.kwargs}
        except Exception:  # noqa: BLE001  the payload is what could not be loaded
            extra |= {"func": "?", "arguments": (), "kwargs": {}}
        message = "Worker %s: job %s: exception raised while executing (%s)\n%s"
        self.log.error(message, self.worker_name, job.id, extra["func"], text, extra=extra)


def run_handlers(handlers: Sequence[Handler], job: Job, exc_info: ExcInfo, log: logging.Logger) -> None:
    """RQ's chain: in order, until one returns something false that isn't None. A raising handler is logged and passed
    over."""
    for handler in handlers:
        log.debug("Invoking exception handler %s", handler)
        try:
            carry_on = handler(job, *exc_info)
        except Exception:
            log.exception("Job %s: exception handler %r failed", job.id, handler)
            continue
        if carry_on is not None and not carry_on:
            return


def exception_text(exc_info: ExcInfo) -> str:
    """The traceback as text that can be stored whatever it holds."""
    try:
        text = "".join(traceback.format_exception(*exc_info))
    except Exception:  # noqa: BLE001  an exception is user code too; what can't be shown must still be recorded
        where = "".join(traceback.format_tb(exc_info[2]))
        text = f"Traceback (most recent call last):\n{where}{exc_info[0].__name__}: <this exception can't be shown>\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def describe_error() -> str:
    """The exception that is being handled, as text that can be stored."""
    return exception_text(_exc_info())


def _exc_info() -> ExcInfo:
    kind, exception, trace = sys.exc_info()
    assert kind is not None
    assert exception is not None
    return kind, exception, trace


def _retries_left(job: Job) -> int:
    try:
        return job.retries_left or 0
    except DeserializationError:
        return 0


def _failure_ttl(job: Job) -> int | None:
    try:
        return job.failure_ttl
    except DeserializationError:
        return None


def _show_status(job: Job, status: JobStatus) -> None:
    """Callbacks see in the job's memory what it is about to become, as with RQ; the server still says started."""
    job._status = status  # noqa: SLF001  the name that RQ's users know it by
