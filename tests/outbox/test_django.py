"""A Django connection, in a process of its own: Django's settings are there once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).parents[2]


def test_atomic_savepoint_and_autocommit(tmp_path: Path, redis_url: str, redis_connection: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.outbox.django_scene", str(tmp_path / "app.db"), redis_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == ["refused", "rolled back", "before []", "after ['kept'] 0"], done.stderr


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_pool_gets_its_connections_back(database: tuple[str, str]) -> None:
    """Django hands out a place of its pool with each new connection. A relay inside the application, which comes and
    goes, closed them and gave none back: after as many goes as there are places every request timed out."""
    [folder] = parse_qs(urlsplit(database[1]).query)["host"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.outbox.django_pool_scene", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == [*(f"[({number},)]" for number in range(5)), "[]"], done.stderr
