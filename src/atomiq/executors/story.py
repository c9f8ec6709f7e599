"""The story of a call: its function, callbacks, exception handlers, the bytes of its result, told in steps.

It is told once; `Performer` has the steps made in a thread or on an event loop. It ends in a Report.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

from atomiq._core.errors import (
    DeserializationError,
    JobStopped,
    PreconditionError,
    PreconditionNotMet,
    ShuttingDown,
)
from atomiq._core.raised import calls_for_retry, read_names
from atomiq._core.settings import CALLBACK_TIMEOUT, DEFAULT_TIMEOUT, UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from atomiq._core.states import JobStatus
from atomiq.executors.fork import Announce
from atomiq.executors.precondition import Look
from atomiq.executors.report import STOPPED_TEXT, Report
from atomiq.job import Job, Retry
from atomiq.serializers import Serializer
from atomiq.timeouts import BaseDeathPenalty, TimerDeathPenalty

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

LARGEST_RESULT: Final = 380 * 2**20
"""Bytes; base64 of it still fits into the 512 MiB that a server takes as one argument."""

_SUCCESS_CALLBACK: Final = Job.execute_success_callback
_FAILURE_CALLBACK: Final = Job.execute_failure_callback
_STOPPED_CALLBACK: Final = Job.execute_stopped_callback
"""As we have made them: what a subclass, or somebody who patches Job, puts in their place is called."""


class ColdStop(SystemExit):
    """The worker itself ends, at once: not the doing of the job that happens to run in its process."""


class Interrupted(Protocol):
    """What the story asks of a guard."""

    @property
    def interrupted(self) -> type[BaseException] | None: ...


Step = tuple[float | None, Callable[..., Any], tuple[Any, ...]]
"""A piece of the user's code: how many seconds it may take (None: no limit), the function, its arguments."""
Story = Generator[Step, Any, Report]
"""All that happens around a call. It is sent what each step returned, and thrown what it raised."""


@dataclass(slots=True)
class Narrator:
    """Tells stories as one worker wants them told; threads may share it.

    `default_result_ttl`: seconds, for jobs that name none. `handle_exception`: called after the failure callback with
    the job and the three parts of the exception.
    """

    serializer: Serializer
    death_penalty_class: type[BaseDeathPenalty]
    default_result_ttl: int
    handle_exception: Callable[..., None]
    worker_name: str
    log: logging.Logger

    def story(
        self,
        job: Job,
        announce: Announce,
        guard: Interrupted,
        make_call: Callable[[], Any],
        end: Callable[..., Any] | None,
        begin: Callable[..., Any] | None = None,
        look: Callable[[], Any] | None = None,
    ) -> Story:
        """`make_call`: the call itself; `end`: called in the end with the job and what it ended with, None if all went
        well. `look`: whether what the job requires is there; `begin`: called with the job before that."""
        started = time.monotonic()
        ended: float | None = None
        error: BaseException | None = None
        try:
            try:
                waiting = None
                if look is not None:
                    waiting = yield from self._look_first(job, announce, guard, begin, look)
                value = waiting or (yield call_limit(job), make_call, ())
                ended = time.monotonic()
                if waiting is not None:
                    report, error = waiting, waiting.value
                elif value is not None and (retry := Retry.asked_for(value)) is not None:
                    report = self._asked_again(job, retry, value, started, ended)
                else:
                    result = self._dump(job, value)
                    if job.success_callback_name:
                        yield self._success_callback(job, value, announce)
                    ttl = job.get_result_ttl(self.default_result_ttl)
                    report = Report("finished", started, ended, result, result_ttl=ttl, value=value)
            except ColdStop:
                raise
            except BaseException as raised:  # noqa: BLE001  SystemExit and KeyboardInterrupt of a job are its failures
                error = raised
                report = yield from self._raised(job, error, announce, guard, started, ended or time.monotonic())
            if end is not None:
                announce(CALLBACK_TIMEOUT)
                yield from self._tried(job, "a hook of the job's end", end, (job, error))
            return report
        finally:
            del error  # its traceback refers to this frame

    def _look_first(
        self,
        job: Job,
        announce: Announce,
        guard: Interrupted,
        begin: Callable[..., Any] | None,
        look: Callable[[], Any],
    ) -> Generator[Step, Any, Report | None]:
        """Look for what the job requires. None: it is there. Otherwise the job waits, or an error is raised; `value` is
        what a hook of the job's end is given."""
        started = time.monotonic()
        if begin is not None:
            yield call_limit(job), begin, (job,)
        seen = Look(job)
        announce(seen.requirement.timeout)
        try:
            there = yield seen.requirement.timeout, look, ()
        except ColdStop:
            raise
        except BaseException as error:
            if _wish(error, guard) is not None:
                raise
            seen.failed(error, time.monotonic() - started)
        else:
            if there:
                announce(call_limit(job))
                return None
            seen.absent(time.monotonic() - started)
        self.log.info("Worker %s: job %s: %s", self.worker_name, job.id, seen.describe())
        not_yet = PreconditionNotMet(seen.describe())
        return Report(
            "waiting", started, time.monotonic(), seen.waits.stored(), retry=seen.next.delay_ms, value=not_yet
        )

    def _raised(
        self,
        job: Job,
        error: BaseException,
        announce: Announce,
        guard: Interrupted,
        started: float,
        ended: float,
    ) -> Story:
        """The call or its success callback has raised."""
        text = ""
        retries, called_for = _stored_retries(job), _calls_for_retry(job, error)
        wish = _wish(error, guard)
        if wish is None:
            error, text = yield from self._failed(job, error, announce, guard)
            wish = _wish(error, guard)  # the failure callback, or a handler, may have been interrupted
        if wish is ShuttingDown:
            return Report("released", started, ended)
        if wish is JobStopped:
            yield from self._stopped(job, announce)
            return Report(
                "stopped", started, ended, exc_string=STOPPED_TEXT, retry="never", failure_ttl=_failure_ttl(job)
            )
        gave_up = retries > 0 and _retries_left(job) == 0
        retry = "auto" if called_for and not gave_up else "never"
        return Report("failed", started, ended, exc_string=text, retry=retry, failure_ttl=_failure_ttl(job))

    def _asked_again(self, job: Job, retry: Retry, value: Any, started: float, ended: float) -> Report:
        """The function returned a Retry, `value`: it counts apart from the retries for exceptions."""
        done = job.number_of_retries or 0
        outcome: Any = "retried" if done < retry.max else "exhausted"
        delay = retry.delay_ms(done)
        kept = self._dump(job, value)
        return Report(outcome, started, ended, kept, retry=delay, failure_ttl=_failure_ttl(job), value=value)

    def _dump(self, job: Job, value: Any) -> bytes | None:
        if value is None:
            return None
        try:
            result = bytes(self.serializer.dumps(value))
        except Exception:  # noqa: BLE001  whatever the value's own code raises; the job is done all the same
            text = "Worker %s: job %s: the result can't be serialized: %s"
            self.log.warning(text, self.worker_name, job.id, type(value).__name__)
            return bytes(self.serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD))
        if len(result) > LARGEST_RESULT:
            raise ValueError(f"the result has {len(result)} bytes; the server stores at most {LARGEST_RESULT}")
        return result

    def _success_callback(self, job: Job, value: Any, announce: Announce) -> Step:
        seconds = job.success_callback_timeout
        announce(seconds)
        _show_status(job, JobStatus.FINISHED)
        job._result = value  # noqa: SLF001  `job.result` of RQ's callbacks
        if type(job).execute_success_callback is not _SUCCESS_CALLBACK:
            return seconds, job.execute_success_callback, (self._penalty(), value)
        return seconds, _call_back, (job, "success_callback", value)

    def _failed(
        self, job: Job, error: BaseException, announce: Announce, guard: Interrupted
    ) -> Generator[Step, Any, tuple[BaseException, str]]:
        """Failure callback, log line, exception handlers. Says what to record, as exception and text."""
        _show_status(job, JobStatus.FAILED)
        exc_info = parts_of(error)
        if job.failure_callback_name:
            try:
                yield self._failure_callback(job, exc_info, announce)
            except ColdStop:
                raise
            except BaseException as second:  # noqa: BLE001  RQ records the exception of a raising failure callback
                if _wish(second, guard) is not None:
                    return second, ""
                exc_info = parts_of(second)
        text = exception_text(exc_info)
        self._log_failure(job, text)
        announce(CALLBACK_TIMEOUT)
        raised = yield from self._tried(job, "an exception handler", self.handle_exception, (job, *exc_info))
        return raised or error, text

    def _failure_callback(self, job: Job, exc_info: ExcInfo, announce: Announce) -> Step:
        seconds = job.failure_callback_timeout
        announce(seconds)
        if type(job).execute_failure_callback is not _FAILURE_CALLBACK:
            return seconds, job.execute_failure_callback, (self._penalty(), *exc_info)
        return seconds, _call_back, (job, "failure_callback", *exc_info)

    def _stopped(self, job: Job, announce: Announce) -> Generator[Step, Any, None]:
        """The stopped callback; what goes wrong in it changes nothing."""
        _show_status(job, JobStatus.STOPPED)
        try:
            name, seconds = job.stopped_callback_name, job.stopped_callback_timeout
        except DeserializationError:
            self.log.exception("Worker %s: job %s: its stopped callback can't be read", self.worker_name, job.id)
            return
        if not name:
            return
        announce(seconds)
        if type(job).execute_stopped_callback is _STOPPED_CALLBACK:
            yield from self._tried(job, "its stopped callback", _call_back, (job, "stopped_callback"), seconds)
        else:
            execute = job.execute_stopped_callback
            yield from self._tried(job, "its stopped callback", execute, (self._penalty(),), seconds)

    def _penalty(self) -> type[BaseDeathPenalty]:
        """For methods of a job class of the user's, which set limits by RQ's classes."""
        return self.death_penalty_class if threading.current_thread() is threading.main_thread() else TimerDeathPenalty

    def _tried(
        self,
        job: Job,
        what: str,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        seconds: float | None = None,
    ) -> Generator[Step, Any, BaseException | None]:
        """A step that decides nothing: what it raises is logged. Says it, if it is no Exception."""
        try:
            yield seconds, function, arguments
        except ColdStop:
            raise
        except BaseException as error:
            self.log.exception("Worker %s: job %s: %s failed", self.worker_name, job.id, what)
            return None if isinstance(error, Exception) else error
        return None

    def _log_failure(self, job: Job, text: str) -> None:
        extra: dict[str, Any] = {"queue": job.origin, "job_id": job.id}
        try:
            extra |= {"func": job.func_name, "arguments": job.args, "kwargs": job.kwargs}
        except Exception:  # noqa: BLE001  the payload is what could not be loaded
            extra |= {"func": "?", "arguments": (), "kwargs": {}}
        message = "Worker %s: job %s: exception raised while executing (%s)\n%s"
        self.log.error(message, self.worker_name, job.id, extra["func"], text, extra=extra)


def exception_text(exc_info: ExcInfo) -> str:
    """The traceback as text that can be stored whatever it holds."""
    try:
        text = "".join(traceback.format_exception(*exc_info))
    except Exception:  # noqa: BLE001  an exception is user code too; what can't be shown must still be recorded
        where = "".join(traceback.format_tb(exc_info[2]))
        text = f"Traceback (most recent call last):\n{where}{exc_info[0].__name__}: <this exception can't be shown>\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def parts_of(error: BaseException) -> ExcInfo:
    """What handlers and callbacks are given; the traceback begins in the user's code, if it gets that far."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    return type(error), error, trace or error.__traceback__


def _call_back(job: Job, which: str, *arguments: Any) -> Any:
    """Call the callback of this name with (job, connection, *arguments), as RQ does."""
    callback = getattr(job, which)
    return None if callback is None else callback(job, job.connection, *arguments)


def _wish(error: BaseException, guard: Interrupted) -> type[BaseException] | None:
    """What the worker wanted, if that is what the call ended with. The same exception raised by the job alone is a
    failure."""
    asked = guard.interrupted
    return asked if asked is not None and _is_only(error, asked) else None


def _is_only(error: BaseException, kind: type[BaseException]) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_only(each, kind) for each in error.exceptions)
    return isinstance(error, kind)


def call_limit(job: Job) -> float | None:
    """Seconds that the call may take, by the job object; None: without limit."""
    timeout = job.timeout or DEFAULT_TIMEOUT
    return None if timeout < 0 else timeout


def _stored_retries(job: Job) -> int:
    """How many retries the job had left when it was claimed."""
    with contextlib.suppress(ValueError):
        return int(job.raw.get(b"retries_left") or 0)
    return 0


def _calls_for_retry(job: Job, error: BaseException) -> bool:
    """Whether the job's Retry is for such an exception."""
    on, unless = read_names(job.raw.get(b"retry_on")), read_names(job.raw.get(b"retry_unless"))
    if not on and isinstance(error, (PreconditionNotMet, PreconditionError)):
        return False  # it was looked for often enough
    return calls_for_retry(error, on, unless)


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


_OURS: Final = frozenset(
    str(Path(__file__).with_name(f"{name}.py"))
    for name in ("story", "perform", "limits", "coroutine", "drive", "precondition")
) | {Job.perform.__code__.co_filename}
"""Files of what is between a worker and the user's code."""
