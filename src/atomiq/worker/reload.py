"""SIGHUP: the supervisor becomes a new program, in the same process, while its old children finish what they run.

Changed code is loaded by starting anew: the process executes the command it was started with, under the same pid and
the same name on the server. Children survive that. Their ledgers, mailboxes and black boxes are open files, whose
numbers the new program is told; it looks after the old children as if it had started them, until each has ended.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from atomiq.executors.black_box import BlackBox
from atomiq.executors.flush import flush_streams
from atomiq.executors.fork import Child
from atomiq.executors.nameless import nameless_file
from atomiq.stations.ledger import Ledger
from atomiq.stations.mail import Mailbox
from atomiq.worker.posts import Member

VARIABLE: Final = "ATOMIQ_HANDED_ON"
"""`pid:descriptor` of the file in which the old program has left word."""

Left = tuple[str, int, int, int, int, int, Any, str, float]
"""Kind, pid, its pipe, ledger, slots, mailbox, black box, token, time of birth."""


@dataclass(frozen=True, slots=True)
class HandedOn:
    """What a worker's old program leaves to its new one. `done`: jobs that it has run, or that run still; `lines`:
    descriptors that tell children that we live; they stay open as long as the new program does."""

    name: str
    incarnation: str
    done: int
    members: tuple[Left, ...]
    lines: tuple[int, ...] = ()

    def still_needed(self, members: Iterable[Member]) -> tuple[int, ...]:
        """Of `lines`, those that the program after the new one has to keep, too. `members`: what it will find."""
        tokens = {one[7] for one in self.members}
        return self.lines if any(member.token in tokens for member in members) else ()


def left(member: Member) -> Left:
    """A child, as the next program finds it."""
    return (
        member.kind,
        member.child.pid,
        member.child.frames.fd,
        member.ledger.file,
        member.ledger.slots,
        member.mailbox.fd,
        member.box.spec(),
        member.token,
        member.born,
    )


def adopt(found: Left) -> Member:
    """The child that an earlier program of this process has left."""
    kind, pid, reader, file, slots, mailbox, spec, token, born = found
    for fd in (reader, file, mailbox):
        os.set_inheritable(fd, False)
    return Member(kind, Child(pid, reader), Ledger(slots, file), Mailbox(mailbox), token, born, BlackBox.reopen(spec))


def execute(handed_on: HandedOn) -> None:
    """Become the program that this process was started as. Doesn't return.

    Raises:
        OSError: the interpreter can't be executed any more.
    """
    file = os.fdopen(nameless_file("handed-on"), "r+b")
    file.write(pickle.dumps(handed_on))
    file.flush()
    file.seek(0)
    os.set_inheritable(file.fileno(), True)
    for fd in _descriptors(handed_on):
        os.set_inheritable(fd, True)
    flush_streams()
    environ = {**os.environ, VARIABLE: f"{os.getpid()}:{file.fileno()}"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)  # noqa: S606  our own command


def _descriptors(handed_on: HandedOn) -> Iterable[int]:
    yield from handed_on.lines
    for _, _, reader, file, _, mailbox, spec, _, _ in handed_on.members:
        yield from (reader, file, mailbox, spec[0], spec[1])


def awaited() -> bool:
    """Whether an earlier program of this very process has left something."""
    return os.environ.get(VARIABLE, "").partition(":")[0] == str(os.getpid())


def found() -> HandedOn | None:
    """What an earlier program of this very process has left; None if there was none."""
    ours = awaited()  # or it is inherited from somebody else's environment
    descriptor = os.environ.pop(VARIABLE, "").rpartition(":")[2]
    if not ours:
        return None
    with os.fdopen(int(descriptor), "rb") as stream:
        handed_on: HandedOn = pickle.loads(stream.read())
    for line in handed_on.lines:
        os.set_inheritable(line, False)
    return handed_on
