"""The command line on the server under test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from atomiq.cli.main import main

ROOT = Path(__file__).parents[2]
OURS = ("ATOMIQ_", "RQ_", "REDIS_")

Atomiq = Callable[..., Result]
Process = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests decides about a server; the import path is put back."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def atomiq(redis_url: str, redis_connection: redis.Redis) -> Atomiq:
    """Call the command in this process: `atomiq("info", "-r")`; the server is the one under test."""

    def call(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(main, [command, "--url", redis_url, *arguments], prog_name="atomiq")

    return call


@pytest.fixture
def atomiq_process(redis_url: str, redis_connection: redis.Redis) -> Process:
    """The same as a process of its own."""

    def call(command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_atomiq(command, *arguments, **{"ATOMIQ_URL": redis_url, **environment})

    return call


def run_atomiq(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m atomiq ...` to its end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.run(
        [sys.executable, "-m", "atomiq", *arguments],
        cwd=ROOT,
        env={**inherited, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
