"""Commands as bytes, and a short way to the server for them.

redis-py's `execute_command` looks at each argument and keeps books on each call, which costs more than all the rest of
an enqueue. What it does for its caller's sake happens here as there: connections come from the client's own pool, which
tests them, and the client's own Retry decides about a lost one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import MethodType, ModuleType
from typing import Any, Final, TypeVar

import hiredis
import redis
import redis.client
import redis.exceptions as redis_errors

from atomiq._commands.base import Command, verbatim
from atomiq._lua import Script
from atomiq._wire.at_hand import AtHand
from atomiq._wire.demoted import asks_sentinels, is_demoted

R = TypeVar("R")

_NUMBERS: Final = frozenset((int, float))
LARGE: Final = 1 << 20
"""Bytes, for which a server gets one second more."""


def packed(command: Command[Any], whole: bool = False) -> bytes:
    """A command as it goes over the wire; `whole`: with the script's text, for a server that doesn't know it.

    Raises:
        DataError: redis-py's; an argument is neither text, bytes nor a number.
    """
    script = command.script
    if command.ready is not None and script is not None:
        return _with_text(command.ready, script) if whole else command.ready
    words: tuple[Any, ...]
    if script is None:
        words = (command.name, *command.args)
    else:
        name, which = ("EVAL", script.body) if whole else ("EVALSHA", script.sha)
        words = (name, which, len(command.keys), *command.keys, *command.args)
    # hiredis takes numbers too, and the process dies if a signal's handler raises (Ctrl+C) while it makes text of one.
    words = tuple([str(word) if type(word) in _NUMBERS else word for word in words])
    pack: Callable[[Any], bytes] = hiredis.pack_command  # its annotation asks for a tuple of one element
    try:
        return pack(words)
    except UnicodeEncodeError:
        words = tuple(verbatim(words))
    except TypeError:
        # A user's serializer may give any kind of bytes.
        words = tuple(bytes(word) if isinstance(word, bytearray | memoryview) else word for word in words)
    try:
        return pack(words)
    except TypeError as error:
        raise redis_errors.DataError(str(error)) from error


def _with_text(ready: bytes, script: Script) -> bytes:
    """A call by the script's name, as one that brings the script."""
    name = f"$7\r\nEVALSHA\r\n$40\r\n{script.sha}\r\n".encode()
    body = script.body.encode()
    return ready.replace(name, b"$4\r\nEVAL\r\n$%d\r\n%b\r\n" % (len(body), body), 1)


def is_ordinary(client: Any) -> bool:
    """Whether nothing would be gone round that this client's commands should pass through.

    Such as: `execute_command` of a subclass or of a tracing library, a client-side cache, one connection for all.
    """
    return (
        is_method_of(client.execute_command, redis.client)
        and client.connection is None
        and getattr(client.connection_pool, "cache", None) is None
    )


def is_method_of(method: Any, module: ModuleType) -> bool:
    """Whether a method is as this module has made it. What a tracing library has wrapped (wrapt) says of itself that it
    is, whatever it is asked, but for its type."""
    if type(method) is not MethodType:
        return False
    code = getattr(method.__func__, "__code__", None)
    return code is not None and bool(code.co_filename == module.__file__)


def ask(pool: Any, command: Command[Any]) -> Any:
    """The reply to a script call. Raises redis-py's errors."""
    at_hand = AtHand.of(pool)
    connection = at_hand.take(pool)
    try:
        return _answer(connection, command, sent=False)
    finally:
        at_hand.put_back(pool, connection)


def ask_in_turn(pool: Any, commands: Iterable[Command[R]]) -> Iterator[R]:
    """The decoded replies to script calls, each sent when the one before it has succeeded.

    While the server works on one, the next is taken from `commands` and packed, and the reply to the one before is with
    whoever iterates. Raises redis-py's errors and those of the decoders; the first one is the end.
    """
    at_hand = AtHand.of(pool)
    connection = at_hand.take(pool)
    under_way: Command[R] | None = None
    try:
        for command in commands:
            data = packed(command)
            if under_way is None:
                under_way = command
                _send(connection, data)
                continue
            answer = _answer(connection, under_way, sent=True)
            before, under_way = under_way, None
            reply = before.decode(answer)
            under_way = command
            _send(connection, data)
            yield reply
        if under_way is not None:
            answer = _answer(connection, under_way, sent=True)
            before, under_way = under_way, None
            yield before.decode(answer)
    finally:
        if under_way is not None:
            connection.disconnect()  # nobody will read its reply
        at_hand.put_back(pool, connection)


def _send(connection: Any, data: bytes) -> None:
    """Send; whether it got lost is seen when the reply is read, where it can be sent again."""
    try:
        connection.send_packed_command((data,))
    except (redis_errors.ConnectionError, redis_errors.TimeoutError):
        connection.disconnect()


def _answer(connection: Any, command: Command[Any], sent: bool) -> Any:
    """The reply to a command that was `sent` already, or not yet; sent again when the connection got lost."""
    try:
        try:
            return _tried(connection, command, sent)
        except Exception as error:  # noqa: BLE001 - the client's own Retry says which ones it is for
            failed = [error]
        return _answer_after(connection, command, failed)
    except redis_errors.RedisError:
        raise
    except BaseException:  # of a signal: the reply may still come, and the next to use the connection would take it
        connection.disconnect()
        raise


def _tried(connection: Any, command: Command[Any], sent: bool) -> Any:
    if not sent:
        data = packed(command)
        if len(data) > LARGE:
            with _more_patience(connection, len(data)):
                connection.send_packed_command((data,))
                return _reply(connection, command)
        connection.send_packed_command((data,))
    return _reply(connection, command)


def _reply(connection: Any, command: Command[Any]) -> Any:
    try:
        return connection.read_response()
    except redis_errors.NoScriptError:
        connection.send_packed_command((packed(command, whole=True),))
        return connection.read_response()
    except redis_errors.ResponseError as error:
        if is_demoted(error) and asks_sentinels(connection):  # redis-py sees that in the replies of Redis 7
            raise redis_errors.ConnectionError("the primary has become a replica") from error
        raise


@contextmanager
def _more_patience(connection: Any, size: int) -> Iterator[None]:
    """A socket's timeout is for all that is sent at once, and a client's is meant for commands of ordinary size: a
    large one, cut off each time that it is sent, would never arrive."""
    connection.connect()
    link, ordinary = connection._sock, connection.socket_timeout  # noqa: SLF001  redis-py offers no other way
    if ordinary is None:
        yield
        return
    link.settimeout(ordinary + size / LARGE)
    try:
        yield
    finally:
        if connection._sock is link:  # noqa: SLF001
            link.settimeout(ordinary)


def _answer_after(connection: Any, command: Command[Any], failed: list[Exception]) -> Any:
    """What `_answer` says after a first try. `failed`: with what, taken from there; the client's Retry hears of it as
    of any try of its own. To ask the Retry for each command would take as long as packing one."""

    def attempt() -> Any:
        if failed:
            raise failed.pop()
        connection.connect()  # sending would connect, too, but to the primary of before, without asking sentinels
        return _tried(connection, command, sent=False)

    def lose(_: Exception) -> None:
        connection.disconnect()

    return connection.retry.call_with_retry(attempt, lose)
