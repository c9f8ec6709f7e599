"""Single steps on the sorted set of a registry, for RQ's low-level methods. They say nothing about a job's status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from atomiq._commands.base import Command, plain, text, texts
from atomiq._core.ids import parse_job_id
from atomiq._core.values import HasId


def id_of(job_or_id: HasId | str) -> str:
    """Job id of a job, a job id, or a `job:execution` id."""
    return parse_job_id(job_or_id) if isinstance(job_or_id, str) else job_or_id.id


def add_member(key: str, member: str, score: float | str, xx: bool = False) -> Command[int]:
    """Put one member in, or (`xx`) only move it if it is there."""
    options = ("XX",) if xx else ()
    return plain("ZADD", (key, *options, score, member), int)


def remove_members(key: str, members: Sequence[str]) -> Command[int]:
    return plain("ZREM", (key, *members), int)


def remove_up_to(key: str, timestamp: float) -> Command[int]:
    return plain("ZREMRANGEBYSCORE", (key, 0, timestamp), int)


def due_members(key: str, timestamp: float, limit: int = -1) -> Command[list[str]]:
    """Members with a score from 0 to `timestamp`, at most `limit`."""
    return plain("ZRANGEBYSCORE", (key, 0, timestamp, "LIMIT", 0, limit), texts)


class Place(NamedTuple):
    """Where a member stands: registries are in the order of scores, and of ids where these are the same."""

    score: float
    member: str


FIRST = Place(float("-inf"), "")


def last_place(key: str) -> Command[list[Place]]:
    """The last member, if there is one."""
    return plain("ZREVRANGE", (key, 0, 0, "WITHSCORES"), _places)


def places_from(key: str, first: float, last: float, skip: int, limit: int) -> Command[list[Place]]:
    """Members with a score from `first` to `last`, at most `limit` after the first `skip` of them."""
    return plain("ZRANGEBYSCORE", (key, first, last, "WITHSCORES", "LIMIT", skip, limit), _places)


def _places(reply: Any) -> list[Place]:
    if reply and isinstance(reply[0], list | tuple):
        return [Place(float(score), text(member)) for member, score in reply]
    return [Place(float(score), text(member)) for member, score in zip(reply[::2], reply[1::2], strict=True)]
