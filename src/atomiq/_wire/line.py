"""A line: one connection on which many commands are under way at once. Answers come in the order of the commands.

A command stays on the line until its answer has come. When the connection breaks, `resume` opens another one and sends
everything that is still unanswered again: every command sent here has to be safe to repeat.
"""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

import hiredis
import redis.exceptions as redis_errors

from atomiq._commands.base import Command
from atomiq._core.errors import SERVER_AWAY
from atomiq._wire.packed import packed
from atomiq._wire.siblings import address_of, single_connection
from atomiq._wire.sync import Store
from atomiq._wire.translate import translated

_CHUNK: Final = 1 << 16
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Answer = tuple["Command[Any]", Any, Any]
"""(the command, what was sent along with it, its decoded reply or the error it met)."""

Revise = Callable[["Command[Any]", Any], "tuple[Command[Any], Any]"]


class Line:
    """For one store. `patience`: seconds after which a silent server counts as unreachable.

    Errors of the server that will pass (unreachable, read-only, full) are raised from any method and leave the
    commands on the line; errors of one command are its answer.
    """

    def __init__(self, store: Store, patience: float) -> None:
        self._store = store
        self._patience = patience
        self._where = address_of(store.connection)
        self._connection: Any = None
        self._socket: Any = None
        self._reader = _reader()
        self._under_way: deque[tuple[Command[Any], Any, float]] = deque()
        self._loading: dict[str, float] = {}
        """When a script that the server didn't know was last sent to it, by the script's name."""
        self._trouble: Exception | None = None
        """Met behind answers that had to be handed out first."""

    def __len__(self) -> int:
        """How many commands are under way."""
        return len(self._under_way)

    def contexts(self) -> Iterator[Any]:
        """What was said with the commands that are under way."""
        return (context for _, context, _ in self._under_way)

    @property
    def open(self) -> bool:
        return self._socket is not None

    def fileno(self) -> int:
        """Becomes readable when there are answers. Only while the line is open."""
        return int(self._socket.fileno())

    def send(self, command: Command[Any], context: Any = None) -> None:
        """Put a command on the line. If the line is broken it waits there for `resume`."""
        self._under_way.append((command, context, time.monotonic()))
        if self._socket is not None:
            self._push(packed(command))

    def take(self) -> list[Answer]:
        """The answers that have arrived; doesn't wait."""
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        if self._socket is None:
            return []
        self._fill()
        answers: list[Answer] = []
        try:
            self._read(answers)
        except Exception as error:
            if not answers:
                raise
            self._trouble = error
        return answers

    def wait(self, seconds: float) -> bool:
        """Wait until there is something to take. False when the time is over first."""
        return self._ready(select.POLLIN, seconds)

    def overdue(self) -> bool:
        """The oldest command waits for longer than the server can need: the connection is dead and nobody told us."""
        return bool(self._under_way) and time.monotonic() - self._under_way[0][2] > self._patience

    def resume(self, revise: Revise | None = None) -> None:
        """Connect, and send what is unanswered once more; `revise` may put other commands in the place of these."""
        self.close()
        self._trouble = None
        if revise is not None:
            self._under_way = deque((*revise(command, context), at) for command, context, at in self._under_way)
        try:
            self._connection = single_connection(self._store.connection, socket_timeout=self._patience)
            self._connection.connect()
        except redis_errors.RedisError as error:
            self.close()
            raise translated(error, "CONNECT", self._where) from error
        self._socket = self._connection._sock  # noqa: SLF001  redis-py offers no other way
        self._socket.setblocking(False)
        self._reader = _reader()
        self._loading.clear()
        self._count_from_now()
        for command, _, _ in list(self._under_way):
            self._push(packed(command))

    def close(self) -> None:
        """Close the connection; what is under way stays."""
        if self._connection is not None:
            self._connection.disconnect()
        self._connection = self._socket = None

    def _count_from_now(self) -> None:
        now = time.monotonic()
        self._under_way = deque((command, context, now) for command, context, _ in self._under_way)

    def _push(self, data: bytes) -> None:
        blocked = False
        view = memoryview(data)
        while True:
            try:
                sent = self._socket.send(view)
            except _WOULD_BLOCK:
                blocked = True
                if not self._ready(select.POLLOUT, self._patience):
                    raise self._broken("it takes no more data") from None
                continue
            except OSError as error:
                raise self._broken(str(error)) from error
            if sent == len(view):
                break
            view = view[sent:]
        if blocked:  # it may have taken long, and the server was anything but silent
            self._count_from_now()

    def _fill(self) -> None:
        while True:
            try:
                data = self._socket.recv(_CHUNK)
            except _WOULD_BLOCK:
                return
            except OSError as error:
                raise self._broken(str(error)) from error
            if not data:
                raise self._broken("the connection was closed")
            self._reader.feed(data)
            if len(data) < _CHUNK and not isinstance(self._socket, ssl.SSLSocket):
                return

    def _read(self, answers: list[Answer]) -> None:
        while self._under_way:
            try:
                reply = self._reader.gets()
            except redis_errors.RedisError as nonsense:
                raise self._broken(str(nonsense)) from nonsense
            if reply is False:
                break
            command, context, _ = self._under_way[0]
            if isinstance(reply, _ErrorReply):
                answers.extend(self._refused(command, context, reply))
                continue
            self._under_way.popleft()
            try:
                answers.append((command, context, command.decode(reply)))
            except Exception as error:  # noqa: BLE001  what a decoder raises is the command's answer
                answers.append((command, context, error))

    def _refused(self, command: Command[Any], context: Any, reply: _ErrorReply) -> list[Answer]:
        refusal = translated(redis_errors.ResponseError(str(reply)), command.name, self._where)
        if isinstance(refusal, SERVER_AWAY):
            self.close()
            raise refusal
        _, _, sent_at = self._under_way.popleft()
        if reply.code != "NOSCRIPT":
            return [(command, context, refusal)]
        now = time.monotonic()
        self._under_way.append((command, context, now))
        # Once for all that were under way: the server knows the script when it comes to what is sent behind it.
        whole = sent_at > self._loading.get(command.name, float("-inf"))
        if whole:
            self._loading[command.name] = now
        self._push(packed(command, whole=whole))
        return []

    def _ready(self, event: int, seconds: float) -> bool:
        if isinstance(self._socket, ssl.SSLSocket) and event == select.POLLIN and self._socket.pending():
            return True
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _broken(self, reason: str) -> Exception:
        self.close()
        return translated(redis_errors.ConnectionError(reason), "EVALSHA", self._where)


class _ErrorReply(Exception):
    """An error that the server said."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


def _reader() -> Any:
    return hiredis.Reader(protocolError=redis_errors.InvalidResponse, replyError=_ErrorReply)
