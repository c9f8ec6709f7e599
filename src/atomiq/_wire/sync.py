"""Running commands over `redis.Redis`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import redis
import redis.exceptions as redis_errors

from atomiq._commands.base import Command, verbatim
from atomiq._core.keys import Keys
from atomiq._wire.demoted import is_demoted, leave
from atomiq._wire.packed import ask, ask_in_turn, is_ordinary
from atomiq._wire.pipe import queue_command
from atomiq._wire.prefixes import prefix_of
from atomiq._wire.siblings import address_of, binary_sibling, check_client
from atomiq._wire.translate import translated

R = TypeVar("R")


class _Known(NamedTuple):
    """What all stores of a connection have in common. `sibling`: None if the connection itself returns bytes."""

    keys: Keys
    sibling: redis.Redis | None
    ordinary: bool


# Nothing in here refers to its connection: one that nobody else holds would never be collected, nor its sockets closed.
_known: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()


class Store:
    """A server as atomiq sees it: a connection and the names of its keys."""

    __slots__ = ("__weakref__", "_binary", "_ordinary", "connection", "keys")

    def __init__(self, connection: redis.Redis, known: _Known) -> None:
        self.connection = connection
        self.keys = known.keys
        self._binary = known.sibling or connection
        self._ordinary = known.ordinary

    @classmethod
    def of(cls, connection: redis.Redis) -> Store:
        """The store of this connection object.

        Raises:
            TypeError: not a redis client, or one for asyncio.
        """
        try:
            known = _known.get(connection)
        except TypeError:
            known = None
        if known is None:
            check_client(connection, asyncio=False)
            binary = binary_sibling(connection)
            sibling = None if binary is connection else binary
            known = _known[connection] = _Known(Keys(prefix_of(connection)), sibling, is_ordinary(binary))
        return cls(connection, known)

    @property
    def takes_ready(self) -> bool:
        """Whether it sends commands that are made as bytes."""
        return self._ordinary

    def run(self, command: Command[R]) -> R:
        """Send one command and decode its reply.

        Raises errors of atomiq's tree: ServerUnavailable, ServerReadOnly, ServerOutOfMemory, PermissionDenied,
        ScriptError, and what the command's own decoder raises.
        """
        try:
            if command.script is not None and self._ordinary:
                reply = ask(self._binary.connection_pool, command)
            else:
                reply = self._execute(command)
        except redis_errors.RedisError as error:
            raise self._refused(error, command.name) from error
        return command.decode(reply)

    def run_in_turn(self, commands: Iterable[Command[R]]) -> Iterator[R]:
        """Send scripts' commands one after the other and decode their replies. The first error is the end.

        The next command is made and packed, and the last reply is with the caller, while the server works on another
        one. Raises what `run` raises.
        """
        if not self._ordinary:
            yield from map(self.run, commands)
            return
        try:
            yield from ask_in_turn(self._binary.connection_pool, commands)
        except redis_errors.RedisError as error:
            raise self._refused(error, "EVALSHA") from error

    def _execute(self, command: Command[Any]) -> Any:
        script = command.script
        send: Any = self._binary.execute_command  # untyped in redis-py
        if script is None:
            return send(command.name, *verbatim(command.args))
        words = (len(command.keys), *verbatim((*command.keys, *command.args)))
        try:
            return send("EVALSHA", script.sha, *words)
        except redis_errors.NoScriptError:
            return send("EVAL", script.body, *words)

    def queue_in(self, pipeline: Any, command: Command[Any]) -> None:
        """Put a command into a caller's pipeline; see `queue_command`."""
        queue_command(pipeline, command)

    def send(self, command: Command[R], pipeline: Any = None) -> R | None:
        """`run`; or with a caller's pipeline `queue_in`, and None."""
        if pipeline is None:
            return self.run(command)
        queue_command(pipeline, command)
        return None

    def execute(self, pipeline: Any) -> list[Any]:
        """Carry out a pipeline of this store's connection. Raises errors of atomiq's tree, as `run`."""
        try:
            return list(pipeline.execute())
        except redis_errors.RedisError as error:
            raise self._refused(error, "EXEC") from error

    def _refused(self, error: Exception, command: str) -> Exception:
        if is_demoted(error):
            for pool in {self._binary.connection_pool, self.connection.connection_pool}:  # pipelines are the caller's
                leave(pool)
        return translated(error, command, address_of(self.connection))
