"""Connections that break: redis-py sends again by itself, which must be harmless; servers that forget and restart."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from tests.faults.layer import everything_ends
from tests.faults.proxy import CuttingProxy
from tests.helpers import answers, server_binary, wait_until
from tests.invariants import check_invariants
from tests.lua.scene import LEASE, Scene, ended, new_job

from atomiq._commands import claim, enqueue, settle
from atomiq._lua import script, script_names
from atomiq._wire.sync import Store


def retrying(path: str) -> redis.Redis:
    """A client that sends again what it has got no answer to, as redis-py does by default."""
    return redis.Redis(unix_socket_path=path, retry=Retry(ConstantBackoff(0.01), 500))


@pytest.fixture
def scene(proxy: CuttingProxy) -> Iterator[Scene]:
    connection = retrying(proxy.path)
    connection.flushdb()
    for name in script_names():
        connection.script_load(script(name).body)
    yield Scene(connection)
    connection.connection_pool.disconnect()
    Store.of(connection)._binary.connection_pool.disconnect()


def cut(proxy: CuttingProxy) -> None:
    proxy.cut(b"EVAL")


def in_order(scene: Scene) -> None:
    assert check_invariants(scene.redis, now_ms=scene.now) == []


def test_enqueue(scene: Scene, proxy: CuttingProxy) -> None:
    scene.put("first")
    cut(proxy)
    command = enqueue.enqueue(scene.keys, jobs=[new_job("a"), new_job("b", due_ms=scene.now + 9)], unique=True)
    assert [one.word for one in scene.run(command)] == ["already", "already"]
    assert proxy.cuts == 1
    assert scene.queued() == ["first", "a"]
    in_order(scene)


def test_claim(scene: Scene, proxy: CuttingProxy) -> None:
    """RQ loses a job here: the first is popped, and the client, sending again, gets the second."""
    scene.enqueue(new_job("a"), new_job("b"))
    cut(proxy)
    assert scene.take().job_id == "a"
    assert proxy.cuts == 1
    assert scene.queued() == ["b"]
    in_order(scene)


@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_settle_and_claim(scene: Scene, proxy: CuttingProxy, outcome: str) -> None:
    scene.enqueue(*(new_job(name) for name in "abc"))
    job = scene.take()
    cut(proxy)
    settled, claimed = scene.run(
        settle.settle_and_claim(
            scene.keys,
            settlement=ended(job, outcome, result=b"x"),
            queues=["q"],
            worker="w",
            executions=["x"],
            lease_ms=LEASE,
        )
    )
    assert proxy.cuts == 1
    assert settled.word == "already"
    assert [one.job_id for one in claimed.jobs] == ["b"]
    assert scene.redis.xlen(scene.keys.results("a")) == 1
    in_order(scene)


def test_every_call_cut_once(scene: Scene, proxy: CuttingProxy) -> None:
    """A whole life, every reply lost at the first attempt."""
    calls = 0

    def run(command):
        nonlocal calls
        calls += 1
        cut(proxy)
        return scene.run(command)

    run(enqueue.enqueue(scene.keys, jobs=[new_job("a"), new_job("child", depends_on=["a"])]))
    for _ in range(2):
        command = claim.claim(scene.keys, queues=["q"], worker="w", executions=[f"x{calls}"], lease_ms=LEASE)
        (job,) = run(command).jobs
        held = [claim.Held("q", job.job_id, job.execution_id)]
        assert run(claim.extend(scene.keys, worker="w", lease_ms=LEASE, held=held, worker_ttl=60)).lost == []
        assert run(settle.settle(scene.keys, settlement=ended(job))).word == "already"
        in_order(scene)
    assert proxy.cuts == calls == 7
    assert everything_ends(scene) == {"a": "finished", "child": "finished"}


def test_scripts_are_forgotten_between_any_two_calls(scene: Scene) -> None:
    scene.put("a")
    for _ in range(3):
        scene.redis.script_flush()
        job = scene.take()
        scene.redis.script_flush()
        assert scene.settle(job, "failed", retry=0).word == "ok"
    in_order(scene)


@contextmanager
def keeping_server(folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that writes everything to disk at once."""
    path = f"{folder}/s"
    arguments = ["--port", "0", "--unixsocket", path, "--dir", folder, "--appendonly", "yes", "--appendfsync", "always"]
    process = subprocess.Popen([server_binary(), *arguments], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(path), what="the server answers")
        yield process
    finally:
        process.kill()
        process.wait(10)


def test_the_server_is_killed_and_comes_back() -> None:
    """Leases, places and the scripts' own keys are all on disk; scripts are not, and are loaded anew."""
    with tempfile.TemporaryDirectory(prefix="aq-", dir="/tmp") as folder:
        connection = retrying(f"{folder}/s")
        with keeping_server(folder):
            scene = Scene(connection)
            scene.enqueue(*(new_job(name) for name in "abc"), new_job("child", depends_on=["a", "b"]))
            first = scene.take()
            second = scene.take(worker="lost")
            before = scene.space()
        assert not Path(f"{folder}/s").is_socket() or not answers(f"{folder}/s")
        with keeping_server(folder):
            assert scene.space() == before
            assert scene.settle(first).word == "ok"
            assert second.job_id == "b"
            in_order(scene)
            assert set(everything_ends(scene).values()) == {"finished"}
            in_order(scene)
            connection.connection_pool.disconnect()
            Store.of(connection)._binary.connection_pool.disconnect()
