"""Worker processes: started by the real command line, and killed as a machine dies, all at once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

import psutil


class WorkerProcess:
    """One `atomiq worker` in a session of its own."""

    def __init__(self, name: str, url: str, queue: str, lease: float) -> None:
        self.name = name
        self.log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object
        command = [sys.executable, "-m", "atomiq", "worker", queue, "--url", url, "--name", name, "--lease", str(lease)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """It and its children make no step meanwhile."""
        everybody = self._everybody(signal.SIGSTOP)
        try:
            yield
        finally:
            if self.exit_code is None:
                for pid in everybody:
                    send(pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL to it and all its children."""
        self._everybody(signal.SIGKILL)
        self._process.wait()

    def _everybody(self, number: signal.Signals) -> list[int]:
        """Signal the worker first, so that it starts no more children, and then these."""
        send(self.pid, number)
        try:
            children = [child.pid for child in psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            children = []
        for pid in children:
            send(pid, number)
        return [self.pid, *children]

    def stop(self, within: float = 10.0) -> int:
        """Ask it to end, and see that it does. Says its exit code."""
        if self.exit_code is None:
            self._process.terminate()
            try:
                self._process.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.wait()

    def last_words(self, length: int = 2000) -> str:
        """The end of its log."""
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - length))
        return self.log.read().decode("utf-8", "replace")


def send(pid: int, number: signal.Signals) -> None:
    """A signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
