"""A server for a benchmark, and its own account of what it did."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from atomiq._wire.embedded import server_binary


@contextlib.contextmanager
def bench_server() -> Iterator[str]:
    """URL of an empty server without persistence on a unix socket, ended when the block is left."""
    with tempfile.TemporaryDirectory(prefix="aq-bench-") as folder:
        arguments = ["--port", "0", "--unixsocket", f"{folder}/s", "--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen([str(server_binary()), *arguments], stdout=subprocess.DEVNULL)
        try:
            wait_for(f"{folder}/s")
            yield f"unix://{folder}/s"
        finally:
            process.terminate()
            process.wait(10)


@contextlib.contextmanager
def tcp_server(binary: str | None = None) -> Iterator[str]:
    """URL of an empty server without persistence on a free loopback port, ended when the block is left."""
    with tempfile.TemporaryDirectory(prefix="aq-bench-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        arguments = ["--port", str(port), "--bind", "127.0.0.1", "--unixsocket", f"{folder}/s"]
        arguments += ["--save", "", "--appendonly", "no", "--dir", folder]
        process = subprocess.Popen([binary or default_binary(), *arguments], stdout=subprocess.DEVNULL)
        try:
            wait_for(f"{folder}/s")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


def default_binary() -> str:
    """The machine's own redis-server, where there is one; else the embedded one."""
    return shutil.which("redis-server") or str(server_binary())


def named_binary(name: str) -> str:
    """`redis`: the machine's own; `valkey`: the embedded one; anything else is a path."""
    if name == "valkey":
        return str(server_binary())
    return default_binary() if name == "redis" else str(Path(name))


def wait_for(path: str) -> None:
    connection = redis.Redis(unix_socket_path=path)
    deadline = time.monotonic() + 10
    while True:
        try:
            connection.ping()
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            connection.close()
            return


@dataclass(frozen=True)
class Account:
    """What the server has used so far: CPU seconds, commands from clients, microseconds inside script calls."""

    cpu: float
    commands: int
    script_calls: int
    script_us: int

    @classmethod
    def of(cls, connection: Any) -> Account:
        cpu, stats, calls = connection.info("cpu"), connection.info("stats"), connection.info("commandstats")
        scripts = [calls.get(f"cmdstat_{name}", {}) for name in ("evalsha", "eval")]
        return cls(
            cpu["used_cpu_user"] + cpu["used_cpu_sys"],
            stats["total_commands_processed"],
            sum(row.get("calls", 0) for row in scripts),
            sum(row.get("usec", 0) for row in scripts),
        )

    def since(self, before: Account) -> Account:
        return Account(
            self.cpu - before.cpu,
            self.commands - before.commands,
            self.script_calls - before.script_calls,
            self.script_us - before.script_us,
        )


# What the bench itself asks the server for while it measures.
OWN_COMMANDS = frozenset({"info", "flushall"})


@dataclass(frozen=True)
class Work:
    """What the server has done so far: CPU seconds, commands (those inside scripts and transactions too), reads."""

    cpu: float
    reads: int
    memory: int
    commands: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Any) -> Work:
        """Now. Each read event is one request, or one pipeline, of one client."""
        info = connection.info("everything")
        calls = {
            name.removeprefix("cmdstat_"): int(row["calls"])
            for name, row in info.items()
            if name.startswith("cmdstat_") and name.removeprefix("cmdstat_") not in OWN_COMMANDS
        }
        cpu = info["used_cpu_user"] + info["used_cpu_sys"]
        return cls(cpu, info["total_reads_processed"], info["used_memory"], calls)

    def since(self, before: Work) -> Work:
        """The difference; the read that asked for it isn't counted."""
        calls = {name: count - before.commands.get(name, 0) for name, count in self.commands.items()}
        return Work(
            self.cpu - before.cpu,
            self.reads - before.reads - 1,
            self.memory - before.memory,
            {name: count for name, count in calls.items() if count},
        )

    @property
    def total(self) -> int:
        """Commands of all kinds."""
        return sum(self.commands.values())
