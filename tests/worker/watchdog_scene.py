"""A process with a watched loop: `python -m tests.worker.watchdog_scene HOW LIMIT`, HOW one of the functions below."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time

from atomiq.worker.watchdog import Watchdog


def turn_for(watchdog: Watchdog, seconds: float) -> None:
    """A loop that turns."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        watchdog.feed()
        select.select([], [], [], 0.01)


def hang_in_a_call(watchdog: Watchdog, limit: float) -> None:
    """In the kernel: nothing of Python runs."""
    reader, _writer = os.pipe()
    turn_for(watchdog, 0.1)
    print("hanging", flush=True)
    os.read(reader, 1)


def hang_in_python(watchdog: Watchdog, limit: float) -> None:
    print("hanging", flush=True)
    while True:
        pass


def turn(watchdog: Watchdog, limit: float) -> None:
    """Several times the limit, and all is well; afterwards nobody watches."""
    turn_for(watchdog, 3 * limit)
    watchdog.stop()
    print(signal.getitimer(signal.ITIMER_REAL)[0], flush=True)


def stop(watchdog: Watchdog, limit: float) -> None:
    """Whoever sends the signal afterwards gets what it does by default: an end without stacks."""
    watchdog.stop()
    os.kill(os.getpid(), signal.SIGALRM)


def fork(watchdog: Watchdog, limit: float) -> None:
    """A child has SIGALRM for itself."""
    pid = os.fork()
    if pid == 0:
        watchdog.forget()
        watchdog.feed()
        said = []
        signal.signal(signal.SIGALRM, lambda _number, _frame: said.append("alarm in the child"))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        while not said:
            select.select([], [], [], 0.01)
        print(*said, flush=True)
        os._exit(0)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        turn_for(watchdog, 0.01)
    watchdog.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    dog = Watchdog(float(sys.argv[2]), logging.getLogger("watchdog"))
    assert dog.start()
    globals()[sys.argv[1]](dog, float(sys.argv[2]))
