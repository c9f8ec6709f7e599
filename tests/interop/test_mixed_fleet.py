"""A small run of bench/mixed_fleet.py: RQ's workers and ours on the same queues, all killed at random."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_all_jobs_end_and_doctor_finds_nothing(redis_url: str) -> None:
    """Most of its time it waits for a minute to pass, RQ's shortest time until a killed worker's job is given up."""
    words = "--jobs 240 --kills 8 --theirs 1 --ours 1 --lease 2 --seed 5 --deadline 240"
    done = subprocess.run(
        [sys.executable, "-m", "bench.mixed_fleet", *words.split(), "--url", redis_url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the books balance" in done.stdout
