"""A benchmark ends what it started, whatever state that is in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest
from bench.processes import running, state
from tests.helpers import wait_until

THREAD_WITHOUT_LEADER = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a process whose first thread is over shows as a zombie on Linux")
def test_a_program_whose_first_thread_has_ended(tmp_path: Path) -> None:
    """It shows as a zombie, but has yet to end: so does one of several threads just after SIGKILL. It was taken for
    ended and was left behind, to be met in the next test as `subprocess ... is still running`."""
    with running([sys.executable, "-c", THREAD_WITHOUT_LEADER], dict(os.environ), tmp_path, tmp_path / "log") as tree:
        leader = psutil.Process(tree.pid)
        wait_until(lambda: state(leader) == psutil.STATUS_ZOMBIE, what="only the thread runs")
        assert tree.alive()
    assert not tree.alive()
