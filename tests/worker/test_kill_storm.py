"""Small storms of bench/kill_storm.py: nothing is lost while supervisors and children are killed at random."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from tests.invariants import check_invariants

ROOT = Path(__file__).parents[2]
SIZES = {"process": 600, "fork": 120, "spawn": 200, "thread": 600, "async": 600, "inline": 300}


@pytest.mark.parametrize("executor", SIZES)
def test_nothing_is_lost_in_a_storm(redis_url: str, redis_connection: redis.Redis, executor: str) -> None:
    words = f"--jobs {SIZES[executor]} --kills 8 --workers 2 --lease 1 --seed 7 --deadline 60 --executor {executor}"
    slots = "-c 1" if executor == "inline" else "-c 2"
    done = subprocess.run(
        [sys.executable, "-m", "bench.kill_storm", *words.split(), *slots.split(), "--url", redis_url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost             0" in done.stdout
    assert "the books balance" in done.stdout
    redis_connection.delete("storm:started")
    assert check_invariants(redis_connection) == []
