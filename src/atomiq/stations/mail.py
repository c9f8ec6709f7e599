"""What supervisor and station say to each other beside the ledger: plain builtins in marshal frames over a socket pair.

From the station:

    ("look",)                                 look at my page: jobs wait behind one that runs, or I have nothing to do
    ("pass", *Passed)                         a job that is for another executor
    ("ended", execution id, *Report)          a job that was handed to me has ended
    ("failed", text)                          why I end

From the supervisor:

    ("run", *Passed)                          run this, and report
    ("wake",)                                 look at your page
"""

from __future__ import annotations

import os
import select
import socket
from typing import Any, Final, NamedTuple

from atomiq._commands.claim import Claimed
from atomiq.executors.report import FrameReader, Report, frame

SPEAK_LIMIT: Final = 10.0
"""Seconds. A station that takes no mail for so long is not waited for."""


class Passed(NamedTuple):
    """A claimed job on its way to another process. `claimed_at`: the monotonic time of `claimed_ms`."""

    queue: str
    job_id: str
    execution_id: str
    attempt: int
    fields: dict[bytes, bytes]
    claimed_at: float
    claimed_ms: int

    @classmethod
    def of(cls, claimed: Claimed, claimed_at: float, claimed_ms: int) -> Passed:
        return cls(
            claimed.queue,
            claimed.job_id,
            claimed.execution_id,
            claimed.attempt,
            claimed.fields,
            claimed_at,
            claimed_ms,
        )

    @property
    def claimed(self) -> Claimed:
        return Claimed(self.queue, self.job_id, self.execution_id, self.attempt, self.fields)


class Mailbox:
    """One end of the pair. Reading never waits; writing waits for a reader at most `SPEAK_LIMIT`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        os.set_blocking(fd, False)
        self._reader = FrameReader(fd)

    @property
    def ended(self) -> bool:
        """The other side has gone."""
        return self._reader.ended

    def read(self) -> list[tuple[Any, ...]]:
        return list(self._reader.read())

    def say(self, *message: Any) -> bool:
        """Send a message. False when the other side has gone, or takes nothing."""
        data = memoryview(frame(message))
        while data:
            try:
                data = data[os.write(self.fd, data) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.fd, select.POLLOUT)
                if not poll.poll(SPEAK_LIMIT * 1000):
                    return False
            except OSError:
                return False
        return True

    def ended_with(self, execution_id: str, report: Report) -> bool:
        return self.say("ended", execution_id, *report.parts())

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def mailboxes() -> tuple[Mailbox, Mailbox]:
    """The supervisor's end and the station's."""
    ours, theirs = socket.socketpair()
    return Mailbox(ours.detach()), Mailbox(theirs.detach())
