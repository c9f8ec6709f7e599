"""Cron processes that live and die: no tick is lost, none is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from tests.cron.processes import ROOT, CronProcess
from tests.helpers import throwaway_server, wait_until
from tests.invariants import check_invariants

from atomiq.cron import CronScheduler, get_cron_job_ids

CONFIG = "tests.cron.jobs_config"


def ticks(connection: redis.Redis, name: str) -> list[int]:
    """Of all jobs that came of an entry."""
    ids = get_cron_job_ids(name, connection)
    return sorted(int(connection.hget(f"rq:job:{job_id}", "tick") or 0) for job_id in ids)


def gapless(found: list[int], step: int) -> bool:
    return all(after - before == step for before, after in pairwise(found))


@pytest.mark.slow
def test_each_tick_once_under_kills(redis_url: str, redis_connection: redis.Redis) -> None:
    """bench/cron_kill.py, for eight seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.cron_kill", "--seconds", "8", "--seed", "7", "--url", redis_url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "each tick exactly once" in done.stdout
    assert check_invariants(redis_connection) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_life(redis_url: str, redis_connection: redis.Redis, tmp_path: Path, number: int) -> None:
    with CronProcess(tmp_path / "log", "cron", "--url", redis_url, CONFIG) as cron:
        wait_until(lambda: len(ticks(redis_connection, "quick")) > 2, within=60, what="three ticks")
        (seen,) = CronScheduler.all(redis_connection)
        assert (seen.pid, seen.config_file, len(seen.get_jobs())) == (cron.process.pid, CONFIG, 2)
        assert cron.end(number) == 0
    assert CronScheduler.all(redis_connection) == []
    for line in (
        f"Loading cron configuration from {CONFIG}",
        "Registered 'quick' to run on q every 0.25 seconds",
        f"Successfully registered 2 cron jobs from '{CONFIG}'",
        f"CronScheduler {seen.name}: starting...",
        f"CronScheduler {seen.name}: registering birth...",
        "Enqueued job add to queue q",
        f"CronScheduler {seen.name}: received shutdown signal {int(number)}",
        f"CronScheduler {seen.name}: stop requested",
        f"CronScheduler {seen.name}: registering death...",
        f"CronScheduler {seen.name}: shutdown complete",
    ):
        assert line in cron.log


def test_killed_and_started_again(redis_url: str, redis_connection: redis.Redis, tmp_path: Path) -> None:
    with CronProcess(tmp_path / "first", "cron", "--url", redis_url, CONFIG) as first:
        wait_until(lambda: len(ticks(redis_connection, "quick")) > 2, within=60, what="three ticks")
        first.process.kill()
    before = len(ticks(redis_connection, "quick"))
    with CronProcess(tmp_path / "second", "cron", "--url", redis_url, CONFIG) as second:
        wait_until(lambda: len(ticks(redis_connection, "quick")) > before + 3, within=60, what="more of them")
        assert second.end() == 0
    assert gapless(ticks(redis_connection, "quick"), 250)
    assert gapless(ticks(redis_connection, "seconds"), 1000)


def test_beside_a_worker(redis_url: str, redis_connection: redis.Redis, tmp_path: Path) -> None:
    words = ("worker", "--url", redis_url, "--with-cron", CONFIG, "q")
    with CronProcess(tmp_path / "log", *words) as worker:
        wait_until(
            lambda: finished(redis_connection, "quick") > 3 and finished(redis_connection, "seconds") > 1,
            within=60,
            what="jobs of both entries have been run",
        )
        assert worker.end() == 0
    assert gapless(ticks(redis_connection, "quick"), 250)
    assert CronScheduler.all(redis_connection) == []


def test_a_worker_that_reloads_goes_on(redis_url: str, redis_connection: redis.Redis, tmp_path: Path) -> None:
    """At SIGHUP the process executes itself anew, in the middle of what the cron thread does."""
    words = ("worker", "--url", redis_url, "--with-cron", CONFIG, "q")
    with CronProcess(tmp_path / "log", *words) as worker:
        wait_until(lambda: finished(redis_connection, "quick") > 1, within=60, what="it works")
        worker.process.send_signal(signal.SIGHUP)
        wait_until(lambda: worker.log.count("registering birth...") == 2, within=60, what="it has reloaded")
        before = len(ticks(redis_connection, "quick"))
        wait_until(lambda: len(ticks(redis_connection, "quick")) > before + 3, within=60, what="it goes on")
        assert worker.end() == 0
    assert gapless(ticks(redis_connection, "quick"), 250)


def finished(connection: redis.Redis, name: str) -> int:
    ids = get_cron_job_ids(name, connection)
    return sum(connection.hget(f"rq:job:{job_id}", "status") == b"finished" for job_id in ids)


def test_it_waits_for_a_server_that_is_away(tmp_path: Path) -> None:
    """RQ's ends with the first command that fails."""
    with throwaway_server() as (path, _pid):
        url = f"unix://{path}"
        connection = redis.Redis.from_url(url)
        with CronProcess(tmp_path / "log", "cron", "--url", url, CONFIG) as cron:
            wait_until(lambda: len(ticks(connection, "quick")) > 1, within=60, what="two ticks")
            connection.config_set("maxmemory", "1")
            wait_until(lambda: "the server is away" in cron.log, within=30, what="it has noticed")
            connection.config_set("maxmemory", "0")
            before = len(ticks(connection, "quick"))
            wait_until(lambda: len(ticks(connection, "quick")) > before, within=30, what="it goes on")
            assert cron.process.poll() is None
            assert gapless(ticks(connection, "quick"), 250)
            assert cron.end() == 0
        connection.close()
