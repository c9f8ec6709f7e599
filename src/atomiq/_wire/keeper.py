"""The embedded server's keeper: a small process that starts one server on one folder and ends it when nobody uses it.

Run as a script, in a bare interpreter (`python -I -S keeper.py`), so it imports nothing but the standard library and
costs a few megabytes. Its standard output is a pipe to whoever started it; the one line it writes there is its report:
`ok`, `busy` (another keeper has the folder) or `failed <why>`.

Two locks in the folder carry the promises, because the kernel lets go of them however a process ends:

- `keeper.lock` is held by the keeper for its life: one keeper a folder.
- `server.lock` is inherited by the server and its saving children, and held by nobody else: one server a folder. While
  it is held the socket file is alive; once it can be taken, whatever socket file is left is stale.

A keeper that finds a living server whose keeper was killed takes it over. To end an idle server it first renames the
socket, so that nobody can come in any more, then looks again, and renames it back if somebody had come in. Who finds
no socket meanwhile waits and starts the next server: nobody ever talks to a server that is about to end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SOCKET = "valkey.sock"
CLOSING = "closing.sock"
LOCK = "keeper.lock"
LOG = "server.log"
LOG_LIMIT = 1_000_000
KEEPER_NAME = "atomiq-keeper"
WAIT_FOR_LOCK_S = 15.0
# A server is given this long to be found by whoever had it started, and no idle time is shorter than the second.
FIRST_USER_S = 10.0
SHORTEST_IDLE_S = 0.2
LONGEST_PAUSE_S = 5.0


class Link:
    """A bare connection that speaks just enough of the protocol to ask a server how it is."""

    def __init__(self, path: str, timeout_s: float = 5.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.buffer = b""

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, *words: str) -> str:
        """The reply's text: a status, an integer, a bulk string, or an error with its leading `-`.

        Raises ConnectionError when the server has gone and TimeoutError when it doesn't answer.
        """
        parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        self.socket.sendall(f"*{len(words)}\r\n{parts}".encode())
        line = self._line()
        if line[:1] != "$":
            return line if line[:1] == "-" else line[1:]
        return self._exactly(int(line[1:]) + 2)[:-2].decode("utf-8", "replace")

    def _line(self) -> str:
        while b"\r\n" not in self.buffer:
            self._more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode("utf-8", "replace")

    def _exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self.buffer += data


@dataclass
class Use:
    """How much a server is used, from its own counters."""

    others: int
    connections_ever: int


class Failure(Exception):
    """The server can't be kept; the text is for the person who started it."""


class Keeper:
    """Keeps the server of the current folder."""

    def __init__(self, binary: str, fsync: str, idle_s: float) -> None:
        self.binary = binary
        self.fsync = fsync
        self.idle_s = max(idle_s, SHORTEST_IDLE_S)
        self.server: subprocess.Popen[bytes] | None = None
        self.told_to_stop, self.stop_bell = os.pipe()
        os.set_blocking(self.stop_bell, False)

    def start_or_take_over(self) -> None:
        """Have a living server behind the socket: a new one, or one whose keeper has gone."""
        deadline = time.monotonic() + WAIT_FOR_LOCK_S
        while True:
            lock = take_lock("server.lock")
            if lock is not None:
                try:
                    self.start(lock)
                finally:
                    os.close(lock)
                return
            if not Path(SOCKET).exists():
                # A keeper died while it was closing; we hold its lock, so the name is ours to give back.
                with contextlib.suppress(FileNotFoundError):
                    Path(CLOSING).rename(SOCKET)
            if answers():
                return
            if time.monotonic() > deadline:
                raise Failure("a server holds this folder but does not answer; its id is in server.pid")
            time.sleep(0.02)

    def start(self, lock: int) -> None:
        """Start a server that inherits the lock, and wait until it answers.

        Raises Failure with the last lines of its log when it ends instead.
        """
        for stale in (SOCKET, CLOSING):
            Path(stale).unlink(missing_ok=True)
        log = Path(LOG)
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.rename(LOG + ".old")
        known = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.server = subprocess.Popen(
                [self.binary, *options(self.fsync)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[lock],
            )
        while not answers():
            if self.server.poll() is not None:
                with log.open("rb") as output:
                    output.seek(known)
                    tail = output.read().decode("utf-8", "replace").splitlines()[-12:]
                raise Failure(f"the server ended with code {self.server.returncode}; it said: " + " | ".join(tail))
            time.sleep(0.005)

    def join(self) -> Link:
        """The keeper's own connection; by its name others see that the server has a keeper."""
        link = Link(SOCKET)
        link.socket.settimeout(None)  # a server that is busy or stopped for long is still to be kept
        while link.ask("CLIENT", "SETNAME", KEEPER_NAME) != "OK":
            time.sleep(0.05)  # loading
        return link

    def watch(self, link: Link) -> None:
        """Return when the server has ended: by itself, or because nobody used it for `idle_s` seconds."""
        with contextlib.suppress(OSError), link:
            last, end_at = look(link), time.monotonic() + max(self.idle_s, FIRST_USER_S)
            while last.others or time.monotonic() < end_at or not closed(link, last):
                pause = min(max(self.idle_s / 4, 0.02), LONGEST_PAUSE_S)
                ready, _, _ = select.select([link.socket.fileno(), self.told_to_stop], [], [], pause)
                if ready:
                    break  # told to stop, or the server has gone: it never speaks unasked
                now = look(link)
                if now.others or now.connections_ever != last.connections_ever:
                    end_at = time.monotonic() + self.idle_s
                last = now
            while link.ask("SHUTDOWN"):  # ends in a closed connection; a refusal is for the moment only
                time.sleep(0.1)
        if self.server is not None:
            self.server.wait()
        Path(CLOSING).unlink(missing_ok=True)

    def stop(self, *_: object) -> None:
        """SIGTERM to the keeper ends the server in good order, used or not."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.stop_bell, b"x")


def look(link: Link) -> Use:
    """Read the server's counters; our own connection doesn't count."""
    text = link.ask("INFO", "clients", "stats")
    if text.startswith("-"):
        return Use(others=1, connections_ever=0)  # busy or loading: not the moment to end
    fields = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
    return Use(int(fields["connected_clients"]) - 1, int(fields["total_connections_received"]))


def closed(link: Link, last: Use) -> bool:
    """Shut the door; False, and open again, when somebody had slipped in."""
    with contextlib.suppress(FileNotFoundError):  # somebody removed the whole folder: the door is shut
        Path(SOCKET).rename(CLOSING)
    # A connection made just before the rename is accepted in the server's event loop by the second reply at the latest.
    look(link)
    now = look(link)
    if now.others == 0 and now.connections_ever == last.connections_ever:
        return True
    with contextlib.suppress(FileNotFoundError):
        Path(CLOSING).rename(SOCKET)
    return False


def answers() -> bool:
    """Whether a server answers on the socket, be it with an error: it is loading its data, say, or its disk is full."""
    try:
        with Link(SOCKET) as link:
            link.ask("PING")
    except OSError:
        return False
    return True


def options(fsync: str) -> list[str]:
    """The server's command line. Data goes to the append-only file; nothing is ever evicted."""
    pairs = {
        "port": "0",
        "unixsocket": SOCKET,
        "unixsocketperm": "700",
        "dir": ".",
        "pidfile": "server.pid",
        "appendonly": "yes",
        "appendfsync": fsync,
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [word for name, value in pairs.items() for word in (f"--{name}", value)]


def take_lock(name: str) -> int | None:
    """A file descriptor that holds the lock, or None when somebody else has it."""
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def report(text: str) -> None:
    """Tell the starter, who may be gone, and let go of all it gave us."""
    with contextlib.suppress(OSError):
        os.write(1, text.encode()[:4000])
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def main(folder: str, binary: str, fsync: str, idle_s: str) -> None:
    """Detach, keep the server of `folder`, end with it."""
    if os.fork():
        os._exit(0)  # the starter reaps this one; the keeper is nobody's child
    os.chdir(folder)
    os.umask(0o077)
    # What the starter had ignored or blocked is inherited, and must reach neither us nor the server.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keeper = Keeper(binary, fsync, float(idle_s))
    signal.signal(signal.SIGTERM, keeper.stop)
    try:
        lock = take_lock(LOCK)
        if lock is None:
            report("busy")
            return
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        keeper.start_or_take_over()
        link = keeper.join()
    except (Failure, OSError) as error:
        report(f"failed {error}")
        return
    report("ok")
    keeper.watch(link)


if __name__ == "__main__":
    main(*sys.argv[1:])
