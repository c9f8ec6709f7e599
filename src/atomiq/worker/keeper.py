"""The keeper of a worker that runs jobs in its own process: a forked process that runs no user code.

It extends the lease of the job that runs, keeps the worker's hash alive and hears the worker's channel. What runs is
told through a page of shared memory: telling costs the worker a microsecond and wakes nobody, and the keeper looks
only when an extension is due. It ends when the worker does.
"""

from __future__ import annotations

import contextlib
import logging
import marshal
import mmap
import os
import signal
import struct
import time
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from atomiq._commands.claim import Claimed, Held, extend
from atomiq._core.errors import ServerError
from atomiq._wire.readable import readable
from atomiq._wire.sync import Store
from atomiq._wire.wait import CommandChannel
from atomiq.command import BadCommand, parse_command
from atomiq.executors.fork import Announce, Child, ForkExecutor, NoRoom
from atomiq.executors.outcome import look_limit, time_limit
from atomiq.executors.report import Report

_HEADER: Final = struct.Struct("!II")
_SIZE: Final = 1 << 16
_LOOK_AGAIN: Final = 1.0


class Note(NamedTuple):
    """What runs. `since`, `until`: monotonic times; the lease isn't extended beyond `until` (None: for ever)."""

    queue: str
    job_id: str
    execution_id: str
    since: float
    until: float | None


class NamesTooLong(ValueError):
    """What runs can't be told to the keeper."""


class Page:
    """One note, in memory that a process and its forks share. A note that is just being written reads as none for a
    moment."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)

    def write(self, note: Note | None) -> None:
        body = b"" if note is None else marshal.dumps(tuple(note))
        if len(body) > _SIZE - _HEADER.size:
            raise NamesTooLong("the names of the job and its queue are too long together to be noted")
        self._memory[: _HEADER.size] = _HEADER.pack(0, 0)
        self._memory[_HEADER.size : _HEADER.size + len(body)] = body
        self._memory[: _HEADER.size] = _HEADER.pack(len(body), zlib.crc32(body))

    def read(self) -> Note | None:
        length, check = _HEADER.unpack_from(self._memory)
        body = self._memory[_HEADER.size : _HEADER.size + length]
        if not length or zlib.crc32(body) != check:
            return None
        return Note(*marshal.loads(body))  # noqa: S302  written by our own parent

    def close(self) -> None:
        self._memory.close()


class KeeperLoop:
    """What the keeper process does. `connect` makes it a store of its own."""

    def __init__(
        self,
        connect: Callable[[], Store],
        page: Page,
        name: str,
        lease: float,
        worker_ttl: int,
        log: logging.Logger,
        hears: bool,
    ) -> None:
        """`hears`: the worker's channel; somebody else does otherwise."""
        self._connect = connect
        self._page = page
        self._name = name
        self._lease = lease
        self._worker_ttl = worker_ttl
        self._log = log
        self._hears = hears
        self._parent = os.getpid()
        self._channel: CommandChannel | None = None

    def run(self, life_line: int) -> None:
        """Until the writing end of `life_line` is closed."""
        for number in (signal.SIGINT, signal.SIGTERM):  # meant for the worker, which may still have a job to finish
            signal.signal(number, signal.SIG_IGN)
        store = self._connect()
        next_beat = time.monotonic() + self._lease / 3
        while True:
            self._listen(store)
            readers = [life_line] if self._channel is None else [life_line, self._channel.fileno()]
            wait = max(0.0, next_beat - time.monotonic())
            ready = readable(readers, wait if self._channel else min(wait, _LOOK_AGAIN))
            if life_line in ready:
                return
            if ready:
                self._hear()
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + (self._lease / 3 if self._extend(store) else _LOOK_AGAIN)
                self._hear(check=True)

    def missing(self, error: OSError) -> None:
        """In the worker: this loop can't be run now."""
        text = "Worker %s: no process can be started that extends the lease of what runs (%s)"
        self._log.error(text, self._name, error.strerror)

    def _listen(self, store: Store) -> None:
        if self._channel is None and self._hears:
            with contextlib.suppress(ServerError):
                self._channel = CommandChannel(store, store.keys.pubsub(self._name))
                self._hear()

    def _hear(self, check: bool = False) -> None:
        if self._channel is None:
            return
        try:
            messages = self._channel.read()
            if check:
                self._channel.check()
        except ServerError:
            self._channel = None
            return
        for message in messages:
            try:
                command = parse_command(message)
            except BadCommand as error:
                self._log.warning("Worker %s: message ignored: %s", self._name, error)
                continue
            if command.name == "shutdown":
                self._log.info("Worker %s: received the command to shut down", self._name)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._parent, signal.SIGINT)
            else:
                text = "Worker %s: command %s ignored: this worker runs its jobs in its own process"
                self._log.warning(text, self._name, command.name)

    def _extend(self, store: Store) -> bool:
        note, now = self._page.read(), time.monotonic()
        if note is None:
            return True
        if note.until is not None and now > note.until:
            self._log.warning("Worker %s: job %s overran its time limit; it is given up", self._name, note.job_id)
            return True
        held = (Held(note.queue, note.job_id, note.execution_id),)
        working = round((now - note.since) * 1000)
        command = extend(
            store.keys,
            worker=self._name,
            lease_ms=round(self._lease * 1000),
            held=held,
            worker_ttl=self._worker_ttl,
            working_ms=working,
        )
        try:
            answer = store.run(command)
        except ServerError as error:
            self._log.error("Worker %s: the server can't be reached by the keeper (%s)", self._name, error)
            return False
        if answer.lost and self._page.read() == note:
            text = "Worker %s: job %s is no longer ours, its lease was over: its outcome will be dropped"
            self._log.warning(text, self._name, note.job_id)
        if answer.stop:
            text = "Worker %s: job %s can't be stopped: it runs in the worker's own process"
            self._log.warning(text, self._name, note.job_id)
        return True


class Keeper:
    """The worker's side: starts the keeper, tells it what runs, and starts another if it should be gone."""

    def __init__(self, loop: KeeperLoop, page: Page, reaches: bool = True) -> None:
        """`reaches`: a fork reaches the server; there is no keeper otherwise."""
        self._loop = loop
        self._page = page
        self._reaches = reaches
        self._executor = ForkExecutor()
        self._child: Child | None = None
        self._kept: Note | None = None
        self._home = os.getpid()

    def start(self) -> None:
        """Have a keeper: fork one, unless there is one that lives. Without room for it the next call tries again."""
        if not self._reaches:
            return
        if self._child is not None:
            if self._child.look() is None:
                return
            self._child.close()
            self._child = None
        try:
            self._child = self._executor.start(self._keep)
        except NoRoom as error:
            self._loop.missing(error)

    def pids(self) -> set[int]:
        """Its process, if there is one."""
        return set() if self._child is None else {self._child.pid}

    def keep(self, claimed: Claimed, kill_after: float) -> Announce:
        """Have its lease extended, until `kill_after` seconds behind its time limit. What is returned is told, here or
        in a fork, how long the part may take that begins: a callback has its own limit.

        Raises:
            NamesTooLong: the call is not to be made, as nobody could extend its lease.
        """
        now, limit = time.monotonic(), time_limit(claimed)
        until = None if limit is None else now + look_limit(claimed) + limit + kill_after
        note = Note(claimed.queue, claimed.job_id, claimed.execution_id, now, until)

        def announce(seconds: float | None) -> None:
            if self._kept is note:  # whoever knows us still has nothing to do with a later call
                end = None if seconds is None else time.monotonic() + seconds + kill_after
                self._page.write(note._replace(until=end))

        self.start()
        self._page.write(note)
        self._kept = note
        return announce

    def let_go(self) -> None:
        """It has ended."""
        self._kept = None
        if os.getpid() == self._home:
            self._page.write(None)

    def is_over(self) -> bool:
        """Not, as far as is known, that it may still take its time."""
        note = self._page.read()  # None for a moment while it is written
        return self._kept is None or (note is not None and note.until is not None and time.monotonic() > note.until)

    def close(self) -> None:
        """End the keeper; it holds nothing that could be lost. A second call does nothing."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child.close()
            self._child = None
        self._executor.close()
        self._page.close()

    def _keep(self, _announce: Announce) -> Report:
        started = time.monotonic()
        self._loop.run(self._executor.life_line.reader)
        return Report("finished", started, time.monotonic())
