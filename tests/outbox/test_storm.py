"""A small storm; `python -m bench.outbox_storm` is a real one."""

from __future__ import annotations

import tempfile

import pytest
from bench.outbox_storm import Weather, balance_sheet, database, storm
from tests.databases import Missing


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_the_books_balance(kind: str) -> None:
    """Writers, relays, connections and the server are killed; every committed job runs once, and no other."""
    weather = Weather(transactions=150, writers=1 if kind == "sqlite" else 3, kills=10, seed=3, deadline=120)
    with tempfile.TemporaryDirectory(prefix="aq-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        try:
            with database(kind, folder) as url:
                outcome = storm(url, folder, weather)
        except Missing as missing:
            pytest.skip(str(missing))
    assert outcome.problems == [], balance_sheet(kind, outcome)
    assert outcome.committed > 50
    assert outcome.kills.total() >= 5
