"""A Django connection, in a process of its own: Django's settings are there once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
