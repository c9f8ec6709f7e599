"""redis-py's exceptions in our words.

Each class is also the redis-py class it stands for, so code that catches `redis.ConnectionError` goes on working.
"""

from __future__ import annotations

import re

import redis.exceptions as redis_errors

from atomiq._core import errors
from atomiq._core.shortage import with_advice
from atomiq._wire.demoted import has_moved, is_demoted
from atomiq._wire.siblings import ON_A_CLUSTER
from atomiq._wire.tls import tls_failure


class Unavailable(errors.ServerUnavailable, redis_errors.ConnectionError):
    """ServerUnavailable, and redis-py's ConnectionError."""


class TimedOut(errors.ServerUnavailable, redis_errors.TimeoutError):
    """ServerUnavailable, and redis-py's TimeoutError."""


class ReadOnly(errors.ServerReadOnly, redis_errors.ReadOnlyError):
    """ServerReadOnly, and redis-py's ReadOnlyError."""


class OutOfMemory(errors.ServerOutOfMemory, redis_errors.OutOfMemoryError):
    """ServerOutOfMemory, and redis-py's OutOfMemoryError."""


class NoPermission(errors.PermissionDenied, redis_errors.NoPermissionError):
    """PermissionDenied, and redis-py's NoPermissionError."""


class BadLogin(errors.CredentialsRefused, redis_errors.AuthenticationError):
    """CredentialsRefused, and redis-py's AuthenticationError."""


class Refused(errors.ServerError, redis_errors.ResponseError):
    """ServerError, and redis-py's ResponseError."""


class Failed(errors.ScriptError, redis_errors.ResponseError):
    """ScriptError, and redis-py's ResponseError."""


_FRAME = re.compile(r"^Error running script \(call to \w+\): @user_script:\s?\d+: @user_script: \d+: -?")
"""What Redis before 7 puts around the reason for which a script's command was refused."""
_NO_LOGIN = ("NOAUTH", "Authentication required", "HELLO must be called with the client already authenticated")
_FORBIDDEN = ("NOPERM", "can't run this command", "ACL failure in script")
_PASSING = ("BUSY ", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "UNBLOCKED")
"""Answers of a server that is there but not ready: to a caller the same as one that can't be reached. (UNBLOCKED is
what waiting clients hear when their primary becomes a replica.)"""
_PASSING_ERRORS = (redis_errors.ClusterDownError, redis_errors.TryAgainError)
"""Those of them that redis-py knows: it takes the word off their text. (MasterDownError is a ClusterDownError.)"""
_OF_CLUSTERS = ("CROSSSLOT", "access a non local key in a cluster node")

_AWAY = "can't be reached"
_ALL_IN_USE = "was not asked, all connections of this client's pool are in use (max_connections)"
_OF_POOL = {"Too many connections": _ALL_IN_USE, "No connection available.": _ALL_IN_USE}


def of_login(text: str) -> str:
    """What became of a login, by the server's words. To who brings no password it tells the grammar of HELLO."""
    if any(said in text for said in _NO_LOGIN):
        return "wants a password, and was given none: redis://:PASSWORD@HOST:PORT, or redis://USER:PASSWORD@HOST:PORT"
    return f"refuses these credentials: {text.rstrip('.')}"


def translated(error: Exception, command: str, target: str) -> Exception:
    """`error` as one of our tree; `command` and `target` (server address) go into the message."""
    text = _FRAME.sub("", str(error))
    if isinstance(error, errors.AtomiqError):
        return error
    if isinstance(error, redis_errors.TimeoutError):
        return TimedOut(
            f"{command}: no answer from {target} in time ({text}); is the server overloaded or unreachable?"
        )
    if isinstance(error, redis_errors.AuthenticationError) or "NOAUTH" in text or text.startswith("DENIED "):
        return BadLogin(
            f"{command}: {target} {of_login(text)}. If its password or user was changed, "
            "start this process again with the new one, or have the server accept the old one"
        )
    if isinstance(error, redis_errors.NoPermissionError) or any(said in text for said in _FORBIDDEN):
        return NoPermission(
            f"{command}: the ACL user of this connection may not do that on {target}: {text.rstrip('.')}. "
            "ACL LOG on the server says which key, channel or command it was; docs/operations.md what atomiq needs"
        )
    if isinstance(error, (redis_errors.ConnectionError, *_PASSING_ERRORS)) or text.startswith(_PASSING):
        if failure := tls_failure(target, text.rstrip(".")):
            return Unavailable(f"{command}: {failure}")
        return Unavailable(f"{command}: {target} {_OF_POOL.get(text, _AWAY)}: {with_advice(text)}")
    if has_moved(error):
        return ReadOnly(f"{command}: {target} doesn't have these keys, or is giving them away ({text}); {ON_A_CLUSTER}")
    if is_demoted(error):
        return ReadOnly(
            f"{command}: {target} is a read-only replica; connect to the primary (or through Sentinel): {text}"
        )
    if "MISCONF" in text or "NOREPLICAS" in text:
        return ReadOnly(f"{command}: {target} refuses writes: {text}")
    if isinstance(error, redis_errors.OutOfMemoryError) or "OOM command not allowed" in text:
        return OutOfMemory(
            f"{command}: {target} has reached its maxmemory and nothing was written; raise it or free memory: {text}"
        )
    if isinstance(error, redis_errors.ResponseError):
        return _of_one_command(error, text, command, target)
    return error


def _of_one_command(error: Exception, text: str, command: str, target: str) -> Exception:
    """What this command will meet again."""
    if isinstance(error, redis_errors.ClusterCrossSlotError) or any(said in text for said in _OF_CLUSTERS):
        return Refused(f"{command}: {target} says: {text}; {ON_A_CLUSTER}")
    if text.startswith("DB index"):
        return Refused(f"{command}: there is no such database: {target}: {text}")
    if "unknown command" in text and "'SENTINEL'" in text.replace("`", "'"):
        return Refused(f"{command}: {target}: who answers there is no sentinel; these listen on port 26379, as a rule")
    if "WRONGTYPE" in text:
        return Failed(f"{command} failed on {target}: {text}; `atomiq doctor` says which key that is")
    return Failed(f"{command} failed on {target}: {text}")
