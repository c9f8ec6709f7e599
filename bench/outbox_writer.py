"""A writer of the outbox storm: transactions with one row and some jobs each, a third of them rolled back.

    python -m bench.outbox_writer URL REDIS_URL FOLDER FIRST LAST STEP

Notes each number before it begins with it, so that the writer that takes its place after a SIGKILL goes on behind it.
What was committed, only the database knows.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.orm import Session

from atomiq import Queue, connect, outbox
from atomiq.outbox.drivers import connect as connect_to_database
from atomiq.outbox.drivers import run, take_over
from bench.outbox_jobs import arrived

QUEUE = "storm"


class Rollback(Exception):
    """Every third transaction's end."""


class Writer:
    """Alternates between a DB-API connection with an explicit nudge, and a SQLAlchemy Session."""

    def __init__(self, url: str, redis_url: str, folder: str) -> None:
        self._url, self._folder = url, folder
        self._queue = Queue(QUEUE, connection=connect(redis_url))
        self._plain: Any = None
        schemes = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite"}
        scheme, _, rest = url.partition("://")
        self._engine = sqlalchemy.create_engine(f"{schemes[scheme]}://{rest}", pool_pre_ping=True)

    def write(self, number: int) -> None:
        luck = random.Random(number)
        with (Path(self._folder) / "attempts").open("a") as attempts:
            attempts.write(f"{number}\n")
        count, fails = luck.randint(1, 3), luck.random() < 1 / 3
        try:
            if number % 2:
                with Session(self._engine) as session, session.begin():
                    session.execute(sqlalchemy.text("INSERT INTO storm_rows VALUES (:number, :jobs)"),
                                    {"number": number, "jobs": count})  # fmt: skip
                    self._jobs(session, number, count, fails)
            else:
                self._by_hand(number, count, fails)
        except Rollback:
            pass
        except Exception as error:  # noqa: BLE001 - its connection was killed; what became of it the database knows
            print(f"{number}: {type(error).__name__}: {error}", file=sys.stderr)
            self._plain = None

    def _by_hand(self, number: int, count: int, fails: bool) -> None:
        if self._plain is None:
            self._plain = connect_to_database(self._url)
            take_over(*self._plain)
        connection, driver = self._plain
        statement = "INSERT INTO storm_rows VALUES (:number, :jobs)"
        run(connection, driver, statement, {"number": number, "jobs": count})
        try:
            self._jobs(connection, number, count, fails)
        except Rollback:
            connection.rollback()
            return
        connection.commit()
        outbox.nudge(self._url, self._queue.connection)

    def _jobs(self, where: Any, number: int, count: int, fails: bool) -> None:
        notes = f"{self._folder}/notes"
        for part in range(count):
            # Half of the jobs are gone the moment they have finished: only the row's name says that it was sent.
            options = {"result_ttl": 0 if (number + part) % 2 else 86400}
            if part % 2:
                options["job_id"] = f"storm-{number}-{part}"
            outbox.enqueue(where, self._queue, arrived, self._url, notes, number, part, **options)
        if fails:
            raise Rollback


def main() -> None:
    """Write all numbers of this writer that nobody has begun with."""
    url, redis_url, folder, *numbers = sys.argv[1:]
    first, last, step = map(int, numbers)
    attempts = Path(folder) / "attempts"
    begun = {int(line) for line in attempts.read_text().splitlines()} if attempts.exists() else set()
    writer = Writer(url, redis_url, folder)
    for number in range(first, last, step):
        if number not in begun:
            writer.write(number)


if __name__ == "__main__":
    main()
