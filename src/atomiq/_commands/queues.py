"""Whole queues: empty, delete, pause; and all of them: suspend, resume. And what has outlived its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from atomiq._commands.base import Command, call, word
from atomiq._core.keys import Keys

EMPTIED_AT_ONCE: Final = 200
EXPIRED_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Expired:
    removed: int
    more: bool
    next_offset: int


def _decode_emptied(reply: Any) -> tuple[int, int]:
    word(reply[0], "empty_queue", "ok")
    return int(reply[1]), int(reply[2])


def empty_queue(
    keys: Keys, *, queue: str, limit: int = EMPTIED_AT_ONCE, detach: bool = False, now_ms: int = 0
) -> Command[tuple[int, int]]:
    """Delete up to `limit` waiting jobs (with `detach`: only take them off the queue). Says how many, and how many
    still wait."""
    args = (queue, int(detach), limit)
    return call("empty_queue", keys, (keys.queue(queue),), args, _decode_emptied, now_ms=now_ms, safe_to_repeat=False)


def _decode_deleted(reply: Any) -> str:
    return word(reply, "delete_queue", "ok", "not_empty")


def delete_queue(keys: Keys, *, queue: str, now_ms: int = 0) -> Command[str]:
    """Forget a queue's name; refused (not_empty) while jobs wait in it."""
    declared = (keys.queues(), keys.queue(queue), keys.bell(queue), keys.paused())
    return call("delete_queue", keys, declared, (queue,), _decode_deleted, now_ms=now_ms)


def _decode_pause(reply: Any) -> str:
    return word(reply, "pause_queue", "ok", "already")


def pause_queue(keys: Keys, *, queue: str, paused: bool = True, now_ms: int = 0) -> Command[str]:
    """Let no job of a queue be taken, or (paused=False) let them be taken again. RQ's workers don't know of it."""
    args = (queue, int(paused))
    return call("pause_queue", keys, (keys.paused(),), args, _decode_pause, now_ms=now_ms)


def _decode_suspend(reply: Any) -> str:
    return word(reply, "suspend", "ok")


def suspend(keys: Keys, *, ttl: int | None = None, now_ms: int = 0) -> Command[str]:
    """Let no worker take a job, for `ttl` seconds or until resumed."""
    return call("suspend", keys, (keys.suspended(),), (ttl or 0,), _decode_suspend, now_ms=now_ms)


def _decode_resume(reply: Any) -> int:
    word(reply[0], "resume", "ok")
    return int(reply[1])


def resume(keys: Keys, *, now_ms: int = 0) -> Command[int]:
    """Let workers take jobs again, and wake them. Says 1 if they were suspended."""
    declared = (keys.suspended(), keys.queues())
    args = (len(keys.queue("")),)
    return call("resume", keys, declared, args, _decode_resume, now_ms=now_ms)


def _decode_removed(reply: Any) -> int:
    word(reply[0], "remove_from_queue", "ok")
    return int(reply[1])


def remove_from_queue(keys: Keys, *, queue: str, job_id: str, now_ms: int = 0) -> Command[int]:
    """Take a job off its queue without deleting it; it is then in no container (status created)."""
    declared = (keys.queue(queue), keys.job(job_id))
    return call("remove_from_queue", keys, declared, (job_id,), _decode_removed, now_ms=now_ms)


def _decode_expired(reply: Any) -> Expired:
    word(reply[0], "expire", "ok")
    return Expired(int(reply[1]), bool(reply[2]), int(reply[3]))


def expire(
    keys: Keys, *, queue: str, limit: int = EXPIRED_AT_ONCE, offset: int = 0, only: str = "", now_ms: int = 0
) -> Command[Expired]:
    """Drop what has outlived its time from the registries of a queue, or from the one with the key `only`, one page a
    call; go on with `next_offset` while `more`."""
    declared = (keys.finished(queue), keys.failed(queue), keys.deferred(queue), keys.canceled(queue))
    return call("expire", keys, declared, (queue, limit, offset, only), _decode_expired, now_ms=now_ms)
