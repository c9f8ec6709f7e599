"""`atomiq health`: exit code 0 when workers are well, 1 with one line about why not."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result
from tests.cli.conftest import Atomiq
from tests.helpers import throwaway_server

from atomiq._commands.worker import worker_birth
from atomiq._wire.sync import Store
from atomiq.cli.main import main
from atomiq.worker.health import Health, HealthPort

HOST = socket.gethostname()
SUPERVISOR = os.getpid()


@pytest.fixture(scope="module")
def gone() -> int:
    """The id of a process that isn't there any more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


class Workers:
    """Puts workers on the server as if they had been born, or had given a sign of life, `age` seconds ago."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, name: str, age: float = 0, pid: int = SUPERVISOR, host: str = HOST, **more: Any) -> None:
        fields = {"queues": "default", "pid": pid, "hostname": host, "state": "idle", **more}
        birth = worker_birth(
            self._store.keys,
            worker=name,
            queues=["default"],
            fields=fields,
            ttl=480,
            lease_ms=30_000,
            incarnation=name,
            now_ms=round((time.time() - age) * 1000),
        )
        assert self._store.run(birth) == "ok"

    def change(self, name: str, **fields: str) -> None:
        self._store.connection.hset(f"rq:worker:{name}", mapping=fields)


@pytest.fixture
def workers(store: Store) -> Workers:
    return Workers(store)


def said(done: Result, code: int) -> str:
    assert done.exit_code == code, done.output
    assert done.output.count("\n") == 1
    return re.sub(r"\d+ s ago", "N s ago", done.output.rstrip("\n"))


def test_a_worker_that_is_well(atomiq: Atomiq, workers: Workers) -> None:
    workers.add("W", age=1.2)
    assert said(atomiq("health"), 0) == "worker W is idle, seen N s ago"
    assert said(atomiq("health", "--name", "W"), 0) == "worker W is idle, seen N s ago"


def test_no_worker(atomiq: Atomiq, workers: Workers) -> None:
    assert said(atomiq("health"), 1) == f"no worker runs on {HOST}"
    workers.add("W", host="elsewhere")
    assert said(atomiq("health"), 1) == f"no worker runs on {HOST}"
    assert said(atomiq("health", "-n", "missing"), 1) == "there is no worker missing"
    assert said(atomiq("health", "-n", "W"), 0) == "worker W is idle, seen N s ago"


def test_a_worker_that_hangs(atomiq: Atomiq, workers: Workers) -> None:
    workers.add("W", age=31)
    hangs = "worker W gave its last sign of life N s ago, 30 s are allowed"
    assert said(atomiq("health"), 1) == said(atomiq("health", "--live"), 1) == hangs
    assert said(atomiq("health", "--max-age", "40"), 0) == "worker W is idle, seen N s ago"


def test_the_age_that_is_allowed(atomiq: Atomiq, workers: Workers) -> None:
    workers.add("W", age=5)
    assert said(atomiq("health"), 0)
    assert "N s ago, 2.5 s are allowed" in said(atomiq("health", "--max-age", "2.5"), 1)


def test_all_workers_of_the_host_count(atomiq: Atomiq, workers: Workers) -> None:
    workers.add("A", pid=SUPERVISOR)
    workers.add("B", pid=os.getppid(), age=31, state="busy")
    workers.add("C", host="elsewhere", age=100)
    assert said(atomiq("health"), 1) == "worker B gave its last sign of life N s ago, 30 s are allowed"
    workers.change("B", beat=str(round(time.time() * 1000)))
    assert said(atomiq("health"), 0) == "worker A is idle, seen N s ago; worker B is busy, seen N s ago"


def test_what_a_killed_worker_left_behind_is_no_trouble(atomiq: Atomiq, workers: Workers, gone: int) -> None:
    workers.add("killed", age=100, pid=gone)
    assert said(atomiq("health"), 1) == f"no worker runs on {HOST}"
    workers.add("next", pid=SUPERVISOR)
    assert said(atomiq("health"), 0) == "worker next is idle, seen N s ago"
    assert "killed gave its last sign of life" in said(atomiq("health", "--name", "killed"), 1)


def test_a_container_that_was_started_again_has_the_same_process_id(atomiq: Atomiq, workers: Workers) -> None:
    workers.add("before", age=100, pid=SUPERVISOR)
    workers.add("after", age=3, pid=SUPERVISOR)
    assert said(atomiq("health"), 0) == "worker after is idle, seen N s ago"


def test_a_worker_that_is_stopping(atomiq: Atomiq, workers: Workers) -> None:
    workers.add("W", shutdown_requested_date="2026-01-01T00:00:00.000000Z")
    assert said(atomiq("health"), 1) == "worker W is stopping"
    assert said(atomiq("health", "--live"), 0) == "worker W is idle, seen N s ago"


def test_a_worker_that_has_taken_its_leave(atomiq: Atomiq, workers: Workers) -> None:
    workers.add("W", death="2026-01-01T00:00:00.000000Z")
    assert said(atomiq("health", "-n", "W"), 1) == "worker W has ended"
    assert said(atomiq("health"), 1) == f"no worker runs on {HOST}"


def test_a_worker_of_rq(atomiq: Atomiq, redis_connection: redis.Redis) -> None:
    """It has neither `beat` nor `lease`."""
    redis_connection.sadd("rq:workers", "rq:worker:R")
    then = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 100))
    fields = {"hostname": HOST, "pid": str(SUPERVISOR), "state": "busy", "last_heartbeat": f"{then}.000000Z"}
    redis_connection.hset("rq:worker:R", mapping=fields)
    assert said(atomiq("health"), 0) == "worker R is busy, seen N s ago"
    assert "50 s are allowed" in said(atomiq("health", "--max-age", "50"), 1)


def test_a_server_that_is_away() -> None:
    url = "unix:///nowhere/at/all"
    done = CliRunner().invoke(main, ["health", "--url", url])
    assert done.exit_code == 1
    assert url.removeprefix("unix://") in done.output
    assert "Traceback" not in done.output


def test_quiet(atomiq: Atomiq, workers: Workers) -> None:
    done = atomiq("health", "-q")
    assert (done.exit_code, done.output) == (1, "")
    workers.add("W")
    done = atomiq("health", "--quiet")
    assert (done.exit_code, done.output) == (0, "")


# --- the health port


class PortInAThread:
    """A worker's loop with a health port; it can be told to stand still."""

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:{folder / 's'}"
        self.health = Health(True, True)
        self._selector = selectors.DefaultSelector()
        self._port = HealthPort(self.address, self._selector, lambda: self.health)
        self._over = False
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()

    def _turn(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.01):
                key.data()

    def stand_still(self) -> None:
        self._over = True
        self._thread.join()

    def close(self) -> None:
        self.stand_still()
        self._port.close()
        self._selector.close()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[PortInAThread]:
    found = PortInAThread(tmp_path)
    yield found
    found.close()


def health(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["health", *arguments], prog_name="atomiq")


def test_a_port_is_asked_and_no_server(port: PortInAThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOMIQ_URL", "unix:///nowhere")
    assert said(health("--port", port.address), 0) == "ok"
    port.health = Health(True, False, ("stopping", "1 of 2 children are alive"))
    assert said(health("--port", port.address), 1) == "stopping; 1 of 2 children are alive"
    assert said(health("--port", port.address, "--live"), 0) == "ok; stopping; 1 of 2 children are alive"
    port.health = Health(False, False, ("deaf",))
    assert said(health("--port", port.address, "--live"), 1) == "deaf"


def test_the_port_of_the_environment(
    port: PortInAThread, atomiq: Atomiq, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One variable serves the worker and its probe. Whoever names a server or a worker means that."""
    monkeypatch.setenv("ATOMIQ_HEALTH_PORT", port.address)
    assert said(health(), 0) == "ok"
    assert said(atomiq("health"), 1) == f"no worker runs on {HOST}"


def test_a_loop_that_hangs(port: PortInAThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atomiq.cli.health.LONGEST_WAIT", 0.1)
    port.stand_still()
    hangs = f"{port.address} has not answered within 0.1 s: the worker's loop hangs"
    assert said(health("--port", port.address), 1) == hangs


def test_a_port_that_nobody_has(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 's'}"
    assert said(health("--port", address), 1) == f"nobody answers at {address}: No such file or directory"


def test_a_port_of_somebody_else() -> None:
    """A Redis hangs up on HTTP, or refuses it."""
    with throwaway_server() as (path, _pid):
        assert "is no health port of a worker" in said(health("--port", f"unix:{path}"), 1)


@pytest.mark.parametrize("more", [("--name", "W"), ("--max-age", "5")])
def test_a_port_knows_nothing_of_other_workers(more: tuple[str, str]) -> None:
    done = health("--port", "8080", *more)
    assert done.exit_code == 2
    assert "--port asks one worker itself" in done.output


def test_what_is_no_address() -> None:
    done = health("--port", "here")
    assert done.exit_code == 2
    assert "'here' is no address" in done.output
