"""A machine, or a limit of it, without room for another process or file."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from typing import Any

import pytest
from tests import tasks
from tests.invariants import check_invariants
from tests.worker import override_jobs

from atomiq import Queue, SimpleWorker, Worker
from atomiq.executors.black_box import BlackBox

FULL = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


class Refusals:
    """`os.fork` fails so often, then forks."""

    def __init__(self, many: int) -> None:
        self.left = many
        self._fork = os.fork

    def __call__(self) -> int:
        if self.left > 0:
            self.left -= 1
            raise FULL
        return self._fork()


@pytest.mark.parametrize("kind", [Worker, SimpleWorker, override_jobs.Loop])
def test_a_fork_that_is_refused(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: Any
) -> None:
    """The keeper of a SimpleWorker ended it with a traceback, and in RQ's loop the job failed for it. The job is given
    back, or runs without a keeper; the log says what to do."""
    job = queue.enqueue(tasks.add, 1)
    worker = kind([queue], connection=queue.connection, **({"executor": "fork"} if kind is Worker else {}))
    monkeypatch.setattr(os, "fork", Refusals(1 if kind is SimpleWorker else 2))
    worker.work(max_jobs=2 if kind is override_jobs.Loop else 1, burst=True)
    assert job.is_finished
    assert queue.connection.hget(job.key, "attempts") == b"1"
    assert "no process can be started" in caplog.text
    assert "raise `ulimit -u`" in caplog.text
    assert check_invariants(queue.connection) == []


def test_a_fork_that_is_refused_all_the_time(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Warm children: the worker ends, and says why."""
    job = queue.enqueue(tasks.add, 1)
    monkeypatch.setattr(os, "fork", Refusals(10**6))
    with pytest.raises(Exception, match=r"5 children in a row failed at once: .*raise `ulimit -u`"):
        Worker([queue], connection=queue.connection, executor="process").work(burst=True)
    assert job.is_queued


def test_files_that_are_short_are_not_a_missing_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """`No usable temporary directory found in ['/tmp', ...]`, said the worker."""

    def refuse(name: str) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(OSError, match="Too many open files"):
        BlackBox()


def test_a_command_without_room_for_its_files_says_so_in_one_line(redis_url: str) -> None:
    """It was a traceback of what happened to open one too many."""

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))

    command = [sys.executable, "-m", "atomiq", "worker", "--burst", "--url", redis_url]
    ended = subprocess.run(command, preexec_fn=few_files, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "Too many open files: raise `ulimit -n`" in ended.stderr.splitlines()[-1]
