"""The installed RQ as a black box: its workers and its command line on the server under test."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import redis
import rq
from tests.helpers import end_group

ROOT = Path(__file__).parents[2]
RQ = str(Path(sys.executable).with_name("rq"))


def run_simple(
    connection: redis.Redis, queue: str = "default", scheduler: bool = False, serializer: str = "pickle"
) -> None:
    """RQ's SimpleWorker until the queue is empty; in a child, because its pub/sub thread may take a minute to end, with
    a session of its own, because its scheduler may outlive it."""

    def work() -> None:
        os.setsid()
        worker = rq.SimpleWorker([queue], connection=connection, serializer=serializer)
        worker.work(burst=True, logging_level="CRITICAL", with_scheduler=scheduler)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.pid is not None
    end_group(child.pid)
    assert child.exitcode == 0


def run_command(url: str, *arguments: str) -> str:
    """RQ's command line as a process of its own; what it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    done = subprocess.run(
        [RQ, arguments[0], "-u", url, *arguments[1:]],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_forking(url: str, *queues: str, options: tuple[str, ...] = ()) -> str:
    """RQ's Worker, which forks for each job, as a process of its own, until the queues are empty."""
    return run_command(url, "worker", "--burst", *options, *(queues or ("default",)))
