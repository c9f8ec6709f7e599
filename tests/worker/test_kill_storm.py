"""A small storm of bench/kill_storm.py: nothing is lost while supervisors and children are killed at random."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_is_lost_in_a_storm() -> None:
    words = "--jobs 300 --kills 12 --workers 2 --lease 1 --seed 7 --deadline 100"
    done = subprocess.run(
        [sys.executable, "-m", "bench.kill_storm", *words.split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost             0" in done.stdout
    assert "the books balance" in done.stdout
