"""A server for a benchmark, and its own account of what it did."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
