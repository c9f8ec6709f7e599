"""A small storm; `python -m bench.outbox_storm` is a real one."""

from __future__ import annotations

import tempfile

import pytest
from bench.outbox_storm import Weather, balance_sheet, database, storm
from tests.databases import Missing


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_the_books_balance(kind: str) -> None:
    """Writers, relays, connections and the server are killed; every committed job runs once, and no other.

    On a slow machine the server was killed while its workers were coming up: they ended, as a worker without a server
    does, and the books said "missing". Now they are at work before the first kill, and their exit codes are looked at.
    """
    weather = Weather(transactions=150, writers=1 if kind == "sqlite" else 3, kills=10, seed=3, deadline=120)
    with tempfile.TemporaryDirectory(prefix="aq-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        try:
            with database(kind, folder) as url:
                outcome = storm(url, folder, weather)
        except Missing as missing:
            pytest.skip(str(missing))
    assert outcome.problems == [], f"{balance_sheet(kind, outcome)}\n{outcome.log}"
    assert outcome.committed > 50
    assert outcome.kills.total() >= 5
