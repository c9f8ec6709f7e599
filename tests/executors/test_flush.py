"""What a child has reported, logged and printed leaves it before it ends, and nothing that hangs holds it up."""

from __future__ import annotations

import ast
import io
import logging
import logging.handlers
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from atomiq.executors.flush import flush_all

PROVIDERS = {
    "opentelemetry.trace": "get_tracer_provider",
    "opentelemetry.metrics": "get_meter_provider",
    "opentelemetry._logs": "get_logger_provider",
}


class Loaded:
    """Puts exporters into sys.modules that answer as the real ones document it. `calls`: which, with what timeout."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.calls: list[tuple[str, float]] = []
        self.hold = threading.Event()

    def sentry(self, hangs: bool = False) -> None:
        def flush(timeout: float | None = None, callback: Any = None) -> None:
            assert timeout is not None
            self.calls.append(("sentry_sdk", timeout))
            if hangs:
                self.hold.wait(30)

        self._monkeypatch.setitem(sys.modules, "sentry_sdk", SimpleNamespace(flush=flush))  # type: ignore[arg-type]

    def telemetry(self, name: str, answer: Any = True) -> None:
        def force_flush(timeout_millis: float = 30000) -> bool:
            self.calls.append((name, timeout_millis))
            if isinstance(answer, Exception):
                raise answer
            return bool(answer)

        module = SimpleNamespace(**{PROVIDERS[name]: lambda: SimpleNamespace(force_flush=force_flush)})
        self._monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loaded]:
    for name in ("sentry_sdk", *PROVIDERS):
        monkeypatch.delitem(sys.modules, name, raising=False)
    found = Loaded(monkeypatch)
    yield found
    found.hold.set()


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    found = logging.getLogger("tests.flush")
    yield found
    found.handlers.clear()


def test_all_that_is_loaded_is_flushed(loaded: Loaded) -> None:
    loaded.sentry()
    for name in PROVIDERS:
        loaded.telemetry(name)
    assert flush_all(2.0) == ()
    assert sorted(loaded.calls) == [
        ("opentelemetry._logs", 1500),
        ("opentelemetry.metrics", 1500),
        ("opentelemetry.trace", 1500),
        ("sentry_sdk", 1.5),
    ]


def test_what_fails_is_named_and_logged_and_the_others_go_on(loaded: Loaded, caplog: pytest.LogCaptureFixture) -> None:
    loaded.telemetry("opentelemetry.trace", OSError("no collector"))
    loaded.telemetry("opentelemetry.metrics", answer=False)
    loaded.telemetry("opentelemetry._logs")
    loaded.sentry()
    assert flush_all() == ("opentelemetry.trace", "opentelemetry.metrics")
    assert len(loaded.calls) == 4
    assert (
        "opentelemetry.trace could not be flushed before the end of the process: OSError: no collector" in caplog.text
    )
    assert "opentelemetry.metrics could not be flushed before the end of the process: Unsent" in caplog.text


def test_an_exporter_that_hangs_holds_up_nobody(loaded: Loaded, caplog: pytest.LogCaptureFixture) -> None:
    loaded.sentry(hangs=True)
    loaded.telemetry("opentelemetry.trace")
    begun = time.monotonic()
    assert flush_all(0.2) == ("sentry_sdk",)
    assert time.monotonic() - begun < 2
    assert ("opentelemetry.trace", 150) in loaded.calls
    assert "sentry_sdk could not be flushed before the end of the process: TimeoutError: it hangs" in caplog.text


def test_the_apis_own_providers_have_nothing_to_flush(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    api = SimpleNamespace(get_tracer_provider=object)
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", api)  # type: ignore[arg-type]
    assert flush_all() == ()


def test_logging_handlers_of_all_loggers(loaded: Loaded, logger: logging.Logger) -> None:
    kept = io.StringIO()
    target = logging.StreamHandler(kept)
    logger.addHandler(logging.handlers.MemoryHandler(1000, flushLevel=logging.CRITICAL, target=target))
    logger.warning("the last words")
    assert kept.getvalue() == ""
    assert flush_all() == ()
    assert kept.getvalue() == "the last words\n"


class Parcel(logging.Handler):
    """Sends what it has when it is flushed, and only then."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []
        self.sent: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.waiting.append(record.getMessage())

    def flush(self) -> None:
        self.sent += self.waiting
        self.waiting.clear()


@pytest.mark.parametrize("first", [True, False, None], ids=["target first", "target last", "target unregistered"])
def test_a_handler_that_collects_comes_before_the_one_it_collects_for(
    loaded: Loaded, logger: logging.Logger, first: bool | None
) -> None:
    target = Parcel()
    collector = logging.handlers.MemoryHandler(1000, flushLevel=logging.CRITICAL, target=target)
    logger.addHandler(collector)
    logger.warning("the last words")
    if first is not None:
        logger.handlers.insert(0 if first else 1, target)
    assert flush_all() == ()
    assert target.sent == ["the last words"]


class Recorder(logging.Handler):
    """Notes that it was flushed."""

    def __init__(self, fails: bool = False, hold: threading.Event | None = None) -> None:
        super().__init__()
        self.flushed, self._fails, self._hold = 0, fails, hold

    def emit(self, record: logging.LogRecord) -> None:
        pass

    def flush(self) -> None:
        self.flushed += 1
        if self._hold is not None:
            self._hold.wait(30)
        if self._fails:
            raise OSError("the log server is gone")


def test_a_handler_that_fails_is_logged_and_the_others_are_flushed(
    loaded: Loaded, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    handlers = [Recorder(), Recorder(fails=True), Recorder()]
    for handler in handlers:
        logger.addHandler(handler)
    logging.getLogger("tests.flush.child").addHandler(handlers[0])
    assert flush_all() == ("logging",)
    logging.getLogger("tests.flush.child").removeHandler(handlers[0])
    assert [handler.flushed for handler in handlers] == [1, 1, 1]
    assert "logging could not be flushed before the end of the process: OSError: the log server is gone" in caplog.text


def test_a_handler_that_wants_no_flush_at_the_end(loaded: Loaded, logger: logging.Logger) -> None:
    handler = Recorder()
    handler.flushOnClose = False  # type: ignore[attr-defined]
    logger.addHandler(handler)
    assert flush_all() == ()
    assert handler.flushed == 0


def test_a_handler_that_hangs_holds_up_nobody(
    loaded: Loaded, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger.addHandler(Recorder(hold=loaded.hold))
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw))
    print("printed", end="")
    begun = time.monotonic()
    assert flush_all(0.2) == ("logging",)
    assert time.monotonic() - begun < 2
    assert raw.getvalue() == b"printed"


PLAIN_CHILD = """
import logging, os, signal, sys, threading, time
from atomiq.executors import flush

threads = []
threading.Thread.start = lambda thread: threads.append(thread.name)
logging.basicConfig(stream=sys.stderr, format="%(message)s")
print("x" * 5000, end="")
logging.error("logged")
begun = time.monotonic()
failed = flush.flush_all(0.6)
took = time.monotonic() - begun
os.write(2, repr((failed, threads, took, signal.getsignal(signal.SIGALRM) == signal.SIG_DFL)).encode())
os._exit(0)
"""


def plain_child(fill: int) -> tuple[str, tuple[Any, ...]]:
    """Flushes with the standard library's streams and handlers; nobody reads its stdout, a pipe that holds `fill`
    bytes already."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while fill:
        fill -= os.write(writer, b"f" * fill)
    os.set_blocking(writer, True)
    command, buffering = [sys.executable, "-c", PLAIN_CHILD], {**os.environ, "PYTHONUNBUFFERED": ""}
    child = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=True, env=buffering, timeout=60)
    os.close(reader)
    os.close(writer)
    logged, _, said = child.stderr.decode().partition("\n")
    return logged, ast.literal_eval(said)


def test_plain_streams_and_handlers_need_no_threads(loaded: Loaded) -> None:
    logged, (failed, threads, _, alarm_as_before) = plain_child(fill=0)
    assert (logged, failed, threads) == ("logged", (), [])
    assert alarm_as_before


def test_a_pipe_that_nobody_reads_holds_up_nobody(loaded: Loaded) -> None:
    logged, (failed, threads, took, alarm_as_before) = plain_child(fill=65_536)
    assert (logged, failed, threads) == ("logged", ("stdout",), [])
    assert took < 2
    assert alarm_as_before


TWO_HANDLERS = """
import faulthandler, logging, os, sys, time
from atomiq.executors import flush

class Later(logging.StreamHandler):
    def emit(self, record):
        self.stream.write(self.format(record))

stream = os.fdopen(int(sys.argv[1]), "w", buffering=65536)
logging.root.addHandler(Later(stream))
logging.root.addHandler(Later(stream))
logging.error("x" * 5000)
faulthandler.dump_traceback_later(20, exit=True)
begun = time.monotonic()
failed = flush.flush_all(0.6)
os.write(1, repr((failed, time.monotonic() - begun)).encode())
os._exit(0)
"""


def test_two_handlers_that_hang_take_no_longer_than_one() -> None:
    """Both write to a pipe that nobody reads. The signal that ends the first is the only one: the second was begun
    behind it, and hung until somebody killed the process."""
    reader, writer = os.pipe()
    os.write(writer, b"f" * 65_536)
    command = [sys.executable, "-c", TWO_HANDLERS, str(writer)]
    child = subprocess.run(command, pass_fds=[writer], capture_output=True, check=False, timeout=60)
    os.close(reader)
    os.close(writer)
    assert child.returncode == 0, child.stderr.decode()
    failed, took = ast.literal_eval(child.stdout.decode())
    assert failed == ("logging",)
    assert took < 2


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_streams_that_are_not_there(loaded: Loaded, monkeypatch: pytest.MonkeyPatch, stream: Any) -> None:
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    assert flush_all() == ()


# --- the real ones, where they are installed


def test_real_sentry() -> None:
    sentry_sdk = pytest.importorskip("sentry_sdk", reason="not installed; the tests above have a stand-in")
    sent: list[Any] = []

    class Transport(sentry_sdk.transport.Transport):  # type: ignore[misc, name-defined]
        def capture_envelope(self, envelope: Any) -> None:
            self.waiting = envelope

        def flush(self, timeout: float, callback: Any = None) -> None:
            sent.append((self.waiting.get_event()["message"], timeout))

    sentry_sdk.init("http://key@localhost/1", transport=Transport, default_integrations=False)
    sentry_sdk.capture_message("the last words")
    assert flush_all(2.0) == ()
    assert sent == [("the last words", 1.5)]
    sentry_sdk.init(default_integrations=False)  # one of the others patches redis-py for good


def test_real_opentelemetry() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="not installed; the tests above have a stand-in")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
    trace.set_tracer_provider(provider)
    with trace.get_tracer("tests").start_as_current_span("the last span"):
        pass
    assert exporter.get_finished_spans() == ()
    assert flush_all() == ()
    assert [span.name for span in exporter.get_finished_spans()] == ["the last span"]
    provider.shutdown()
