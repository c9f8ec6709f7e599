"""The server's password, or the worker's ACL user, is changed under a running worker."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests import tasks
from tests.helpers import throwaway_server, wait_until
from tests.invariants import check_invariants
from tests.worker.conftest import StartWorker

from atomiq import Queue


class Guarded:
    """A server whose user `worker` has a password; what is asked here is asked by another user."""

    def __init__(self, path: str) -> None:
        self.connection = redis.Redis(unix_socket_path=path)
        self.url = f"unix://worker:old@{path}"
        self.password("old")

    def password(self, password: str) -> None:
        rules = ("reset", "on", f">{password}", "~*", "&*", "+@all")
        self.connection.execute_command("ACL", "SETUSER", "worker", *rules)

    def cut(self) -> None:
        """End the worker's connections: a password is asked for when one begins."""
        for client in self.connection.client_list():
            if client["user"] == "worker":
                self.connection.client_kill_filter(_id=client["id"])


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    with throwaway_server() as (path, _pid):
        server = Guarded(path)
        yield server
        server.connection.close()


@pytest.mark.parametrize("executor", ["process", "fork", "thread", "async", "inline"])
def test_a_password_that_changes_is_waited_for(
    guarded: Guarded, start_worker: StartWorker, tmp_path: Path, executor: str
) -> None:
    """The worker ended with code 1, and what it ran was run a second time when its lease was over. It says what is
    wrong and tries again, as when the server is away, and the outcome of its job isn't lost."""
    queue, go = Queue("default", connection=guarded.connection), tmp_path / "go"
    worker = start_worker(url=guarded.url, executor=executor)
    job = queue.enqueue(tasks.note_and_wait, str(tmp_path / "notes"), str(go))
    wait_until(lambda: job.get_status() == "started")
    guarded.password("new")
    guarded.cut()
    go.touch()
    worker.says("refuses these credentials: ")
    assert "start this process again with the new one" in worker.log
    guarded.password("old")
    wait_until(lambda: job.is_finished, within=20)
    assert guarded.connection.hget(job.key, "attempts") == b"1"
    worker.signal(signal.SIGTERM)
    assert worker.exits() == 0
    assert check_invariants(guarded.connection) == []


@pytest.mark.parametrize("executor", ["process", "inline"])
def test_a_password_that_the_server_does_not_ask_for(start_worker: StartWorker, executor: str) -> None:
    """Redis takes any password for its default user when that needs none, if it comes with HELLO, as redis-py 8 sends
    it: a producer worked, and RQ's workers did. Our lines and subscriptions speak RESP2, where it is AUTH without a
    user, which such a server refuses: the worker took no job, and said for ever that it can't reach the server."""
    with throwaway_server() as (path, _pid):
        url = f"unix://:nobody%20asks@{path}?protocol=3"
        with redis.Redis.from_url(url) as connection:
            job = Queue("default", connection=connection).enqueue(tasks.add, 1, 2)
            worker = start_worker(url=url, executor=executor)
            wait_until(lambda: job.is_finished)
            worker.signal(signal.SIGTERM)
            assert worker.exits() == 0
        assert "can't be reached" not in worker.log
