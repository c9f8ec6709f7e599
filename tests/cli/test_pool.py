"""`worker-pool` is `worker` with RQ's names for two options."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from tests import tasks

from atomiq import Queue
from atomiq.cli.main import main


@pytest.mark.parametrize("option", [["-n", "2"], ["--num-workers", "2"], ["-c", "2"]])
def test_it_runs_jobs_in_as_many_children(redis_connection: Any, redis_url: str, option: list[str]) -> None:
    jobs = [Queue("high", connection=redis_connection).enqueue(tasks.pid) for _ in range(4)]
    done = CliRunner().invoke(main, ["worker-pool", "high", "--burst", "--url", redis_url, "-l", "WARNING", *option])
    assert done.exit_code == 0, done.output
    assert all(job.is_finished for job in jobs)


def test_n_is_no_name_here(redis_url: str) -> None:
    done = CliRunner().invoke(main, ["worker-pool", "-n", "my-worker", "--url", redis_url])
    assert done.exit_code == 2
    assert "--num-workers" in done.output


def test_the_worker_s_own_options_are_as_they_were() -> None:
    shown = CliRunner().invoke(main, ["worker", "--help"]).output
    assert "-n, --name" in shown
    assert "--num-workers" not in shown
    assert "--num-workers" in CliRunner().invoke(main, ["worker-pool", "--help"]).output
