"""What RQ does by scripts of its own (`rq.scripts`): unique jobs and locks that have an owner."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

from atomiq._commands.enqueue import enqueue as enqueue_command
from atomiq._commands.raw import free_lock, take_lock
from atomiq._core.keys import Keys
from atomiq._core.options import check_unique
from atomiq._core.timestamp import check_due, due_in
from atomiq._lua import script
from atomiq._wire.sync import Store

BEGINS_WITHIN: Final = timedelta(hours=1)
"""A job that is saved to be run at once, in the process that saves it, is scheduled for this long ahead: that keeps it
out of the workers' reach, and it isn't lost if that process dies before it has begun."""

_TEXTS: Final = {
    "UNIQUE_ENQUEUE_SCRIPT": "enqueue",
    "UNIQUE_SCHEDULE_SCRIPT": "enqueue",
    "ACQUIRE_OR_REFRESH_LOCK_SCRIPT": "take_lock",
    "RELEASE_LOCK_SCRIPT": "free_lock",
}


def __getattr__(name: str) -> str:
    """The texts of the scripts, under RQ's names; what they take as KEYS and ARGV is our own."""
    if name in _TEXTS:
        return script(_TEXTS[name]).body
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_unique_enqueue_script(connection: Any) -> Any:
    """The script that stores and enqueues, as redis-py's Script of this connection (RQ). Its arguments are our own."""
    return connection.register_script(script("enqueue").body)


def get_unique_schedule_script(connection: Any) -> Any:
    """The script that stores and schedules (RQ): here the same one."""
    return get_unique_enqueue_script(connection)


def save_unique_job(connection: Any, queue_key: str, job: Any, enqueue: bool = True, at_front: bool = False) -> bool:
    """Store a job and put it into a queue, unless one of its id exists (RQ).

    Args:
        queue_key: key of the queue, `rq:queue:<name>`.
        enqueue: False: it is about to be run by this process; if it isn't, workers may take it after an hour.

    Raises:
        DuplicateJobError: a job of this id exists; nothing is written.
        ValueError: not the key of a queue.
    """
    due_ms = 0 if enqueue else due_in(BEGINS_WITHIN)
    return _save(connection, queue_key, job, at_front, due_ms)


def schedule_unique_job(
    connection: Any, queue_key: str, registry_key: str, job: Any, scheduled_datetime: datetime
) -> bool:
    """Store a job and schedule it, unless one of its id exists (RQ). `registry_key` is RQ's: it follows from the queue.

    Raises: as `save_unique_job`; InvalidTime, a ValueError, for a wrong time.
    """
    return _save(connection, queue_key, job, False, check_due(scheduled_datetime))


def _save(connection: Any, queue_key: str, job: Any, at_front: bool, due_ms: int) -> bool:
    store = Store.of(connection)
    check_unique(True, job.id, job.has_dependencies)
    job.origin = queue_name(store.keys, queue_key)
    new = job.to_new_job(at_front=at_front, due_ms=due_ms)
    (done,) = store.run(enqueue_command(store.keys, jobs=(new,), unique=True, group=job.group_id or None))
    job.mark_enqueued(done.word, done.enqueued_at_ms)
    return True


def acquire_or_refresh_lock(
    connection: Any, lock_key: str, owner_token: str, ttl: int
) -> Literal["acquired", "refreshed", "taken"]:
    """Take a lock for `ttl` seconds if it is free, or anew if it is the owner's (RQ)."""
    store = Store.of(connection)
    said = store.run(take_lock(store.keys, key=lock_key, owner=owner_token, ttl=ttl))
    return cast('Literal["acquired", "refreshed", "taken"]', said)


def release_lock(connection: Any, lock_key: str, owner_token: str) -> bool:
    """Give a lock back; False: it was not this owner's (RQ)."""
    store = Store.of(connection)
    return store.run(free_lock(store.keys, key=lock_key, owner=owner_token))


def queue_name(keys: Keys, queue_key: str) -> str:
    """Name of the queue of a key such as `rq:queue:default`. Raises ValueError for another key."""
    prefix = keys.queue("")
    if not queue_key.startswith(prefix):
        raise ValueError(f"Not a valid RQ queue key: {queue_key}")
    return queue_key[len(prefix) :]
