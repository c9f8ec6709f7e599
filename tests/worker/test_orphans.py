"""A container's first process buries those whose parents have died."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
from tests.helpers import wait_until

from atomiq.worker.orphans import Orphans


class TestOrphans:
    def test_a_stranger_is_buried_and_our_own_child_is_left(self) -> None:
        own = subprocess.Popen([sys.executable, "-c", ""])
        zombie = psutil.Process(own.pid)
        wait_until(lambda: zombie.status() == psutil.STATUS_ZOMBIE, what="it has ended")
        Orphans(lambda: {own.pid}, first=True).check()
        assert own.wait() == 0
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], dict(os.environ))
        stranger = psutil.Process(pid)
        wait_until(lambda: stranger.status() == psutil.STATUS_ZOMBIE, what="it has ended")
        Orphans(set, first=True).check()
        assert not psutil.pid_exists(pid)

    def test_only_the_first_process_does_it(self) -> None:
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], dict(os.environ))
        orphans = Orphans(set)
        assert orphans.wake_at() is None
        orphans.check()
        assert os.waitpid(pid, 0)[0] == pid
