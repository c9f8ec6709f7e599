"""The processes of the outbox storm, and how they are killed and started again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis
from tests.helpers import answers, server_binary, wait_until

from atomiq.outbox.drivers import connect, dialect_of, run

ROOT = Path(__file__).parents[1]


def started(*arguments: str, log: Any) -> subprocess.Popen[bytes]:
    """A Python process of the storm."""
    path = f"{ROOT}{os.pathsep}{ROOT / 'src'}"
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL,
        stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip


class Server:
    """A server that keeps every write it has answered."""

    def __init__(self, folder: str) -> None:
        self._folder, self.path = folder, f"{folder}/s"
        self.url = f"unix://{self.path}"
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--port", "0", "--unixsocket", self.path, "--dir", self._folder, "--save", "", "--appendonly", "yes",
                   "--appendfsync", "always"]  # fmt: skip
        process = subprocess.Popen([server_binary(), *options], stdout=subprocess.DEVNULL)
        wait_until(lambda: answers(self.path), within=30, what="the server answers")
        return process

    def kill(self) -> None:
        """SIGKILL, and a new one on what it has written."""
        self.stop()
        time.sleep(0.05)
        self._process = self._start()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Crew:
    """Processes of one kind; one that has been killed is replaced."""

    def __init__(self, commands: list[list[str]], log: Any) -> None:
        self._log = log
        self.commands = commands
        self.processes = [started(*command, log=log) for command in commands]
        self.killed = 0

    def kill_one(self, luck: random.Random) -> bool:
        """SIGKILL for one that still runs, and another in its place."""
        alive = [place for place, process in enumerate(self.processes) if process.poll() is None]
        if not alive:
            return False
        place = luck.choice(alive)
        self.processes[place].kill()
        self.processes[place].wait()
        self.processes[place] = started(*self.commands[place], log=self._log)
        self.killed += 1
        return True

    def replace_the_dead(self) -> None:
        """Start those again that couldn't reach anything when they came up, as an init system does."""
        for place, process in enumerate(self.processes):
            if process.poll() is not None:
                self.processes[place] = started(*self.commands[place], log=self._log)

    @property
    def is_done(self) -> bool:
        return all(process.poll() is not None for process in self.processes)

    def stop(self) -> list[int]:
        """SIGTERM; exit codes."""
        for process in self.processes:
            process.terminate()
        codes = []
        for process in self.processes:
            try:
                codes.append(process.wait(30))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append(process.wait())
        return codes


def kill_a_connection(url: str, luck: random.Random) -> bool:
    """End somebody's database connection; whether there was one. SQLite has none."""
    if url.startswith("sqlite"):
        return False
    connection, driver = connect(url)
    try:
        if dialect_of(driver) == "postgresql":
            found = run(connection, driver, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                                            "AND pid <> pg_backend_pid()")  # fmt: skip
            statement = "SELECT pg_terminate_backend(%d)"
        else:
            found = run(connection, driver, "SELECT id FROM information_schema.processlist "
                                            "WHERE id <> CONNECTION_ID() AND user = 'root'")  # fmt: skip
            statement = "KILL CONNECTION %d"
        if not found:
            return False
        try:
            run(connection, driver, statement % luck.choice(found)[0])
        except Exception:  # noqa: BLE001 - it was faster
            return False
        return True
    finally:
        connection.close()


def everything_has_run(server: Server, queue: str) -> bool:
    """Whether nothing waits or runs in the queue."""
    with redis.Redis(unix_socket_path=server.path) as connection:
        try:
            return not connection.llen(f"rq:queue:{queue}") and not connection.zcard(f"rq:wip:{queue}")
        except redis.RedisError:
            return False


def workers_of(server: Server) -> int:
    """How many workers have introduced themselves."""
    with redis.Redis(unix_socket_path=server.path) as connection:
        return int(connection.scard("rq:workers"))
