"""The forked children of one worker, seen from its loop: what they say, their death, their leaving."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from selectors import EVENT_READ, BaseSelector
from typing import Any, Final

from atomiq._commands.claim import Claimed
from atomiq.executors.death import Death
from atomiq.executors.fork import Call, Child, ForkExecutor
from atomiq.executors.report import Report, report_of
from atomiq.worker.spare import Spare

LEAVING_LIMIT: Final = 5.0
"""A child that has reported has nothing left to do; one that hasn't ended after so many seconds is killed."""
LOOK_AGAIN: Final = 0.05

OnLimit = Callable[[Hashable, float | None], None]
OnEnd = Callable[[Hashable, Report | None, Death | None], None]


@dataclass(slots=True)
class _Entry:
    key: Hashable
    child: Child
    reported: bool = False
    kill_at: float | None = None


class Children:
    """Starts children and watches them in the loop's selector. Each has a key, unique while it runs."""

    def __init__(self, selector: BaseSelector, executor: ForkExecutor, on_limit: OnLimit, on_end: OnEnd) -> None:
        self._selector = selector
        self._executor = executor
        self._on_limit = on_limit
        self._on_end = on_end
        self._running: dict[Hashable, _Entry] = {}
        self._leaving: list[_Entry] = []
        self._spare: Spare | None = None

    def spare(self, call: Callable[[Claimed], Call]) -> Spare:
        """A fork that waits for a job, or none; `call`: makes the call of a claimed job."""
        self._spare = Spare(self._executor, call)
        return self._spare

    def start(self, key: Hashable, call: Call, child: Child | None = None) -> Child:
        """Fork a child, or watch one that is about to make the call. Raises OSError when the machine has no room."""
        if child is None:
            child = self._executor.start(call, boxed=True)
        entry = _Entry(key, child)
        self._running[key] = entry
        for fd in child.fds:
            self._selector.register(fd, EVENT_READ, lambda: self._look(entry))
        return child

    def kill(self, key: Hashable, number: int) -> None:
        """Signal a running child and what it started; nothing happens when there is none of this key."""
        entry = self._running.get(key)
        if entry is not None:
            entry.child.kill(number)

    def shuts_down(self) -> bool:
        """In a child: its call is to end."""
        return self._executor.shuts_down

    def interrupt(self, key: Hashable) -> None:
        """Have the call of a running child end."""
        entry = self._running.get(key)
        if entry is not None:
            self._executor.interrupt(entry.child)

    def pids(self) -> set[int]:
        waiting = set() if self._spare is None else self._spare.pids()
        return waiting.union(entry.child.pid for entry in (*self._running.values(), *self._leaving))

    def fds(self) -> Iterator[int]:
        if self._spare is not None:
            yield from self._spare.fds()
        for entry in (*self._running.values(), *self._leaving):
            yield from entry.child.fds

    def wake_at(self) -> float | None:
        """When `check` wants to be called although no file descriptor says so."""
        times = [entry.kill_at for entry in self._leaving if entry.kill_at is not None]
        unseen = any(entry.child.pidfd < 0 for entry in (*self._running.values(), *self._leaving))
        if unseen:
            times.append(time.monotonic() + LOOK_AGAIN)
        return min(times, default=None)

    def check(self) -> None:
        """Look after children that no file descriptor tells about, and those that don't leave."""
        for entry in [entry for entry in self._running.values() if entry.child.pidfd < 0]:
            self._look(entry)
        for entry in list(self._leaving):
            if entry.kill_at is not None and time.monotonic() >= entry.kill_at:
                entry.child.kill()
                entry.kill_at = time.monotonic() + LEAVING_LIMIT
            self._see_off(entry)

    def close(self, limit: float = LEAVING_LIMIT) -> None:
        """Kill what runs, give what is leaving `limit` seconds, and wait for all of it."""
        if self._spare is not None:
            self._spare.close()
        for entry in self._running.values():
            entry.child.kill()
            self._leaving.append(entry)
        self._running.clear()
        deadline = time.monotonic() + limit
        for entry in self._leaving:
            while entry.child.look() is None and time.monotonic() < deadline:
                time.sleep(0.002)
            entry.child.kill()
            entry.child.wait()
            self._unregister(entry.child)
            self._close(entry.child)
        self._leaving.clear()
        self._executor.close()

    def _look(self, entry: _Entry) -> None:
        if entry.reported:
            self._see_off(entry)
            return
        if entry.key not in self._running:  # closed earlier in this very round of the loop
            return
        death = entry.child.look()  # before reading: what a dead child wrote is all there is
        said = [self._take(entry, message) for message in entry.child.messages()]
        if any(said):
            self._see_off(entry)
        elif death is not None:
            entry.child.testify()
            death = entry.child.death
            self._forget(entry)
            self._on_end(entry.key, None, death)
        elif entry.child.frames.ended:
            self._unregister_fd(entry.child.frames.fd)

    def _take(self, entry: _Entry, message: tuple[Any, ...]) -> bool:
        """Deal with a message; True for the report, which is the last."""
        if message[0] == "limit":
            self._on_limit(entry.key, message[1])
            return False
        if not entry.reported:
            entry.reported = True
            entry.kill_at = time.monotonic() + LEAVING_LIMIT
            del self._running[entry.key]
            self._leaving.append(entry)
            self._unregister_fd(entry.child.frames.fd)
            self._on_end(entry.key, report_of(message), None)
        return True

    def _see_off(self, entry: _Entry) -> None:
        if entry in self._leaving and entry.child.look() is not None:
            self._leaving.remove(entry)
            self._unregister(entry.child)
            self._close(entry.child)

    def _forget(self, entry: _Entry) -> None:
        del self._running[entry.key]
        self._unregister(entry.child)
        self._close(entry.child)

    def _close(self, child: Child) -> None:
        child.close()
        if child.box is not None:
            self._executor.put_back(child.box)

    def _unregister(self, child: Child) -> None:
        for fd in child.fds:
            self._unregister_fd(fd)

    def _unregister_fd(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)
