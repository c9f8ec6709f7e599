"""`atomiq info --job`: how a job's process died can be read there."""

from __future__ import annotations

import base64
import zlib

import redis
from tests import tasks
from tests.cli.conftest import Atomiq

from atomiq import Queue
from atomiq.cli.detail import LONGEST_FAILURE, indented, job_lines
from atomiq.executors.black_box import LastWords
from atomiq.executors.death import Death, death_text
from atomiq.job import Job
from atomiq.worker import SimpleWorker

DEATH = death_text(
    Death(
        7,
        11,
        words=LastWords(
            "Fatal Python error: Segmentation fault\n\nCurrent thread 1 (most recent call first):\n  File x",
            "\n".join(f"{number} {'y' * 60}" for number in range(50)),
        ),
        ran_for=2.0,
    )
)


def abandoned(connection: redis.Redis) -> Job:
    """A job that waits for its second run after the death of its first process."""
    job = Queue(connection=connection).enqueue(tasks.nothing, job_id="J")
    connection.hset("rq:job:J", mapping={"abandoned": 1, "last_death": base64.b64encode(zlib.compress(DEATH.encode()))})
    job.refresh()
    return job


def test_the_death_of_a_job_that_runs_again(redis_connection: redis.Redis) -> None:
    lines = list(job_lines(abandoned(redis_connection)))
    start = lines.index("last death:    its process died, and the job was put back to run again")
    assert "abandoned:     1" in lines[:start]
    assert lines[start + 1 :] == [f"    {line}".rstrip() for line in DEATH.splitlines()]
    assert lines[start + 4] == "      Fatal Python error: Segmentation fault"
    assert lines[-1] == f"      49 {'y' * 60}"


def test_no_death_no_line(redis_connection: redis.Redis) -> None:
    job = Queue(connection=redis_connection).enqueue(tasks.nothing)
    assert not any(line.startswith("last death") for line in job_lines(job))


def failed_of_death(connection: redis.Redis) -> Job:
    """Failed in the end; its record says the same as the last death did."""
    queue = Queue(connection=connection)
    job = queue.enqueue(tasks.boom, job_id="J")
    SimpleWorker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")
    for entry, fields in connection.xrange("rq:results:J"):  # type: ignore[union-attr]
        connection.xdel("rq:results:J", entry)
        connection.xadd("rq:results:J", {**fields, b"exc_string": f"PoisonJobError: 4 times.\n{DEATH}"})
    return job


def test_the_record_of_a_job_that_died_is_there_as_a_whole(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    failed_of_death(redis_connection)
    lines = atomiq("info", "--job", "J").output.splitlines()
    record = lines.index("    PoisonJobError: 4 times.")
    assert lines[record + 1 :] == [f"    {line}".rstrip() for line in DEATH.splitlines()]
    assert "Work-horse terminated unexpectedly; waitpid returned 11 (signal 11)" in lines[record + 1]


def test_a_death_that_the_record_tells_is_told_once(redis_connection: redis.Redis) -> None:
    job = failed_of_death(redis_connection)
    job.last_death = DEATH
    text = "\n".join(job_lines(job))
    assert text.count("Work-horse terminated unexpectedly") == 1
    assert "last death:" not in text


def test_of_a_very_long_record_both_ends_are_shown() -> None:
    lines = list(indented("\n".join(f"line {number:06}" for number in range(10_000))))
    assert (lines[0], lines[-1]) == ("    line 000000", "    line 009999")
    assert sum(map(len, lines)) < LONGEST_FAILURE * 1.5
    assert any("characters left out" in line for line in lines)
