"""`atomiq info`: RQ's shapes, RQ's numbers, and nothing changed by looking."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis
from tests import tasks
from tests.cli.conftest import ROOT, Atomiq
from tests.interop.theirs import run_command

from atomiq import Queue
from atomiq._commands.worker import worker_birth
from atomiq._wire.sync import Store
from atomiq.cli.live import Rate, draw
from atomiq.cli.shapes import bar_scale
from atomiq.cli.snapshot import Snapshot, take
from atomiq.suspension import resume, suspend
from atomiq.worker import SimpleWorker


@pytest.fixture
def busy(redis_connection: redis.Redis) -> Iterator[redis.Redis]:
    """bulk: 25 waiting; default: one finished, one failed; two workers."""
    default = Queue(connection=redis_connection)
    default.enqueue(tasks.nothing, job_id="fine")
    default.enqueue(tasks.boom, job_id="bad")
    SimpleWorker([default], connection=redis_connection).work(burst=True, logging_level="CRITICAL")
    bulk = Queue("bulk", connection=redis_connection)
    bulk.enqueue_many([Queue.prepare_data(tasks.nothing) for _ in range(25)])
    store = Store.of(redis_connection)
    for name, queues, state in (("WA", ["default", "bulk"], "busy"), ("WB", ["bulk"], "idle")):
        fields = {
            "queues": ",".join(queues),
            "pid": "23957",
            "hostname": "vm",
            "ip_address": "127.0.0.1:34644",
            "version": "1",
            "python_version": "3",
            "state": state,
        }
        store.run(
            worker_birth(
                store.keys, worker=name, queues=queues, fields=fields, ttl=480, lease_ms=30000, incarnation=name
            )
        )
    return redis_connection  # type: ignore[return-value]


PRETTY = """\
bulk         |██████████ 25, 0 executing, 0 finished, 0 failed
default      | 0, 0 executing, 1 finished, 1 failed
2 queues, 25 jobs total

WA (vm 127.0.0.1:34644 23957): busy default, bulk. jobs: 0 finished, 0 failed
WB (vm 127.0.0.1:34644 23957): idle bulk. jobs: 0 finished, 0 failed
2 workers, 2 queues

Updated: T
"""
RAW = """\
queue bulk 25, 0 executing, 0 finished, 0 failed
queue default 0, 0 executing, 1 finished, 1 failed
worker WA (vm 127.0.0.1:34644 23957) busy default, bulk. jobs: 0 finished, 0 failed
worker WB (vm 127.0.0.1:34644 23957) idle bulk. jobs: 0 finished, 0 failed
"""


def test_pretty(atomiq: Atomiq, busy: redis.Redis) -> None:
    done = atomiq("info")
    assert done.exit_code == 0
    assert re.sub(r"(?<=Updated: ).*", "T", done.output) == PRETTY


def test_raw(atomiq: Atomiq, busy: redis.Redis) -> None:
    assert atomiq("info", "--raw").output == RAW


def test_by_queue(atomiq: Atomiq, busy: redis.Redis) -> None:
    lines = atomiq("info", "-R", "bulk", "unheard").output.splitlines()
    assert "bulk:    WA (busy), WB (idle)" in lines
    assert "unheard: –" in lines  # noqa: RUF001
    raw = atomiq("info", "-r", "-R").output.splitlines()
    assert raw[2:] == ["bulk:    WA (busy), WB (idle)", "default: WA (busy)"]


def test_one_section_only(atomiq: Atomiq, busy: redis.Redis) -> None:
    queues = atomiq("info", "-r", "-Q").output
    assert queues == "".join(RAW.splitlines(keepends=True)[:2])
    assert atomiq("info", "-r", "-W").output == "".join(RAW.splitlines(keepends=True)[2:])
    assert atomiq("info", "-r", "-Q", "-W").output == queues
    assert "Updated" not in atomiq("info", "-Q").output


def test_named_queues_and_their_workers(atomiq: Atomiq, busy: redis.Redis) -> None:
    lines = atomiq("info", "-r", "default").output.splitlines()
    assert lines == RAW.splitlines()[1:3]


def test_a_worker_of_a_queue_that_was_never_used_is_shown(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    """RQ hides it until the first job arrives."""
    waiting = SimpleWorker(["new"], name="W", connection=redis_connection)
    waiting.register_birth()
    assert atomiq("info", "-W").output.startswith("W (")
    waiting.register_death()


def test_rq_says_the_same(atomiq: Atomiq, busy: redis.Redis, redis_url: str) -> None:
    """`rq info` on the same data, line for line; its order is arbitrary."""
    for options in (("--raw",), ("--raw", "-R"), ("--raw", "-Q"), ("--raw", "-W")):
        theirs = run_command(redis_url, "info", *options).splitlines()
        ours = atomiq("info", *options).output.splitlines()
        assert sorted(ours) == sorted(theirs)


def test_looking_changes_nothing(atomiq: Atomiq, busy: redis.Redis) -> None:
    def everything() -> dict[bytes, bytes]:
        return {key: busy.dump(key) for key in busy.keys("*")}  # type: ignore[misc]

    before = everything()
    for options in ((), ("-r",), ("-R",), ("--job", "bad")):
        assert atomiq("info", *options).exit_code == 0
    assert everything() == before


def test_one_job(atomiq: Atomiq, busy: redis.Redis) -> None:
    lines = atomiq("info", "--job", "bad").output.splitlines()
    assert "status:        failed" in lines
    assert "call:          tests.tasks.boom()" in lines
    assert lines[-1] == "    ValueError: boom"


def test_no_such_job(atomiq: Atomiq) -> None:
    done = atomiq("info", "--job", "missing")
    assert (done.exit_code, done.output) == (1, "Error: No such job: rq:job:missing\n")


def test_a_job_whose_call_cant_be_loaded(atomiq: Atomiq, busy: redis.Redis) -> None:
    busy.hset("rq:job:bad", "data", b"no pickle")
    done = atomiq("info", "--job", "bad")
    assert done.exit_code == 0
    assert "can't be read" in done.output


@pytest.mark.parametrize(("largest", "scale"), [(0, 20), (20, 20), (21, 50), (999, 1000), (1000, 1000), (1001, 1001)])
def test_scale_of_the_bars(largest: int, scale: int) -> None:
    assert bar_scale(largest) == scale


def test_the_live_view_draws_what_is_there(busy: redis.Redis) -> None:
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as capture:
        console.print(draw(take(Store.of(busy), ["bulk", "default"], only_of_queues=False), 12.5, True, True))
    text = capture.get()
    assert "bulk" in text
    assert "WA" in text
    assert "12.5 jobs/s" in text


def test_the_rate_is_what_the_workers_completed() -> None:
    def snapshot(done: int) -> Snapshot:
        from atomiq.cli.snapshot import describe

        return Snapshot((), (describe("W", {b"successful_job_count": str(done).encode()}),), False)

    rate = Rate()
    assert rate.of(snapshot(5), 10.0) is None
    assert rate.of(snapshot(25), 12.0) == 10.0
    assert rate.of(snapshot(3), 14.0) is None


@pytest.mark.parametrize("options", [(), ("--raw",)])
def test_the_live_view_ends_in_order(redis_url: str, busy: redis.Redis, options: tuple[str, ...]) -> None:
    """On a terminal: drawn again and again until Ctrl+C, and then exit code 0."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "atomiq", "info", "--url", redis_url, "-i", "0.05", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while seen.count(b"bulk") < 3:
        seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # what a terminal says when its last writer has gone
        pass
    os.close(ours)
    assert process.wait(10) == 0
    assert b"Traceback" not in seen


def test_a_live_view_that_nobody_sees_prints_pages(redis_url: str, busy: redis.Redis) -> None:
    command = [sys.executable, "-m", "atomiq", "info", "--url", redis_url, "-i", "0.05"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(10) == 0
    assert lines.count("2 queues, 25 jobs total\n") == 2


def test_it_says_that_workers_are_suspended(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    """Jobs waited, workers were idle, and nothing on the page said why."""
    suspend(redis_connection)
    assert atomiq("info").output.splitlines()[0].startswith("suspended:")
    assert "suspended" not in atomiq("info", "-r").output, "scripts read this one, as RQ prints it"
    resume(redis_connection)
    assert "suspended" not in atomiq("info").output
