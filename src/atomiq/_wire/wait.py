"""Waiting to be woken: for work (the bell), for commands (pub/sub), for a result (the stream).

Each has a connection of its own. The bell and the command channel offer a file descriptor, so that a worker can wait
for them, its children and signals in one place, without threads.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import redis.exceptions as redis_errors

from atomiq._wire.siblings import address_of, single_connection
from atomiq._wire.sync import Store
from atomiq._wire.translate import translated

LONGEST_BLOCK = 25.0
"""Seconds. A longer wait is several of these: a connection that died silently is noticed at the end of one."""
ANSWER_MARGIN = 10.0
BELL_MARGIN = 2.0
"""Seconds. For a wait that ends without a ring: a worker whose connection died silently goes on within ten."""


class Bell:
    """Blocks on the bells of several queues in one call. One call may be out at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: Any = None
        self.deadline = 0.0
        """When the answer has come, rung or not, if the connection lives."""
        self.listening = False

    def listen(self, queues: Sequence[str], timeout_s: float) -> None:
        """Start to wait, at most `timeout_s` seconds, for one of the queues to be rung; returns at once."""
        if self.listening:
            raise RuntimeError("the bell is listening already")
        bells = [self._store.keys.bell(queue) for queue in queues]
        try:
            if self._connection is None:
                self._connection = single_connection(self._store.connection, socket_timeout=BELL_MARGIN)
                self._connection.connect()
            self._connection.send_command("BZPOPMIN", *bells, f"{max(timeout_s, 0.01):.3f}")
        except redis_errors.RedisError as error:
            raise self._broken(error, "BZPOPMIN") from error
        self.deadline = time.monotonic() + timeout_s + BELL_MARGIN
        self.listening = True

    def fileno(self) -> int:
        """Becomes readable when there is an answer."""
        return int(self._connection._sock.fileno())  # noqa: SLF001  redis-py offers no other way

    def read(self) -> bool:
        """The answer: True if a bell rang, False if the time is over. Call it when `fileno` is readable."""
        try:
            reply = self._connection.read_response(disable_decoding=True)
        except redis_errors.RedisError as error:
            raise self._broken(error, "BZPOPMIN") from error
        self.listening = False
        return reply is not None

    def overdue(self) -> bool:
        """No answer although the time is well over: the connection is dead and nobody told us."""
        return self.listening and time.monotonic() > self.deadline

    def cancel(self) -> None:
        """Stop waiting. A ring that arrives at this moment is lost to this waiter; worker_death and the safety check
        make up."""
        if self.listening:
            self.close()

    def close(self) -> None:
        self.listening = False
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def _broken(self, error: Exception, command: str) -> Exception:
        self.close()
        return translated(error, command, address_of(self._store.connection))


class CommandChannel:
    """Messages published to one channel. The subscription is made when it is created."""

    def __init__(self, store: Store, channel: str) -> None:
        self._store = store
        self.channel = channel
        self._asked_at: float | None = None
        self._connection = single_connection(store.connection, socket_timeout=ANSWER_MARGIN)
        try:
            self._connection.connect()
            self._connection.send_command("SUBSCRIBE", channel)
            self._connection.read_response(disable_decoding=True)
        except redis_errors.RedisError as error:
            self.close()
            raise translated(error, "SUBSCRIBE", address_of(store.connection)) from error

    def fileno(self) -> int:
        """Becomes readable when there are messages."""
        return int(self._connection._sock.fileno())  # noqa: SLF001  redis-py offers no other way

    def read(self) -> list[bytes]:
        """All messages that have arrived; call it when `fileno` is readable."""
        messages = []
        try:
            while self._connection.can_read(timeout=0):
                reply = self._connection.read_response(disable_decoding=True)
                if isinstance(reply, list) and reply[0] == b"message":
                    messages.append(reply[2])
                elif isinstance(reply, list) and reply[0] == b"pong":
                    self._asked_at = None
        except redis_errors.RedisError as error:
            self.close()
            raise translated(error, "SUBSCRIBE", address_of(self._store.connection)) from error
        return messages

    def check(self) -> None:
        """Ask for a sign of life, which `read` takes. Call it now and then, after `read`.

        Raises:
            ServerUnavailable: the last one that was asked for is overdue: a channel says nothing for days, so nobody
                would notice that a firewall has forgotten its connection.
        """
        now, where = time.monotonic(), address_of(self._store.connection)
        try:
            if self._asked_at is None:
                self._connection.send_command("PING")
                self._asked_at = now
            elif now - self._asked_at > ANSWER_MARGIN:
                raise redis_errors.TimeoutError("the connection is dead")
        except redis_errors.RedisError as error:
            self.close()
            raise translated(error, "SUBSCRIBE", where) from error

    def close(self) -> None:
        self._connection.disconnect()


def wait_result(store: Store, job_id: str, after_id: str = "0-0", timeout_s: float = 60.0) -> bool:
    """Wait until the result stream of a job has an entry after `after_id`. False when the time is over first."""
    connection = single_connection(store.connection, socket_timeout=LONGEST_BLOCK + ANSWER_MARGIN)
    deadline = time.monotonic() + timeout_s

    def ask() -> Any:
        connection.connect()
        block_ms = max(1, int(min(deadline - time.monotonic(), LONGEST_BLOCK) * 1000))
        key = store.keys.results(job_id)
        connection.send_command("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", key, after_id)
        return connection.read_response(disable_decoding=True)

    def lose(_: Exception) -> None:
        connection.disconnect()

    try:
        while time.monotonic() < deadline:
            if connection.retry.call_with_retry(ask, lose):
                return True
        return False
    except redis_errors.RedisError as error:
        raise translated(error, "XREAD", address_of(store.connection)) from error
    finally:
        connection.disconnect()
