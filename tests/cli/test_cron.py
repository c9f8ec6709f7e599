"""`atomiq cron CONFIG_PATH` and its commands."""

from __future__ import annotations

import json
import logging

import click
import pytest
import redis
from click.testing import CliRunner
from tests import tasks
from tests.cli.conftest import Atomiq, run_atomiq

from atomiq import Queue
from atomiq.cli.cli_cron import START, columns
from atomiq.cli.cli_cron import cron as cron_group
from atomiq.cron import CronScheduler, get_cron_job_ids


@pytest.fixture
def entries(redis_connection: redis.Redis) -> CronScheduler:
    """`sums` has enqueued a job, `nights` waits for its time."""
    scheduler = CronScheduler(redis_connection, logging.ERROR, "S")
    scheduler.register(tasks.add, "q", args=(1, 2), interval=3600, name="sums")
    scheduler.register(tasks.echo, "low", ("x",), cron="30 2 * * *", timezone="Europe/Berlin", name="nights")
    scheduler.enqueue_jobs()
    return scheduler


def test_list(atomiq: Atomiq, entries: CronScheduler) -> None:
    done = atomiq("cron", "list")
    head, nights, sums = done.output.splitlines()
    assert done.exit_code == 0
    assert head.split() == ["NAME", "SCHEDULE", "QUEUE", "NEXT", "LAST", "TICK"]
    assert nights.startswith("nights  30 2 * * * (Europe/Berlin)  low")
    assert " 02:30:00+0" in nights
    assert nights.endswith("  -")
    assert "every 3600 s" in sums
    assert sums.count("+00:00") == 2


def test_list_says_what_is_the_matter(atomiq: Atomiq, redis_connection: redis.Redis, entries: CronScheduler) -> None:
    """Nobody looks after the one any more; of the other a tick waits for the job before it."""
    redis_connection.zincrby("rq:atomiq:cron_entries", -121, "sums")
    redis_connection.hset("rq:atomiq:cron:nights", "waiting", "1700000000000")
    nights, sums = atomiq("cron", "list").output.splitlines()[1:]
    assert sums.endswith("  no cron process looks after it")
    assert nights.endswith("  2023-11-14 23:13:20+01:00 waits")


def test_list_as_json(atomiq: Atomiq, entries: CronScheduler) -> None:
    nights, sums = json.loads(atomiq("cron", "list", "--json").output)
    assert (nights["name"], nights["timezone"], nights["latest"]) == ("nights", "Europe/Berlin", None)
    assert (sums["interval"], sums["missed"], sums["overlap"], sums["paused"]) == (3600, "once", "allow", False)
    assert sums["last_job_id"] is not None


def test_options_may_come_first(redis_url: str, redis_connection: redis.Redis, entries: CronScheduler) -> None:
    done = CliRunner().invoke(cron_group, ["--url", redis_url, "list"])
    assert "every 3600 s" in done.output


def test_nothing_to_list(atomiq: Atomiq) -> None:
    assert atomiq("cron", "list").output.startswith("No cron entries.")


def test_run(atomiq: Atomiq, redis_connection: redis.Redis, entries: CronScheduler) -> None:
    done = atomiq("cron", "run", "nights")
    (job_id,) = Queue("low", connection=redis_connection).job_ids
    assert (done.exit_code, done.output) == (0, f"Enqueued tests.tasks.echo with job-id '{job_id}' to queue low\n")
    assert get_cron_job_ids("nights", redis_connection) == [job_id]


def test_run_with_another_serializer(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    """The job was enqueued, and the command failed for want of its function's name: who tried again had two."""
    scheduler = CronScheduler(redis_connection, logging.ERROR, "S", serializer="json")
    scheduler.register(tasks.add, "q", args=(1, 2), cron="30 2 * * *", name="sums")
    scheduler.enqueue_jobs()
    done = atomiq("cron", "run", "sums")
    (job_id,) = Queue("q", connection=redis_connection).job_ids
    assert (done.exit_code, done.output) == (0, f"Enqueued sums with job-id '{job_id}' to queue q\n")


def test_pause_and_resume(atomiq: Atomiq, entries: CronScheduler) -> None:
    assert atomiq("cron", "pause", "sums").output == "Cron entry 'sums' is paused.\n"
    assert atomiq("cron", "pause", "sums").output == "Cron entry 'sums' was already paused.\n"
    assert atomiq("cron", "list").output.splitlines()[2].endswith("paused")
    assert atomiq("cron", "resume", "sums").output == "Cron entry 'sums' is resumed.\n"
    assert atomiq("cron", "resume", "sums").output == "Cron entry 'sums' was not paused.\n"


def test_history(atomiq: Atomiq, redis_connection: redis.Redis, entries: CronScheduler) -> None:
    atomiq("cron", "run", "sums")
    head, newest, first = atomiq("cron", "history", "sums").output.splitlines()
    ids = get_cron_job_ids("sums", redis_connection)
    assert [line.split()[2:] for line in (newest, first)] == [[job_id, "queued"] for job_id in ids]
    assert head.split() == ["ENQUEUED", "JOB", "STATUS"]
    assert len(atomiq("cron", "history", "sums", "-n", "1").output.splitlines()) == 2
    redis_connection.delete(f"rq:job:{ids[0]}")
    assert atomiq("cron", "history", "sums").output.splitlines()[1].endswith("gone")
    assert atomiq("cron", "history", "nights").output == "No job has come of cron entry 'nights' yet.\n"


@pytest.mark.parametrize("command", ["run", "pause", "resume", "history"])
def test_there_is_no_such_entry(atomiq: Atomiq, entries: CronScheduler, command: str) -> None:
    """`history` took a slip of the pen for an entry that has never run, and ended with 0."""
    done = atomiq("cron", command, "sum")
    assert (done.exit_code, done.output) == (1, "Error: no cron entry is called 'sum'. There are nights, sums\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "Missing argument 'CONFIG_PATH'"),
        (("-l", "LOUD", "conf"), "'LOUD' is not one of"),
        (("run",), "Missing argument 'NAME'"),
        (("history", "x", "-n", "0"), "0 is not in the range"),
    ],
)
def test_wrong_calls(atomiq: Atomiq, words: tuple[str, ...], text: str) -> None:
    done = CliRunner().invoke(cron_group, list(words), prog_name="atomiq cron")
    assert done.exit_code == 2
    assert text in done.output
    assert START not in done.output


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("not_there.py", "ImportError: Failed to import configuration module 'not_there' (from 'not_there.py')"),
        ("/not/there.py", "FileNotFoundError: Configuration file not found at '/not/there.py'"),
        ("/", "IsADirectoryError: Configuration path points to a directory"),
    ],
)
def test_a_config_that_cant_be_used(atomiq: Atomiq, path: str, text: str) -> None:
    done = atomiq("cron", path)
    assert done.exit_code == 1
    assert text in done.output


def test_a_worker_ends_at_once_over_a_bad_config(redis_url: str, redis_connection: redis.Redis) -> None:
    done = run_atomiq("worker", "--url", redis_url, "--with-cron", "not_there", "q")
    assert done.returncode == 1
    assert "Failed to import configuration module 'not_there'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_is_of_both_forms() -> None:
    text = CliRunner().invoke(cron_group, ["--help"], prog_name="atomiq cron").output
    assert "Usage: atomiq cron [OPTIONS] CONFIG_PATH" in text
    assert "--logging-level" in text
    assert "history" in text
    assert START not in [line.split()[0] for line in text.splitlines() if line.strip()]


def test_columns() -> None:
    assert list(columns([("a", "bcd"), ("ef", "")])) == ["a   bcd", "ef"]
    assert isinstance(cron_group, click.Group)
