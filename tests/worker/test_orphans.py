"""A worker that is the first process of a container buries whoever is left to it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import psutil
import pytest
from tests import tasks
from tests.helpers import wait_until
from tests.worker import override_jobs

from atomiq import Queue
from atomiq.worker.orphans import Orphans


def test_a_stranger_is_buried_and_our_own_child_is_left() -> None:
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


def test_only_the_first_process_does_it() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], dict(os.environ))
    orphans = Orphans(set)
    assert orphans.wake_at() is None
    orphans.check()
    assert os.waitpid(pid, 0)[0] == pid


def test_in_rqs_loop(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """RQ's loop left them, which the manual denied: each process that a job had left behind was a zombie for good."""
    monkeypatch.setattr("atomiq.worker.steps.Orphans", partial(Orphans, first=True))
    stranger = os.posix_spawn("/bin/true", ["true"], {})
    wait_until(lambda: psutil.Process(stranger).status() == psutil.STATUS_ZOMBIE, what="it has ended")
    job = queue.enqueue(tasks.add, 1)
    override_jobs.Simple([queue]).work(burst=True)
    assert job.is_finished
    assert not psutil.pid_exists(stranger)
