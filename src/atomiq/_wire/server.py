"""What kind of server answers, and whether it will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from atomiq._core.errors import ServerTooOld
from atomiq._wire.siblings import address_of
from atomiq._wire.translate import translated

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server's kind ("redis", "valkey", "" when it may not be asked), version, and what a person should be told."""

    flavour: str
    version: tuple[int, ...]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.flavour.capitalize()} {'.'.join(map(str, self.version))}" if self.flavour else "unknown server"


def check_server(connection: redis.Redis) -> ServerInfo:
    """Ask the server what it is.

    A server that may not be asked (ACL, renamed INFO) is taken as it is.

    Raises:
        ServerTooOld: Redis before 6.2 or Valkey before 7.2.
        ServerUnavailable: it can't be reached.
    """
    try:
        return judge(connection.info())
    except redis.ResponseError:
        return ServerInfo("", ())
    except redis.RedisError as error:
        raise translated(error, "INFO", address_of(connection)) from error


def judge(info: Mapping[str, Any]) -> ServerInfo:
    """Read INFO.

    Raises:
        ServerTooOld: Redis before 6.2 or Valkey before 7.2.
    """
    # Valkey keeps redis_version at the last Redis it was compatible with.
    flavour = "valkey" if "valkey_version" in info or info.get("server_name") == "valkey" else "redis"
    text = str(info.get(f"{flavour}_version") or info.get("redis_version") or "")
    version = tuple(int(part) for part in text.split(".") if part.isdecimal())
    if not version:
        return ServerInfo("", ())
    server = ServerInfo(flavour, version, warnings(info))
    if version[:2] < OLDEST[flavour]:
        oldest = ".".join(map(str, OLDEST[flavour]))
        raise ServerTooOld(f"the server is {server}; atomiq needs {flavour.capitalize()} {oldest} or newer")
    return server


def warnings(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What doesn't stop the work but can lose it."""
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return ()
    advice = "when memory runs short it will throw jobs away; set it to noeviction so that it refuses new ones instead"
    return (f"the server's maxmemory-policy is {policy}: {advice}",)
