"""Single steps on the sorted set of a registry, for RQ's low-level methods. They say nothing about a job's status."""

from __future__ import annotations

from collections.abc import Sequence

from atomiq._commands.base import Command, plain, texts
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
