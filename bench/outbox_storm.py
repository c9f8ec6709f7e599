"""Transactions that write rows and jobs, while writers, relays, connections and Redis are killed at random.

    python -m bench.outbox_storm [--database postgresql|mariadb|sqlite|all] [--transactions 10000] [--writers 4]
                                 [--relays 2] [--kills 200] [--seed N]

A third of the transactions is rolled back. For each row that was committed each of its jobs has to run, once, and
find the row; for one that was not, none. No worker is killed, so that there is no reason for a second run. Redis keeps
every write that it has answered, and comes up again on its files; the workers, which are at work before it first goes,
have to get over that by themselves. Prints the balance; exits with 1 if the books don't balance.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.databases import mariadb_server, postgresql_server
from tests.helpers import wait_until

from atomiq import outbox
from atomiq.outbox.drivers import connect, dialect_of, run
from bench.outbox_world import Crew, Server, everything_has_run, kill_a_connection, workers_of
from bench.outbox_writer import QUEUE

KINDS = ("writer", "relay", "connection", "redis")
TABLE = "CREATE TABLE storm_rows (number BIGINT PRIMARY KEY, jobs INTEGER NOT NULL)"


@dataclass
class Weather:
    """What kind of a storm; `deadline` (for the whole of it) in seconds."""

    transactions: int = 10_000
    writers: int = 4
    relays: int = 2
    workers: int = 2
    kills: int = 200
    seed: int = 1
    deadline: float = 900.0


@dataclass
class Outcome:
    """What came of it. `problems` is empty when the books balance; `log`: the last that the processes said."""

    transactions: int = 0
    committed: int = 0
    jobs: int = 0
    missing: int = 0
    of_rolled_back: int = 0
    early: int = 0
    twice: int = 0
    waiting: int = 0
    parked: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    log: str = ""


@contextmanager
def database(kind: str, folder: str) -> Iterator[str]:
    """The URL of a database with the tables of the storm."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/storm.db"
        connection, driver = connect(url)
        run(connection, driver, "PRAGMA journal_mode=WAL")
        connection.close()
        prepare(url)
        yield url
        return
    with postgresql_server() if kind == "postgresql" else mariadb_server() as server:
        prepare(server.url)
        yield server.url


def prepare(url: str) -> None:
    """The outbox, and the table that stands for the application's."""
    outbox.create(url)
    connection, driver = connect(url)
    suffix = " ENGINE=InnoDB" if dialect_of(driver) == "mysql" else ""
    run(connection, driver, TABLE + suffix)
    connection.commit()
    connection.close()


def storm(url: str, folder: str, weather: Weather) -> Outcome:
    """Write, kill, wait, and close the books."""
    luck, outcome, began = random.Random(weather.seed), Outcome(weather.transactions), time.monotonic()
    server = Server(folder)
    log_file = Path(folder) / "log"
    with log_file.open("ab") as log:
        worker = ["atomiq", "worker", QUEUE, "--url", server.url, "--quiet", "-c", "2"]
        relay = ["atomiq", "relay", "--database", url, "--url", server.url, "--quiet"]
        last, step = str(weather.transactions), str(weather.writers)
        writer = ["bench.outbox_writer", url, server.url, folder]
        workers = Crew([worker] * weather.workers, log)
        crews = [workers]
        try:
            # One that finds no server when it comes up ends, and nobody here would start it again.
            wait_until(lambda: workers_of(server) == weather.workers, within=60, what="the workers are born")
            writers = Crew([[*writer, str(first), last, step] for first in range(weather.writers)], log)
            relays = Crew([relay] * weather.relays, log)
            crews = [writers, relays, workers]
            kill_while_they_write(url, folder, weather, luck, outcome, server, writers, relays)
            over = began + weather.deadline
            while time.monotonic() < over and not workers.is_done and not settled(url, server):
                relays.replace_the_dead()
                time.sleep(0.5)
        finally:
            codes = [crew.stop() for crew in crews]
        if any(codes[-1]):
            outcome.problems.append(f"exit codes of the workers: {codes[-1]}")
        close_the_books(url, folder, outcome)
        server.stop()
    outcome.log = log_file.read_text(errors="replace")[-3000:]
    outcome.seconds = time.monotonic() - began
    return outcome


def kill_while_they_write(
    url: str,
    folder: str,
    weather: Weather,
    luck: random.Random,
    outcome: Outcome,
    server: Server,
    writers: Crew,
    relays: Crew,
) -> None:
    """Kills, spread over the transactions, until the writers are done."""
    over = time.monotonic() + weather.deadline
    while not writers.is_done and time.monotonic() < over:
        time.sleep(luck.uniform(0.0, 0.05))
        relays.replace_the_dead()
        if outcome.kills.total() * weather.transactions > weather.kills * attempted(folder):
            continue
        kind = luck.choices(KINDS, (3, 3, 3, 1))[0]
        if kind == "redis":
            server.kill()
            hit = True
        elif kind == "connection":
            hit = kill_a_connection(url, luck)
        else:
            hit = (writers if kind == "writer" else relays).kill_one(luck)
        outcome.kills.update([kind] if hit else [])
    if attempted(folder) != weather.transactions:
        outcome.problems.append(f"{attempted(folder)} transactions were begun")
    if not writers.is_done:
        outcome.problems.append(f"the writers were not done after {weather.deadline:g} s")


def attempted(folder: str) -> int:
    attempts = Path(folder) / "attempts"
    return attempts.read_bytes().count(b"\n") if attempts.exists() else 0


def settled(url: str, server: Server) -> bool:
    return outbox.figures(url).waiting == 0 and everything_has_run(server, QUEUE)


def close_the_books(url: str, folder: str, outcome: Outcome) -> None:
    """The rows of the database against the notes of the runs."""
    connection, driver = connect(url)
    rows = run(connection, driver, "SELECT number, jobs FROM storm_rows")
    expected = {int(number): int(jobs) for number, jobs in rows}
    connection.close()
    notes = Path(folder) / "notes"
    runs: Counter[tuple[int, int]] = Counter()
    for line in notes.read_text().splitlines() if notes.exists() else ():
        number, part, visible = map(int, line.split())
        runs[number, part] += 1
        outcome.early += not visible
    jobs = {(number, part) for number, count in expected.items() for part in range(count)}
    figures = outbox.figures(url)
    outcome.committed, outcome.jobs = len(expected), len(jobs)
    outcome.waiting, outcome.parked = figures.waiting, figures.parked
    outcome.missing = len(jobs - runs.keys())
    outcome.of_rolled_back = len(runs.keys() - jobs)
    outcome.twice = sum(count - 1 for count in runs.values())
    for name in ("missing", "of_rolled_back", "early", "twice", "waiting", "parked"):
        if count := getattr(outcome, name):
            outcome.problems.append(f"{count} {name.replace('_', ' ')}")


def balance_sheet(kind: str, outcome: Outcome) -> str:
    """The outcome in lines."""
    kills = ", ".join(f"{count} {target}" for target, count in sorted(outcome.kills.items()))
    present = outcome.jobs - outcome.missing
    lines = [
        f"{kind}",
        f"transactions          {outcome.transactions}: {outcome.committed} committed, others rolled back or killed",
        f"jobs of committed     {outcome.jobs}, of which ran {present} ({100 * present / max(outcome.jobs, 1):g} %)",
        f"jobs of rolled back   {outcome.of_rolled_back}",
        f"before row visible    {outcome.early}",
        f"run twice             {outcome.twice}",
        f"left in the outbox    {outcome.waiting} waiting, {outcome.parked} parked",
        f"SIGKILLs              {outcome.kills.total()} ({kills})",
        f"time                  {outcome.seconds:.1f} s",
        "the books balance" if not outcome.problems else "THE BOOKS DON'T BALANCE",
    ]
    return "\n".join([*lines, *outcome.problems])


def main() -> int:
    """Run the storms, print the balances; exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=("postgresql", "mariadb", "sqlite", "all"), default="all")
    for name in ("transactions", "writers", "relays", "workers", "kills", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Weather, name))
    parser.add_argument("--deadline", type=float, default=Weather.deadline)
    given = vars(parser.parse_args())
    wanted = given.pop("database")
    bad = False
    for kind in ("postgresql", "mariadb", "sqlite") if wanted == "all" else (wanted,):
        weather = Weather(**given)
        if kind == "sqlite":
            weather.writers = 1
        with (
            tempfile.TemporaryDirectory(prefix="aq-", dir="/tmp", ignore_cleanup_errors=True) as folder,
            database(kind, folder) as url,
        ):
            outcome = storm(url, folder, weather)
            print(balance_sheet(kind, outcome), flush=True)
            if outcome.problems:
                print(outcome.log)
        bad = bad or bool(outcome.problems)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
