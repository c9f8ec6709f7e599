"""`atomiq demo` runs, and its books don't balance when they shouldn't."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.cli.conftest import run_atomiq
from tests.helpers import wait_until

from atomiq.demo.books import Books, Entry, balance
from atomiq.demo.corpus import source_files

EXPECTED = {"a": 1, "b": 2, "late": "x", "stumble": "y"}
ENTRIES = (
    Entry("a", "finished", 1, 0, 1, 100.0),
    Entry("b", "finished", 2, 0, 2, 102.5),
    Entry("late", "finished", 1, 0, "x", 104.1, due=104.0),
    Entry("stumble", "finished", 2, 1, "y", 103.0),
)


def closed(entries: tuple[Entry, ...] = ENTRIES, killed: tuple[str, ...] = ("b",)) -> Books:
    return balance(EXPECTED, entries, killed, killed_at=100.0, lease=3.0)


def changed(job_id: str, **fields: Any) -> tuple[Entry, ...]:
    return tuple(dataclasses.replace(entry, **fields) if entry.job_id == job_id else entry for entry in ENTRIES)


def test_books_that_balance() -> None:
    books = closed()
    assert books.problems == []
    assert (books.enqueued, books.finished, books.right, books.lost, books.executions) == (4, 4, 4, 0, 6)
    assert books.again == {"b": "its worker was killed", "stumble": "it failed first and was retried"}
    assert books.soonest == 2.5


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (ENTRIES[1:], "a is lost"),
        (changed("a", status="failed"), "a is failed, not finished"),
        (changed("a", value=3), "a has the result 3, and should have 1"),
        (changed("a", attempts=2), "a ran 2 times, and should have run 1 times"),
        (changed("b", attempts=1), "b ran 1 times, and should have run 2 times"),
        (changed("stumble", attempts=1), "stumble ran 1 times"),
        (changed("late", started=103.9), "late ran 0.100 s before it was due"),
        (changed("b", started=109.5), "the killed worker's job ran again only after 9.5 s"),
        ((*ENTRIES, Entry("z", "finished", 1, 0, 1, 100.0)), "z was never enqueued"),
    ],
)
def test_books_that_dont(entries: tuple[Entry, ...], problem: str) -> None:
    assert any(problem in found for found in closed(entries).problems)


def test_a_busy_machine() -> None:
    """The other worker looks at a whole second, and may have to wait for a processor then: that job ran 2.02 s after a
    kill with a lease of one second, and a demo in which all had gone well ended with an error."""
    assert closed(changed("b", started=106.0)).problems == []


def test_a_worker_that_was_killed_in_vain() -> None:
    assert "no job was running when the worker was killed" in closed(killed=()).problems


def test_the_corpus_is_spread_evenly() -> None:
    everything, some = source_files(), source_files(25)
    assert len(everything) > 300
    assert len(some) == len(set(some)) == 25
    assert set(some) <= set(everything)
    assert not any("/test/" in path or "site-packages" in path for path in everything)


def test_the_demo(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/d?idle=0.5"
    done = run_atomiq("demo", "--files", "40", "--url", url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The books balance" in done.stdout
    assert "killed with SIGKILL while it ran" in done.stdout
    assert "its worker was killed" in done.stdout
    assert f"info --url '{url}'" in done.stdout


def test_the_demo_on_a_server_of_ones_own(redis_url: str, redis_connection: Any) -> None:
    """It leaves nothing of its own behind."""
    done = run_atomiq("demo", "--files", "20", "--lease", "2", "--url", redis_url)
    assert done.returncode == 0, done.stdout + done.stderr
    # The killed worker could not take its leave: its name is forgotten when its hash has expired and somebody looks.
    left = [key for key in redis_connection.keys("rq:*") if not key.startswith(b"rq:worker")]
    assert [key for key in left if redis_connection.ttl(key) == -1] == []


def test_a_server_that_isnt_there() -> None:
    done = run_atomiq("demo", "--url", "redis://localhost:1")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_its_help_is_asked_for_as_that_of_every_command(asked: str) -> None:
    """`-h` was an option that doesn't exist."""
    done = run_atomiq("demo", asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert "-h, --help" in done.stdout


def test_an_interrupted_one_tidies_up_too(redis_url: str, redis_connection: redis.Redis) -> None:
    """Ctrl+C left some six hundred jobs on the user's own server, for ever."""
    command = [sys.executable, "-m", "atomiq", "demo", "--files", "20", "--url", redis_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as demo:
        wait_until(lambda: redis_connection.scard("rq:workers"), 30, "they work")
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        said = demo.communicate(timeout=60)[0]
    assert demo.returncode == 130, said
    assert redis_connection.keys("rq:job:*") == []
    left = [key for key in redis_connection.keys("rq:*") if not key.startswith(b"rq:worker")]
    assert [key for key in left if redis_connection.ttl(key) == -1] == []
