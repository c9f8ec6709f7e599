"""Cron processes on one config that are killed at random: each tick of each entry is enqueued exactly once.

    python -m bench.cron_kill [--seconds 60] [--processes 5] [--workers 1] [--seed N] [--url URL]

Some of the processes are `atomiq cron`, `--workers` of them `atomiq worker --with-cron`, all with
bench/cron_entries.py. Several times a second one of them is killed (SIGKILL) and started again, or stopped for a while
(SIGSTOP), as by a machine that swaps. At the end every tick between the first and the last must be the tick of one job,
of all jobs that there are. Exits with 1 if not.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from atomiq import connect
from bench.cron_entries import QUEUE

ROOT = Path(__file__).parents[1]
STEPS = {"interval": 1000, "expression": 1000, "berlin": 1000, "jitter": 1000, "slow": 2000, "slow-expression": 2000}
"""Milliseconds between two ticks of each entry."""
CATCHES_UP = 30.0
"""Seconds that the fleet has at the end, with nobody killed any more, until the last ticks are enqueued."""


@dataclass
class Balance:
    """What came of one entry."""

    name: str
    ticks: int = 0
    jobs: int = 0
    doubles: int = 0
    missing: int = 0
    latest_ms: int = 0


@dataclass
class Outcome:
    """`problems` is empty when every tick was enqueued once."""

    kills: int = 0
    stops: int = 0
    started: int = 0
    balances: list[Balance] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Fleet:
    """The processes; one that is gone is replaced."""

    def __init__(self, url: str, processes: int, workers: int, log: Any) -> None:
        cron = ["cron", "--url", url, "bench.cron_entries"]
        worker = ["worker", "--url", url, "--quiet", "--lease", "2", "--with-cron", "bench.cron_entries", QUEUE]
        self._commands = [worker if number < workers else cron for number in range(processes)]
        self._log = log
        self.started = 0
        self._stopped: dict[int, float] = {}
        self.processes = [self._start(command) for command in self._commands]

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        self.started += 1
        return subprocess.Popen(
            [sys.executable, "-m", "atomiq", *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def keep_up(self) -> None:
        """Replace the dead, wake those that have been stopped for long enough."""
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                self._stopped.pop(number, None)
                self.processes[number] = self._start(self._commands[number])
        for number in [number for number, until in self._stopped.items() if time.monotonic() > until]:
            self.processes[number].send_signal(signal.SIGCONT)
            del self._stopped[number]

    def kill(self, number: int) -> None:
        self.processes[number].kill()
        self.processes[number].wait()

    def stop_for(self, number: int, seconds: float) -> None:
        self.processes[number].send_signal(signal.SIGSTOP)
        self._stopped[number] = time.monotonic() + seconds

    def end(self) -> list[int]:
        """Ask all to end; exit codes."""
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        return [process.wait(30) for process in self.processes]


def run(url: str, seconds: float, processes: int, workers: int, seed: int) -> Outcome:
    """Kill for so long, let the fleet catch up, and close the books."""
    connection, luck, outcome = connect(url), random.Random(seed), Outcome()
    with tempfile.TemporaryFile() as log:
        fleet = Fleet(url, processes, workers, log)
        try:
            wait_for_all(connection, time.monotonic() + CATCHES_UP, since=0)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(luck.uniform(0.1, 1.0))
                fleet.keep_up()
                if luck.random() < 0.8:
                    fleet.kill(luck.randrange(processes))
                    outcome.kills += 1
                else:
                    fleet.stop_for(luck.randrange(processes), luck.uniform(0.5, 3))
                    outcome.stops += 1
            fleet.keep_up()  # or the last that was killed is the one that ends in disorder
            end_ms = server_ms(connection)
            deadline = time.monotonic() + CATCHES_UP
            while time.monotonic() < deadline and not reached(connection, end_ms):
                fleet.keep_up()
                time.sleep(0.1)
            if not reached(connection, end_ms):
                outcome.problems.append(f"after {CATCHES_UP:g} quiet seconds the last ticks are still open")
        finally:
            codes = fleet.end()
        outcome.started = fleet.started
        if any(code not in (0, -signal.SIGTERM) for code in codes):  # that one was about to come up
            log.seek(0)
            outcome.problems.append(f"exit codes {codes}:\n{log.read()[-3000:].decode(errors='replace')}")
    close_the_books(connection, outcome)
    connection.close()
    return outcome


def wait_for_all(connection: Any, deadline: float, since: int) -> None:
    """Until every entry has had its first tick."""
    while not reached(connection, since + 1) and time.monotonic() < deadline:
        time.sleep(0.05)


def reached(connection: Any, moment_ms: int) -> bool:
    """Whether every entry has decided a tick that is later."""
    last = [connection.hget(f"rq:atomiq:cron:{name}", "last") for name in STEPS]
    return all(found is not None and int(found) >= moment_ms for found in last)


def server_ms(connection: Any) -> int:
    seconds, micros = connection.time()
    return int(seconds) * 1000 + int(micros) // 1000


def close_the_books(connection: Any, outcome: Outcome) -> None:
    """Every job of every entry: one for each tick, none too many, none too few."""
    ticks: dict[str, Counter[int]] = {name: Counter() for name in STEPS}
    late: Counter[str] = Counter()
    jobs = 0
    for key in connection.scan_iter("rq:job:*", count=1000):
        if connection.type(key) != b"hash":
            continue
        name, tick, status = (part.decode() for part in connection.hmget(key, "cron", "tick", "status"))
        jobs += 1
        ticks[name][int(tick)] += 1
        (score,) = connection.zmscore(f"rq:cron_job:{name}:jobs", [key.decode().removeprefix("rq:job:")])
        if score is not None:  # the history has the newest thousand
            late[name] = max(late[name], round(score * 1000) - int(tick))
        if status not in ("queued", "started", "finished"):
            outcome.problems.append(f"{key.decode()} is {status}")
    for name, step in STEPS.items():
        outcome.balances.append(balance_of(name, step, ticks[name], late[name]))
    for one in outcome.balances:
        if not one.ticks or one.doubles or one.missing:
            outcome.problems.append(f"{one.name}: {one.doubles} ticks twice, {one.missing} never, of {one.ticks}")
    if jobs != sum(one.ticks for one in outcome.balances):
        outcome.problems.append(f"{jobs} jobs for {sum(one.ticks for one in outcome.balances)} ticks")


def balance_of(name: str, step: int, ticks: Counter[int], latest_ms: int) -> Balance:
    """What there should be between the first tick and the last one, and what there is."""
    found = sorted(ticks)
    if not found:
        return Balance(name)
    missing = sum((after - before) // step - 1 for before, after in pairwise(found))
    expected = (found[-1] - found[0]) // step + 1
    return Balance(name, expected, ticks.total(), ticks.total() - len(found), missing, latest_ms)


def show(outcome: Outcome) -> None:
    print(f"{outcome.started} starts, {outcome.kills} kills, {outcome.stops} stops")
    print(f"{'entry':<18}{'ticks':>7}{'jobs':>7}{'twice':>7}{'never':>7}{'latest, s':>11}")
    for one in outcome.balances:
        print(f"{one.name:<18}{one.ticks:>7}{one.jobs:>7}{one.doubles:>7}{one.missing:>7}{one.latest_ms / 1000:>11.2f}")
    print("\n".join(outcome.problems) or "each tick exactly once")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--url", default="", help="an empty database; default: the embedded server in a new folder")
    given = parser.parse_args()
    print(f"seed {given.seed}")
    with tempfile.TemporaryDirectory() as folder:
        url = given.url or f"embedded://{folder}"
        outcome = run(url, given.seconds, given.processes, given.workers, given.seed)
    show(outcome)
    sys.exit(1 if outcome.problems else 0)


if __name__ == "__main__":
    main()
