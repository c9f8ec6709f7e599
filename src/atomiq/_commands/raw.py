"""RQ's primitives of a queue, for who writes a loop of his own: hand out, pop, push."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from atomiq._commands.base import Command, call, fields, text, texts, word
from atomiq._core.keys import Keys

WORTH_COMPACTING: Final = 100
"""Ids without a job; more of them leave a queue page by page, as each by itself would be searched for in all of it."""


class Dequeued(NamedTuple):
    """A job that was handed out. `fields`: its hash."""

    queue: str
    job_id: str
    fields: dict[bytes, bytes]


class Nothing(NamedTuple):
    """No job was there; `more`: the queues were not looked through, as too many ids stood for nothing."""

    more: bool


def _decode_dequeued(reply: Any) -> Dequeued | Nothing:
    if word(reply[0], "dequeue", "ok", "empty") == "empty":
        return Nothing(bool(reply[1]))
    return Dequeued(text(reply[1]), text(reply[2]), fields(reply[3]))


def dequeue(keys: Keys, *, queues: Sequence[str], now_ms: int = 0) -> Command[Dequeued | Nothing]:
    """The next job of the first queue that has one and isn't paused; its id is then in the intermediate list."""
    return call("dequeue", keys, (keys.paused(),), tuple(queues), _decode_dequeued, now_ms=now_ms, safe_to_repeat=False)


def _decode_popped(reply: Any) -> tuple[str, str] | None:
    if word(reply[0], "pop_job_id", "ok", "empty") == "empty":
        return None
    return text(reply[1]), text(reply[2])


def pop_job_id(keys: Keys, *, queues: Sequence[str], now_ms: int = 0) -> Command[tuple[str, str] | None]:
    """Queue and id of the first one; its job is then in no queue (status created)."""
    return call(
        "pop_job_id", keys, (keys.queues(),), tuple(queues), _decode_popped, now_ms=now_ms, safe_to_repeat=False
    )


def _decode_pushed(reply: Any) -> str:
    return word(reply, "push_job_id", "ok", "already", "busy")


def push_job_id(
    keys: Keys, *, queue: str, job_id: str, at_front: bool = False, push: bool = True, now_ms: int = 0
) -> Command[str]:
    """An id into a queue; its job, if there is one, leaves whatever it was in. With `push=False` the job is queued
    without being pushed: its id is where the caller has put it."""
    declared = (keys.queue(queue), keys.job(job_id))
    args = (queue, job_id, int(at_front), int(push))
    return call("push_job_id", keys, declared, args, _decode_pushed, now_ms=now_ms)


def _decode_taken(reply: Any) -> str:
    return word(reply, "take_lock", "acquired", "refreshed", "taken")


def take_lock(keys: Keys, *, key: str, owner: str, ttl: int, now_ms: int = 0) -> Command[str]:
    """A lock for `ttl` seconds, if it is free or the owner's already."""
    return call("take_lock", keys, (key,), (owner, ttl), _decode_taken, now_ms=now_ms)


def _decode_freed(reply: Any) -> bool:
    return word(reply, "free_lock", "ok", "not_yours") == "ok"


def free_lock(keys: Keys, *, key: str, owner: str, now_ms: int = 0) -> Command[bool]:
    """Give a lock back; says whether it was the owner's."""
    return call("free_lock", keys, (key,), (owner,), _decode_freed, now_ms=now_ms)


def _decode_scheduler(reply: Any) -> int | None:
    word(reply[0], "view_scheduler", "ok")
    return int(reply[1]) if reply[1] else None


def view_scheduler(keys: Keys, *, queue: str, limit: int = 100, now_ms: int = 0) -> Command[int | None]:
    """Process id of RQ's scheduler of a queue, else of a worker of ours, else None."""
    declared = (keys.scheduler_lock(queue), keys.worker_set(queue))
    return call("view_scheduler", keys, declared, (limit,), _decode_scheduler, now_ms=now_ms)


def _decode_freed_dependents(reply: Any) -> bool:
    word(reply[0], "enqueue_dependents", "ok")
    return bool(reply[2])


def enqueue_dependents(keys: Keys, *, job_id: str, status: str = "", now_ms: int = 0) -> Command[bool]:
    """Let up to 100 dependants of a job go on, by its status, or by another. Says whether there are more."""
    args = (job_id, status)
    return call("enqueue_dependents", keys, (keys.job(job_id),), args, _decode_freed_dependents, now_ms=now_ms)


class Compacted(NamedTuple):
    """`next_offset`: where the next page begins, None after the last. `gone`: the ids that were dropped."""

    next_offset: int | None
    gone: list[str]


def _decode_compacted(reply: Any) -> Compacted:
    word(reply[0], "compact_queue", "ok")
    offset = int(reply[1])
    return Compacted(None if offset < 0 else offset, texts(reply[2:]))


def compact_queue(keys: Keys, *, queue: str, offset: int = 0, limit: int = 1000, now_ms: int = 0) -> Command[Compacted]:
    """Ids without a job off one page of a queue."""
    return call("compact_queue", keys, (keys.queue(queue),), (offset, limit), _decode_compacted, now_ms=now_ms)
