"""The Django app, with a real Django in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import redis

ROOT = Path(__file__).parents[2]


def run_cases(name: str, redis_url: str) -> int:
    """How many cases passed; fails with pytest's words if one didn't."""
    environment = {**os.environ, "ATOMIQ_CASES_URL": redis_url, "PYTHONPATH": "src:."}
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--noconftest"]
    command = [sys.executable, "-m", "pytest", *options, f"tests/contrib/{name}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    return int(passed[1])


def test_after_commit(redis_url: str, redis_connection: redis.Redis) -> None:
    assert run_cases("django_cases.py", redis_url) == 14


def test_app_and_tasks(redis_url: str, redis_connection: redis.Redis) -> None:
    assert run_cases("django_app_cases.py", redis_url) == 21
