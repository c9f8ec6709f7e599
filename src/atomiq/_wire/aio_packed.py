"""A short way to the server for scripts' commands, as `packed.ask` is, over asyncio.

redis-py's `execute_command` packs a command's words one by one in Python, which takes longer than all the rest of an
enqueue. What it does for its caller's sake happens here as there: connections come from the client's own pool, which
tests them, and the client's own Retry decides about a lost one.
"""

from __future__ import annotations

from typing import Any

import redis.asyncio.client
import redis.exceptions as redis_errors

from atomiq._commands.base import Command
from atomiq._wire.at_hand import ASKS_FOR_A_NAME
from atomiq._wire.demoted import asks_sentinels, is_demoted
from atomiq._wire.packed import LARGE, is_method_of, packed


def is_ordinary(client: Any) -> bool:
    """Whether nothing would be gone round that this client's commands should pass through: `execute_command` of a
    subclass or of a tracing library, one connection for all."""
    return (
        is_method_of(client.execute_command, redis.asyncio.client)
        and client.connection is None
        and not client.single_connection_client
    )


def lost_with_uvloop(error: RuntimeError) -> redis_errors.ConnectionError:
    """The error as redis-py would have it: what is written to a connection that the other side has closed is to uvloop,
    unlike asyncio, a misuse. Raises any other RuntimeError as it is."""
    if not str(error).endswith("the handler is closed"):
        raise error
    return redis_errors.ConnectionError(str(error))


async def ask(pool: Any, command: Command[Any], read: dict[str, Any]) -> Any:
    """The reply to a script call. `read`: options of reading a reply. Raises redis-py's errors."""
    connection = await (pool.get_connection("EVALSHA") if ASKS_FOR_A_NAME else pool.get_connection())
    try:
        try:
            return await _tried(connection, command, read)
        except Exception as error:  # noqa: BLE001 - the client's own Retry says which ones it is for
            failed = [error]
        return await _answer_after(connection, command, read, failed)
    finally:
        await pool.release(connection)


async def _tried(connection: Any, command: Command[Any], read: dict[str, Any]) -> Any:
    data = packed(command)
    if len(data) <= LARGE or connection.socket_timeout is None:
        return await _reply(connection, command, data, read)
    # See `packed._more_patience`.
    ordinary = connection.socket_timeout
    connection.socket_timeout = ordinary + len(data) / LARGE
    try:
        return await _reply(connection, command, data, read)
    finally:
        connection.socket_timeout = ordinary


async def _reply(connection: Any, command: Command[Any], data: bytes, read: dict[str, Any]) -> Any:
    await connection.send_packed_command((data,))
    try:
        return await connection.read_response(**read)
    except redis_errors.NoScriptError:
        await connection.send_packed_command((packed(command, whole=True),))
        return await connection.read_response(**read)
    except redis_errors.ResponseError as error:
        if is_demoted(error) and asks_sentinels(connection):  # redis-py sees that in the replies of Redis 7
            raise redis_errors.ConnectionError("the primary has become a replica") from error
        raise


async def _answer_after(connection: Any, command: Command[Any], read: dict[str, Any], failed: list[Exception]) -> Any:
    """What `ask` says after a first try. `failed`: with what, taken from there; the client's Retry hears of it as of
    any try of its own."""

    async def attempt() -> Any:
        if failed:
            raise failed.pop()
        await connection.connect()  # sending would connect, too, but to the primary of before, without asking sentinels
        return await _tried(connection, command, read)

    async def lose(_: Exception) -> None:
        await connection.disconnect()

    return await connection.retry.call_with_retry(attempt, lose)
