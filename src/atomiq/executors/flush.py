"""Before a child ends: what was reported, logged and printed is sent on; `os._exit` would drop it. It would also leave
the processes and folders that multiprocessing tidies up when a program ends.

Exporters and multiprocessing come first, all at the same time and each in a thread, because one that hangs may hold up
neither the others nor the child. Then logging, to which they may have added, and the standard streams. Where these are
the standard library's own they need no threads, which cost a fork that runs one job a tenth of its time: what they wait
for, a signal can end.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Final

from atomiq._core.log import get_logger

EXPORTERS_SHARE: Final = 0.75
"""Of the whole time; the rest is for logging and the streams."""
_PROVIDERS: Final = (
    ("opentelemetry.trace", "get_tracer_provider"),
    ("opentelemetry.metrics", "get_meter_provider"),
    ("opentelemetry._logs", "get_logger_provider"),
)
_PLAIN_FLUSHES: Final = frozenset({logging.Handler.flush, logging.StreamHandler.flush})
"""These wait for a lock and for a file, and for nothing else."""
_log: Final = get_logger("worker")

Action = Callable[[], object]


class _Late(BaseException):
    """What a signal raises in a flush that hangs: no Exception, or logging's part would take it for the error of one
    handler and go on to the next, which nothing would end any more."""


class Unsent(Exception):
    """An exporter says itself that it could not send everything in time."""


def flush_all(timeout_s: float = 2.0) -> tuple[str, ...]:
    """Flush Sentry, OpenTelemetry, logging handlers, stdout and stderr, as far as they are in use, and end what
    multiprocessing has begun in this process.

    Takes at most `timeout_s` seconds. Says the names of those that failed or hang; they have been logged, unless it is
    logging itself that hangs.
    """
    begun = time.monotonic()
    share = timeout_s * EXPORTERS_SHARE
    failed = _run(dict((*_exporters(share), *_multiprocessing())), begun + share)
    _tell(failed)
    local = {"logging": _flush_logging, "stdout": lambda: _flush(sys.stdout), "stderr": lambda: _flush(sys.stderr)}
    stuck = (_run_here if _is_plain() else _run)(local, begun + timeout_s)
    if not any(isinstance(error, TimeoutError) for error in stuck.values()):
        _tell(stuck)
    return (*failed, *stuck)


def flush_streams() -> None:
    """stdout and stderr alone, with no limit of time. Raises nothing that a stream does."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # full, closed, or None
            stream.flush()


def _exporters(timeout_s: float) -> Iterator[tuple[str, Action]]:
    """Those that the application has loaded; none is imported from here."""
    sentry_flush = getattr(sys.modules.get("sentry_sdk"), "flush", None)
    if sentry_flush is not None:
        yield "sentry_sdk", lambda: sentry_flush(timeout=timeout_s)
    for module, getter in _PROVIDERS:
        get_provider = getattr(sys.modules.get(module), getter, None)
        # The API's own providers, which drop everything, have nothing to flush.
        force_flush = None if get_provider is None else getattr(get_provider(), "force_flush", None)
        if force_flush is not None:
            yield module, _forced(force_flush, round(timeout_s * 1000))


def _multiprocessing() -> Iterator[tuple[str, Action]]:
    """Pools and managers that nobody has closed, the folder of the fork server: its own processes do the same at their
    end. What is another process's it leaves alone."""
    util = sys.modules.get("multiprocessing.util")
    finalizers = list(getattr(util, "_finalizer_registry", {}).values())
    run = getattr(util, "_run_finalizers", None)
    if run is not None and any(getattr(each, "_pid", None) == os.getpid() for each in finalizers):
        yield "multiprocessing", run


def _forced(force_flush: Callable[..., object], timeout_ms: int) -> Action:
    def act() -> None:
        if force_flush(timeout_millis=timeout_ms) is False:
            raise Unsent("it could not send everything in time")

    return act


def _run(actions: Mapping[str, Action], deadline: float) -> dict[str, BaseException]:
    """Do all of it at the same time. Says what failed and why; what isn't done at the deadline goes on on its own."""
    failed: dict[str, BaseException] = {}

    def guarded(name: str, action: Action) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001  exporters are anybody's code; the others go on
            failed[name] = error

    threads: dict[str, threading.Thread] = {}
    for name, action in actions.items():
        thread = threading.Thread(target=guarded, args=(name, action), name=f"atomiq-flush-{name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no room for one more thread
            failed[name] = error
        else:
            threads[name] = thread
    for name, thread in threads.items():
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            failed[name] = TimeoutError("it hangs")
    return dict(failed)


def _is_plain() -> bool:
    """Whether a signal would end whatever the streams and handlers might wait for."""
    return (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and all(stream is None or type(stream) is io.TextIOWrapper for stream in (sys.stdout, sys.stderr))
        and all(type(handler).flush in _PLAIN_FLUSHES for handler in _handlers())
    )


def _run_here(actions: Mapping[str, Action], deadline: float) -> dict[str, BaseException]:
    """Do one after the other. Says what failed and why; each has its share of the time."""
    failed: dict[str, BaseException] = {}
    waiting, before = len(actions), signal.signal(signal.SIGALRM, _late)
    try:
        for name, action in actions.items():
            try:
                signal.setitimer(signal.ITIMER_REAL, max(0.01, (deadline - time.monotonic()) / waiting))
                action()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except _Late:
                failed[name] = TimeoutError("it hangs")
            except BaseException as error:  # noqa: BLE001  a stream may be anybody's code; the others go on
                failed[name] = error
            waiting -= 1
    finally:
        with contextlib.suppress(_Late):  # one that struck behind its action
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
    return failed


def _late(_number: int, _frame: FrameType | None) -> None:
    raise _Late


def _tell(failed: dict[str, BaseException]) -> None:
    for name, error in failed.items():
        text = "%s could not be flushed before the end of the process: %s: %s"
        _log.error(text, name, type(error).__name__, error)


def _flush_logging() -> None:
    """As `logging.shutdown`, but nothing is closed. Raises the last error, after all handlers had their turn."""
    last: Exception | None = None
    for handler in _handlers():
        if getattr(handler, "flushOnClose", True):
            try:
                handler.flush()
            except Exception as error:  # noqa: BLE001  handlers are anybody's code
                last = error
    if last is not None:
        raise last


def _handlers() -> Iterator[logging.Handler]:
    """Each handler once; one that collects for another (MemoryHandler) before that other."""
    loggers = (logging.root, *logging.root.manager.loggerDict.values())
    waiting: list[Any] = [handler for logger in loggers for handler in getattr(logger, "handlers", ())]
    waiting.sort(key=lambda handler: hasattr(handler, "target"))
    seen: set[int] = set()
    while waiting:
        handler = waiting.pop()
        if id(handler) not in seen and isinstance(handler, logging.Handler):
            seen.add(id(handler))
            yield handler
            waiting.append(getattr(handler, "target", None))


def _flush(stream: Any) -> None:
    if stream is not None and not getattr(stream, "closed", False):
        stream.flush()
