"""What a child tells its supervisor about a call: plain builtins in marshal frames over a pipe, never pickle.

A frame is four bytes of length and a marshalled tuple, its first item the kind:

    ("limit", seconds | None)     from now on the call may take this long; None: no limit
    ("report", *Report)           the end; the child exits next

A frame that the child's death cut short is never taken for a whole one. What isn't a frame at all (a call that writes
to numbers it doesn't own, two processes that write at once) ends the conversation: the child's end then tells the rest.
"""

from __future__ import annotations

import marshal
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

Outcome = Literal["finished", "failed", "retried", "exhausted", "stopped", "released", "waiting"]

STOPPED_TEXT: Final = "Job stopped by user, work-horse terminated."
"""RQ's sentence, in the record of a stopped job."""

_LENGTH: Final = struct.Struct("!I")
_CHUNK: Final = 1 << 18
_LONGEST: Final = 1 << 30
_PARTS: Final = {
    "limit": (2, 3),
    "report": (9,),
    "ended": (10,),
    "look": (1,),
    "wake": (1,),
    "pass": (8,),
    "run": (8,),
    "failed": (2,),
}
"""How many items a message of each kind has; those of stations are explained in stations/mail.py."""


@dataclass(slots=True)
class Report:
    """How a call ended. 'released': interrupted, because the worker ends; the job is to be given back, the attempt not
    counted. 'stopped': interrupted on a user's wish, its stopped callback has been called. 'waiting': what it requires
    is not there, the function was not called; `result` is the record of its waits.

    `result`: what the serializer made of the returned value, None for None. `started`, `ended`: `time.monotonic()`,
    which all processes of a machine share. `retry`: 'auto' lets the job's own Retry decide; a number is a delay in ms.
    `result_ttl`, `failure_ttl`: seconds, as the job has them after the call; None: the default. `value`: what was
    returned, and `told`: a method of the worker has settled it already; both stay in this very process.
    """

    outcome: Outcome
    started: float
    ended: float
    result: bytes | None = None
    exc_string: str = ""
    retry: str | int = "auto"
    result_ttl: int | None = None
    failure_ttl: int | None = None
    value: Any = None
    told: bool = False

    @property
    def succeeded(self) -> bool:
        return self.outcome == "finished"

    def parts(self) -> tuple[Any, ...]:
        """Its fields, as `Report(*parts)` takes them."""
        return (
            self.outcome,
            self.started,
            self.ended,
            self.result,
            self.exc_string,
            self.retry,
            self.result_ttl,
            self.failure_ttl,
        )

    def as_frame(self) -> bytes:
        return frame(("report", *self.parts()))


def limit_frame(seconds: float | None) -> bytes:
    return frame(("limit", seconds))


def frame(message: tuple[Any, ...]) -> bytes:
    body = marshal.dumps(message)
    return _LENGTH.pack(len(body)) + body


def write_all(fd: int, data: bytes) -> None:
    """Write `data` to a pipe. Raises BrokenPipeError when nobody reads it any more."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class FrameReader:
    """Takes frames from a pipe that doesn't block; `ended` is set once the last writer has closed it, or has written
    what nobody understands."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.ended = False
        self._buffer = bytearray()

    def read(self) -> Iterator[tuple[Any, ...]]:
        """The whole frames that have arrived by now."""
        while not self.ended:
            try:
                data = os.read(self.fd, _CHUNK)
            except BlockingIOError:
                break
            except ConnectionResetError:  # the other end of a socket is gone, and has not read all that was for it
                data = b""
            if not data:
                self.ended = True
            self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end and length <= _LONGEST:
                break
            message = None if length > _LONGEST else _message(bytes(self._buffer[_LENGTH.size : end]))
            if message is None:
                self.ended = True
                self._buffer.clear()
                break
            del self._buffer[:end]
            yield message


def _message(body: bytes) -> tuple[Any, ...] | None:
    """The message in a frame; None if it isn't one."""
    try:
        message = marshal.loads(body)  # noqa: S302  the writer is our own fork
    except (ValueError, EOFError, TypeError):
        return None
    if not isinstance(message, tuple) or not message or not isinstance(message[0], str):
        return None
    return message if len(message) in _PARTS.get(message[0], ()) else None


def report_of(message: tuple[Any, ...]) -> Report:
    """The report in a frame of kind 'report'."""
    return Report(*message[1:])
