"""Running commands over `redis.asyncio.Redis`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

import redis.asyncio
import redis.exceptions as redis_errors
from redis.client import NEVER_DECODE

from atomiq._commands.base import Command, verbatim
from atomiq._core.keys import Keys
from atomiq._wire.aio_packed import ask, is_ordinary, lost_with_uvloop
from atomiq._wire.demoted import is_demoted
from atomiq._wire.pipe import queue_command
from atomiq._wire.prefixes import prefix_of
from atomiq._wire.siblings import address_of, check_client
from atomiq._wire.translate import translated
from atomiq._wire.turns import Turns

R = TypeVar("R")


def cancellations() -> int:
    """How often somebody has asked the present task to end."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0


_keys: WeakKeyDictionary[Any, Keys] = WeakKeyDictionary()
_loops: WeakKeyDictionary[Any, tuple[ref[asyncio.AbstractEventLoop], Turns]] = WeakKeyDictionary()
"""Of each pool the event loop that has used it last, and the turns there."""


def enter_loop(pool: Any) -> Turns:
    """The turns of a pool in this loop.

    Forgets the pool's connections, and what its tasks wait at, if they are of a loop that is closed or stands still: by
    one of those a command is sent, and its reply can't be read; the caller hears of an error, and sends it again.

    Raises:
        RuntimeError: another loop uses it now. Nothing was sent.
    """
    loop = asyncio.get_running_loop()
    last = _loops.get(pool)
    before = last[0]() if last is not None else None
    if last is not None and before is loop:
        return last[1]
    if before is not None and not before.is_closed() and _is_in_use(pool, before):
        raise RuntimeError(
            "this redis.asyncio client is in use by another event loop, and its connections are bound to that one: "
            "make a client, and the queues over it, for each loop"
        )
    if last is not None:
        if before is None or before.is_closed():
            for connection in getattr(pool, "_available_connections", ()):
                # Collected, one of redis-py before 5.3 would close this, and say "Event loop is closed". Its transport
                # closes the socket.
                connection._reader = connection._writer = None  # noqa: SLF001
        pool.reset()
        for name, kind in (("_lock", asyncio.Lock), ("_condition", asyncio.Condition)):
            if hasattr(pool, name):  # bound to the first loop in which a task had to wait
                setattr(pool, name, kind())
    turns = Turns(pool)
    _loops[pool] = ref(loop), turns
    return turns


def _is_in_use(pool: Any, loop: asyncio.AbstractEventLoop) -> bool:
    """Whether that open loop has connections of the pool: any while it runs, else only those that its tasks hold."""
    held = bool(getattr(pool, "_in_use_connections", ()))
    idle = getattr(pool, "_available_connections", ())
    return held or (loop.is_running() and any(each.is_connected for each in idle))


class AsyncStore:
    """`atomiq._wire.sync.Store` for asyncio."""

    __slots__ = ("__weakref__", "_options", "_ordinary", "_read", "connection", "keys")

    def __init__(self, connection: redis.asyncio.Redis, keys: Keys) -> None:
        self.connection = connection
        self.keys = keys
        # Not a sibling that returns bytes: nobody would close its connections, and a loop that ends leaves them open.
        decodes = connection.connection_pool.connection_kwargs.get("decode_responses")
        self._options: dict[str, Any] = {NEVER_DECODE: True} if decodes else {}
        self._read: dict[str, Any] = {"disable_decoding": True} if decodes else {}
        self._ordinary = is_ordinary(connection)

    @classmethod
    def of(cls, connection: redis.asyncio.Redis) -> AsyncStore:
        """The store of this connection object.

        Raises:
            TypeError: not a redis.asyncio client.
        """
        try:
            keys = _keys.get(connection)
        except TypeError:
            keys = None
        if keys is None:
            check_client(connection, asyncio=True)
            keys = _keys[connection] = Keys(prefix_of(connection))
        return cls(connection, keys)

    @property
    def takes_ready(self) -> bool:
        """Whether it sends commands that are made as bytes."""
        return self._ordinary

    async def run(self, command: Command[R]) -> R:
        """Send one command and decode its reply. Raises what `Store.run` raises."""
        turns = enter_loop(self.connection.connection_pool)
        got = turns.free > 0
        if got:
            turns.free -= 1
        else:
            got = await turns.wait()
        before = cancellations()
        try:
            try:
                reply = await self._asked(command)
            except RuntimeError as error:
                reply = await self._asked_again(command, lost_with_uvloop(error))
        except redis_errors.RedisError as error:
            if is_demoted(error):
                await self.connection.connection_pool.disconnect(inuse_connections=False)
            raise translated(error, command.name, address_of(self.connection)) from error
        finally:
            if got:
                turns.give()
        # Python 3.11 loses a cancellation that comes in the moment the command is sent: the task would go on.
        if cancellations() > before:
            raise asyncio.CancelledError
        return command.decode(reply)

    async def _asked(self, command: Command[Any]) -> Any:
        script = command.script
        if script is not None and self._ordinary:
            return await ask(self.connection.connection_pool, command, self._read)
        send: Any = partial(self.connection.execute_command, **self._options)  # untyped in redis-py
        if script is None:
            return await send(command.name, *verbatim(command.args))
        words = (len(command.keys), *verbatim((*command.keys, *command.args)))
        try:
            return await send("EVALSHA", script.sha, *words)
        except redis_errors.NoScriptError:
            return await send("EVAL", script.body, *words)

    async def _asked_again(self, command: Command[Any], lost: redis_errors.ConnectionError) -> Any:
        """The same after a try that met a lost connection, unknown to redis-py; the client's Retry hears of it."""
        failed = [lost]

        async def attempt() -> Any:
            if failed:
                raise failed.pop()
            try:
                return await self._asked(command)
            except RuntimeError as error:
                raise lost_with_uvloop(error) from error

        async def lose(_: Exception) -> None:
            """redis-py has closed it."""

        retry = self.connection.get_retry()
        return await (attempt() if retry is None else retry.call_with_retry(attempt, lose))

    def queue_in(self, pipeline: Any, command: Command[Any]) -> None:
        """Put a command into a caller's pipeline; see `queue_command`."""
        queue_command(pipeline, command)

    async def send(self, command: Command[R], pipeline: Any = None) -> R | None:
        """`run`; or with a caller's pipeline `queue_in`, and None."""
        if pipeline is None:
            return await self.run(command)
        queue_command(pipeline, command)
        return None
