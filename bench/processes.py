"""Processes of a benchmark: started in a session of their own, accounted with their children, ended by their ids."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil


class BenchError(Exception):
    """A contender that did not do what it should; the text is for the page."""


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.005) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def last_line(path: Path) -> str:
    """What a failed program said last."""
    lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def adopt_orphans() -> None:
    """Grandchildren whose parent is killed become ours, so that they can be found and ended (Linux)."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0)


class Tree:
    """A program and all processes that it starts."""

    def __init__(self, command: list[str], env: dict[str, str], folder: Path, log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._root = psutil.Process(self._popen.pid)

    @property
    def pid(self) -> int:
        """The program's own."""
        return self._popen.pid

    def alive(self) -> bool:
        """Whether the program itself still runs."""
        return self._popen.poll() is None

    def members(self) -> list[psutil.Process]:
        """All living processes of it; those whose parent is gone are known by their session."""
        found: dict[int, psutil.Process] = {}
        with contextlib.suppress(psutil.NoSuchProcess):
            found = {one.pid: one for one in (self._root, *self._root.children(recursive=True))}
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.NoSuchProcess):
                if pid not in found and os.getsid(pid) == self.pid:
                    found[pid] = psutil.Process(pid)
        return list(found.values())

    def cpu(self) -> float:
        """CPU seconds used so far, by children that are gone too."""
        total = 0.0
        for one in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def memory(self) -> int:
        """Resident bytes of all."""
        total = 0
        for one in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
        return total

    def kill(self) -> None:
        """SIGKILL for all of it at once, and again for what was started meanwhile."""
        deadline = time.monotonic() + 10
        while True:
            members = self.members()
            living = [one for one in members if state(one) != psutil.STATUS_ZOMBIE]
            for one in members:  # zombies too: one with threads is a zombie before the last of them has ended
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGKILL)
            if not self._reap() and not self.alive() and not living:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"processes {[one.pid for one in members]} do not end")
            time.sleep(0.01)

    def _reap(self) -> bool:
        """Whether orphans are left that have yet to end."""
        waiting = False
        for one in self.members():
            if one.pid != self.pid:
                with contextlib.suppress(ChildProcessError):
                    waiting |= os.waitpid(one.pid, os.WNOHANG)[0] == 0
        return waiting


def state(process: psutil.Process) -> str:
    """A word of psutil's; gone ones are as good as zombies."""
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_ZOMBIE)


@contextlib.contextmanager
def running(command: list[str], env: dict[str, str], folder: Path, log: Path) -> Iterator[Tree]:
    """The program, killed with everything it started when the block is left."""
    tree = Tree(command, env, folder, log)
    try:
        yield tree
    finally:
        tree.kill()
