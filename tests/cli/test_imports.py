"""What a command that looks or changes something has to import before it begins."""

from __future__ import annotations

import subprocess
import sys

import pytest
import redis

COMMANDS = (
    ("health",),
    ("info",),
    ("doctor",),
    ("enqueue", "time.sleep", ":0"),
    ("requeue", "--queue", "default", "--all"),
    ("empty", "--all"),
    ("suspend",),
    ("resume",),
)
CODE = """
import sys
from atomiq.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
floors = ("atomiq.worker.", "atomiq.stations.", "atomiq.executors.")
print(*(name for name in sys.modules if name.startswith(floors)), sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
def test_nobody_waits_for_the_worker_to_be_imported(
    command: tuple[str, ...], redis_url: str, redis_connection: redis.Redis
) -> None:
    """A probe that runs `atomiq health` every ten seconds spent a third of its time on importing what workers are made
    of: the class that `--worker-class` names was imported, whatever the command."""
    name, *arguments = command
    whole = [sys.executable, "-c", CODE, name, "--url", redis_url, *arguments]
    done = subprocess.run(whole, check=True, capture_output=True, text=True)
    assert done.stdout
    assert done.stderr.split() == []
