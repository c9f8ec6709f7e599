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
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from atomiq._commands.claim import Claimed
from atomiq.executors.report import FrameReader, Report, frame

SPEAK_LIMIT: Final = 10.0
"""Seconds. A supervisor that takes no mail for so long is not waited for, unless there is no other way."""


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
    """One end of the pair. Reading never waits.

    The station waits for the supervisor with what it says, the supervisor never for a station (`post`): while a job
    keeps a station from its mail, it has all others to look after. A message is never given up half way: the other side
    would take the beginning of the next one for its end.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        os.set_blocking(fd, False)
        self.on_waiting: Callable[[bool], object] = lambda _waits: None
        """Told when something begins, or ceases, to wait for `send_on`."""
        self._reader = FrameReader(fd)
        self._unsent = bytearray()
        self._waits = False

    @property
    def ended(self) -> bool:
        """The other side has gone."""
        return self._reader.ended

    def read(self) -> list[tuple[Any, ...]]:
        return list(self._reader.read())

    def post(self, *message: Any) -> None:
        """Send a message, without waiting: what the other side doesn't take yet goes with `send_on`."""
        self._unsent += frame(message)
        self.send_on()

    def send_on(self) -> None:
        """Send what was posted, as far as the other side takes it now."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self.fd, self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it has gone
            self._unsent.clear()
        if bool(self._unsent) != self._waits:
            self._waits = bool(self._unsent)
            self.on_waiting(self._waits)

    def say(self, *message: Any) -> bool:
        """Send a message. False when the other side has gone, or doesn't begin to take it within `SPEAK_LIMIT`."""
        return self._write(frame(message), SPEAK_LIMIT)

    def ended_with(self, execution_id: str, report: Report) -> bool:
        """Nobody else can say it, so it is waited for as long as the other side lives."""
        return self._write(frame(("ended", execution_id, *report.parts())), None)

    def _write(self, data: bytes, limit: float | None) -> bool:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self.fd, rest) :]
                limit = None
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.fd, select.POLLOUT)
                if not poll.poll(None if limit is None else limit * 1000):
                    return False
            except OSError:
                return False
        return True

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def mailboxes() -> tuple[Mailbox, Mailbox]:
    """The supervisor's end and the station's."""
    ours, theirs = socket.socketpair()
    return Mailbox(ours.detach()), Mailbox(theirs.detach())
