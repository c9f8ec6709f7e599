"""Whole worker processes for tests, and a server that can be stopped and started."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from tests.helpers import answers, server_binary, wait_until

ROOT = Path(__file__).resolve().parents[2]


class WorkerProcess:
    """A worker in a process group of its own; its log is kept in a file."""

    def __init__(self, log: Path, url: str, queues: list[str], **wish: Any) -> None:
        self.log_path = log
        options = {"name": f"w{time.monotonic_ns()}", **wish.pop("options", {})}
        if wish.get("executor"):
            options["executor"] = wish.pop("executor")
        self.name = str(options["name"])
        words = json.dumps({"url": url, "queues": queues, "options": options, **wish})
        environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.worker.main", words],
                cwd=ROOT,
                env=environ,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def says(self, text: str, within: float = 30.0) -> None:
        wait_until(lambda: text in self.log or self.process.poll() is not None, within, f"{text!r} in the log")
        assert text in self.log, self.log

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def signal_until_gone(self, number: int, within: float = 45.0) -> int:
        """Send the signal again and again: the second that counts comes more than a second after the first."""

        def gone() -> bool:
            if self.process.poll() is None:
                self.process.send_signal(number)
            return self.process.poll() is not None

        wait_until(gone, within, "the worker has ended")
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL to the supervisor alone."""
        self.process.kill()
        self.process.wait()

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.pid).children()]

    def exits(self, within: float = 45.0) -> int:
        """Its exit code, once it has ended."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the worker still runs:\n{self.log}") from None

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class Server:
    """A server with a folder, so that it can be stopped and started with its data."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.path = f"{folder}/s"
        self.url = f"unix://{self.path}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", self.path, "--save", "", "--appendonly", "yes", "--appendfsync", "no"]
        command = [server_binary(), *options, "--dir", self.folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: answers(self.path), what="the server answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None


@contextmanager
def own_server() -> Iterator[Server]:
    folder = tempfile.mkdtemp(prefix="aqw-", dir="/tmp")
    server = Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
