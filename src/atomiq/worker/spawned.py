"""Stations that are started as fresh interpreters, for code that doesn't survive a fork.

What a child needs comes in a file that it inherits: how to make the worker object again, and which descriptors are its
ledger, its mailbox and its black box.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from atomiq._core.errors import InvalidOption
from atomiq._wire.carry import connection_like, pattern_of
from atomiq.executors import hooks
from atomiq.executors.black_box import BlackBox
from atomiq.executors.fork import Child
from atomiq.executors.guard import LifeLine
from atomiq.executors.nameless import nameless_file
from atomiq.logutils import setup_loghandlers
from atomiq.stations.budget import Budget
from atomiq.stations.ledger import Ledger
from atomiq.stations.mail import Mailbox, mailboxes
from atomiq.worker.making import Plan, run_station
from atomiq.worker.posts import Member
from atomiq.worker.status import DequeueStrategy

MAIN: Final = "from atomiq.worker.spawned import main; main({file})"


class SpawnedStations:
    """Stations of the kind spawn. `recipe`: how to make the worker object again, as `recipe_of` says."""

    kind = "spawn"
    slots = 1

    def __init__(self, recipe: bytes, wanted: int, plan: Plan) -> None:
        self.wanted = wanted
        self._recipe = recipe
        self._plan = plan
        self._life_line = LifeLine()

    def make(self, _unshare: Callable[[], Iterator[int]]) -> Member:
        """A new child. Raises OSError when the machine has no room for it."""
        ledger, box, token = Ledger(self.slots), BlackBox(), os.urandom(8).hex()
        ours, theirs = mailboxes()
        reader, writer = os.pipe()
        budget = -1 if self._plan.budget is None else self._plan.budget.file
        with os.fdopen(nameless_file("recipe"), "r+b") as file:
            plan = (self._plan.recycling, budget, self._plan.tell_idle)
            fds = (ledger.file, theirs.fd, self._life_line.reader, os.getpid())
            file.write(pickle.dumps((self._recipe, plan, fds, box.spec(), token, self.slots, sys.path)))
            file.seek(0)
            inherit = (file.fileno(), ledger.file, theirs.fd, self._life_line.reader, writer, *box.fds)
            pid = _spawn(file.fileno(), (*inherit, budget) if budget >= 0 else inherit)
        theirs.close()
        os.close(writer)
        return Member(self.kind, Child(pid, reader), ledger, ours, token, time.monotonic(), box)

    def lines(self) -> tuple[int, ...]:
        """Descriptors by which its children know that their supervisor lives."""
        return (self._life_line.writer,)

    def close(self) -> None:
        self._life_line.close()


def _spawn(file: int, inherit: tuple[int, ...]) -> int:
    for fd in inherit:
        os.set_inheritable(fd, True)
    try:
        # Not subprocess: its clean-up would take away the exit status that the worker waits for.
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", MAIN.format(file=file)],
            dict(os.environ),
            setpgroup=0,
            setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGCHLD],
        )
    finally:
        for fd in inherit:
            os.set_inheritable(fd, False)


LogSetup = tuple[str | int | None, str, str]
"""Level, format of dates, format of lines."""


def recipe_of(
    worker: Any, options: dict[str, Any], imports: tuple[str, ...], log_setup: LogSetup, strategy: DequeueStrategy
) -> bytes:
    """How to make a worker object like this one in another process. `options`: arguments of its constructor;
    `strategy`: that of its `work`.

    Raises:
        InvalidOption: a ValueError; a part of it can't be carried there, the message says which.
    """
    cls = type(worker)
    if cls.__module__ == "__main__":
        raise InvalidOption(
            f"{cls.__name__} is defined in the program itself, where a spawned child can't import it from; "
            "put it into a module"
        )
    for name, value in options.items():
        try:
            pickle.dumps(value)
        except Exception as error:
            raise InvalidOption(
                f"{name} can't be handed to a spawned child: {type(error).__name__}: {error}"
            ) from error
    return pickle.dumps((cls, options, pattern_of(worker.connection), imports, log_setup, strategy))


def main(file: int) -> None:
    """All that a spawned child does."""
    with os.fdopen(file, "rb") as stream:
        recipe, plan, fds, spec, token, slots, path = pickle.loads(stream.read())
    sys.path[:] = path
    ledger_file, mailbox, life_line, owner = fds
    for fd in (ledger_file, mailbox, life_line):
        os.set_inheritable(fd, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    LifeLine.inherited(life_line, owner).die_with_owner()
    hooks.after_fork_in_child()
    cls, options, pattern, imports, (level, date_format, log_format), strategy = pickle.loads(recipe)
    for module in imports:
        importlib.import_module(module)
    worker = cls(connection=connection_like(pattern), **options)
    worker.work_by(strategy)
    box = BlackBox.reopen(spec)
    for name in ("atomiq.worker", "atomiq.job"):
        setup_loghandlers(level, date_format, log_format, name=name)
    box.install()
    recycling, budget, tell_idle = plan
    made = Plan(recycling, None if budget < 0 else Budget(0, budget), tell_idle)
    run_station(worker, "spawn", slots, made, Ledger(slots, ledger_file), Mailbox(mailbox), token, box)
    os._exit(0)
