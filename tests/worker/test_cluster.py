"""A node of a cluster has all keys of a deployment, until another one has: a failover, or slots that were moved."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from tests import tasks
from tests.faults.proxy import cutting_proxy
from tests.helpers import server_on_a_port, wait_until
from tests.worker.conftest import StartWorker
from tests.worker.moving import follows

from atomiq import Queue, connect
from atomiq._wire.translate import translated
from atomiq.exceptions import ServerError, ServerReadOnly

PREFIX = "{app}:"


class Node(NamedTuple):
    connection: Any
    port: int
    bus: int
    path: str

    def asked(self, *words: str | int) -> Any:
        return self.connection.execute_command(*words)

    def up(self) -> bool:
        return bool(self.asked("CLUSTER INFO")["cluster_state"] == "ok")


def owner(node: Node) -> int:
    """The port of the node that has the slot, as `node` knows it."""
    [(_start, _end, (_host, port, *_), *_replicas)] = node.asked("CLUSTER", "SLOTS")
    return int(port)


@contextmanager
def node(path: str) -> Iterator[Node]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        bus = int(free.getsockname()[1])
    settings = ("cluster-enabled yes", f"cluster-port {bus}", "cluster-require-full-coverage no", f"unixsocket {path}")
    with server_on_a_port("\n".join((*settings, "shutdown-timeout 0"))) as port, redis.Redis(port=port) as connection:
        yield Node(connection, port, bus, path)


class Moved(NamedTuple):
    """`url` leads to the node that has the keys; `move` gives their slot, empty, to the node of `new`, to which the URL
    leads from then on."""

    url: str
    new: Any
    move: Callable[[], None]


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    monkeypatch.setenv("ATOMIQ_PREFIX", PREFIX)
    with ExitStack() as stack:
        old, new = (stack.enter_context(node(str(tmp_path / name))) for name in ("old", "new"))
        slot = int(old.asked("CLUSTER KEYSLOT", PREFIX))
        old.asked("CLUSTER ADDSLOTS", slot)
        old.asked("CLUSTER MEET", "127.0.0.1", new.port, new.bus)
        wait_until(lambda: len(new.asked("CLUSTER SLOTS")) == 1 and old.up() and new.up())
        name = new.asked("CLUSTER MYID").decode()
        proxy = stack.enter_context(cutting_proxy(old.path))

        def move() -> None:
            new.asked("CLUSTER BUMPEPOCH")  # of two that claim a slot, the one with the greater epoch has it
            new.asked("CLUSTER SETSLOT", slot, "NODE", name)
            wait_until(lambda: owner(old) == new.port, within=10)  # gossip tells it
            proxy.lead_to(new.path)

        yield Moved(f"unix://{proxy.path}", new.connection, move)


def test_who_enqueues(moved: Moved) -> None:
    with connect(moved.url, retry=None) as connection:
        queue = Queue("default", connection=connection)
        queue.enqueue(tasks.nothing)
        moved.move()
        with pytest.raises(ServerReadOnly, match=r"doesn't have these keys.* and connect to the node"):
            queue.enqueue(tasks.nothing)
        queue.enqueue(tasks.nothing)
        assert moved.new.llen("{app}:queue:default") == 1


@pytest.mark.parametrize("executor", ["process", "fork", "async", "inline"])
def test_a_worker(moved: Moved, start_worker: StartWorker, executor: str) -> None:
    """It took MOVED for a fault of its own call: the outcome of the job in hand was given up, and the worker ended."""
    worker = start_worker(url=moved.url, options={"lease": 3}, executor=executor)
    follows(worker, moved.url, moved.new, moved.move)
    assert "can't be stored" not in worker.log


@pytest.mark.parametrize(
    "refusal",
    [
        redis.exceptions.ClusterCrossSlotError("Keys in request don't hash to the same slot"),
        redis.exceptions.MovedError("866 127.0.0.1:7001"),
        redis.exceptions.AskError("866 127.0.0.1:7001"),
        redis.ResponseError("MOVED 866 127.0.0.1:7001"),
        redis.ResponseError("Script attempted to access a non local key in a cluster node script: 0c22"),
    ],
)
def test_a_node_of_a_cluster_says_what_to_do(refusal: Exception) -> None:
    """It was a ScriptError, a fault of atomiq's, that said no more than the server does."""
    error = translated(refusal, "enqueue", "node:7000/0")
    assert isinstance(error, ServerError)
    assert "prefix with a hash tag" in str(error)
