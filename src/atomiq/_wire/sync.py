"""Running commands over `redis.Redis`."""

from __future__ import annotations

from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import redis
import redis.exceptions as redis_errors

from atomiq._commands.base import Command
from atomiq._core.keys import Keys
from atomiq._wire.pipe import queue_command
from atomiq._wire.prefixes import prefix_of
from atomiq._wire.siblings import address_of, binary_sibling, check_client
from atomiq._wire.translate import translated

R = TypeVar("R")

_stores: WeakKeyDictionary[Any, Store] = WeakKeyDictionary()


class Store:
    """A server as atomiq sees it: a connection and the names of its keys."""

    __slots__ = ("__weakref__", "_binary", "connection", "keys")

    def __init__(self, connection: redis.Redis) -> None:
        self.connection = connection
        self.keys = Keys(prefix_of(connection))
        self._binary = binary_sibling(connection)

    @classmethod
    def of(cls, connection: redis.Redis) -> Store:
        """The store of this connection object; always the same one for the same object.

        Raises:
            TypeError: not a redis client, or one for asyncio.
        """
        try:
            store = _stores.get(connection)
        except TypeError:
            store = None
        if store is None:
            check_client(connection, asyncio=False)
            store = _stores[connection] = cls(connection)
        return store

    def run(self, command: Command[R]) -> R:
        """Send one command and decode its reply.

        Raises errors of atomiq's tree: ServerUnavailable, ServerReadOnly, ServerOutOfMemory, PermissionDenied,
        ScriptError, and what the command's own decoder raises.
        """
        script = command.script
        send: Any = self._binary.execute_command  # untyped in redis-py
        try:
            if script is None:
                reply = send(command.name, *command.args)
            else:
                try:
                    reply = send("EVALSHA", script.sha, len(command.keys), *command.keys, *command.args)
                except redis_errors.NoScriptError:
                    reply = send("EVAL", script.body, len(command.keys), *command.keys, *command.args)
        except redis_errors.RedisError as error:
            raise translated(error, command.name, address_of(self.connection)) from error
        return command.decode(reply)

    def queue_in(self, pipeline: Any, command: Command[Any]) -> None:
        """Put a command into a caller's pipeline; see `queue_command`."""
        queue_command(pipeline, command)
