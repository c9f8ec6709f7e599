"""A machine, or a limit of it, without room for another process or file."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests import tasks
from tests.helpers import wait_until
from tests.invariants import check_invariants
from tests.worker import override_jobs

from atomiq import Queue, SimpleWorker, Worker
from atomiq.executors.black_box import BlackBox

FULL_DISK = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is a file without room on Linux only")
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


@contextmanager
def printing_to_a_full_disk(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker whose output is kept until there is enough of it, as a service's is, and can't be written."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen([sys.executable, "-m", "atomiq", "worker", *command], stdout=full, env=environ)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@FULL_DISK
@pytest.mark.parametrize("executor", ["process", "fork", "spawn", "thread", "async"])
def test_a_log_on_a_full_disk_stops_no_job(queue: Queue, redis_url: str, executor: str) -> None:
    """No child could start, as each failed to write what its supervisor had logged: "5 children in a row failed at
    once", and the worker ended."""
    jobs = [queue.enqueue(tasks.add, 1, number) for number in range(3)]
    with printing_to_a_full_disk("--url", redis_url, "--executor", executor):
        wait_until(lambda: all(job.is_finished for job in jobs), within=45)


@FULL_DISK
def test_a_log_on_a_full_disk_stops_no_reload(queue: Queue, redis_url: str) -> None:
    """It ended the worker."""
    with printing_to_a_full_disk("--url", redis_url) as process:
        first = queue.enqueue(os.getppid)
        wait_until(lambda: first.is_finished, within=20)
        old = queue.enqueue(os.getpid)
        wait_until(lambda: old.is_finished)
        process.send_signal(signal.SIGHUP)

        def is_renewed() -> bool:
            result = queue.enqueue(os.getpid).latest_result(timeout=20)
            return result is not None and result.return_value != old.return_value()

        wait_until(is_renewed, within=20)
        last = queue.enqueue(os.getppid)
        wait_until(lambda: last.is_finished)
        assert {first.return_value(), last.return_value()} == {process.pid}
