"""A loop that hangs ends its process, with all stacks; one that turns is left alone."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from atomiq.worker.watchdog import Watchdog

ROOT = Path(__file__).parents[2]
LOG = logging.getLogger("tests.watchdog")


@pytest.fixture(autouse=True)
def nobody_uses_the_alarm() -> Iterator[None]:
    """Nor has an earlier test left something: a watchdog does without then."""
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.signal(signal.SIGALRM, before)


def run(how: str, limit: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.worker.watchdog_scene", how, str(limit)]
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("how", ["hang_in_a_call", "hang_in_python"])
def test_a_loop_that_hangs(how: str) -> None:
    done = run(how, 1)
    assert done.stdout == "hanging\n"
    assert done.returncode == -signal.SIGALRM
    assert f"in {how}" in done.stderr
    assert "most recent call first" in done.stderr


def test_a_loop_that_turns() -> None:
    done = run("turn", 0.2)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.0\n", "")


def test_after_the_stop_the_signal_is_as_it_was() -> None:
    done = run("stop", 50)
    assert (done.returncode, done.stderr) == (-signal.SIGALRM, "")


def test_a_child_has_the_signal_for_itself() -> None:
    done = run("fork", 1)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alarm in the child\n", "")


def test_signals_are_put_back(caplog: pytest.LogCaptureFixture) -> None:
    watchdog = Watchdog(50, LOG)
    caplog.set_level(logging.INFO, LOG.name)
    assert watchdog.start(), caplog.text
    assert signal.getitimer(signal.ITIMER_REAL)[0] > 40
    watchdog.stop()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    watchdog.feed()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_feeding_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call a second, however often the loop turns."""
    watchdog, calls = Watchdog(50, LOG), []
    real = signal.setitimer

    def counted(*arguments: float) -> object:
        calls.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(signal, "setitimer", counted)
    watchdog.start()
    for _ in range(1000):
        watchdog.feed()
    watchdog.stop()
    assert len(calls) <= 3


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda _number, _frame: None])
def test_an_application_that_uses_the_signal(handler: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = signal.signal(signal.SIGALRM, handler)  # type: ignore[arg-type]
    try:
        assert not Watchdog(50, LOG).start()
        assert signal.getsignal(signal.SIGALRM) == handler
    finally:
        signal.signal(signal.SIGALRM, before)
    assert "the application uses SIGALRM" in caplog.text


def test_an_application_that_uses_the_timer() -> None:
    signal.setitimer(signal.ITIMER_REAL, 50)
    try:
        assert not Watchdog(40, LOG).start()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 40
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_outside_the_main_thread() -> None:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(Watchdog(50, LOG).start()))
    thread.start()
    thread.join()
    assert answers == [False]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_is_none(limit: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Watchdog(limit, LOG)
