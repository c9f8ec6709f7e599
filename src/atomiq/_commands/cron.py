"""Cron entries: their ticks, and the schedulers that look after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atomiq._commands.base import Argument, Command, call, fields, plain, text, texts, word
from atomiq._core.keys import Keys
from atomiq._core.record import NewJob

MOST_ENTRIES = 10_000
"""Read at a time, those seen last first."""


@dataclass(frozen=True, slots=True)
class EntryState:
    """What an entry has been told, in milliseconds of the server's clock.

    `last`: the tick decided last; None before the first. `since`: ticks count from here (first seen, schedule changed,
    resumed). `waiting`: the tick that the overlap policy holds back.
    """

    last: int | None = None
    since: int = 0
    paused: bool = False
    waiting: int | None = None


@dataclass(frozen=True, slots=True)
class EntryReply:
    """A reply about one entry: the word, the server's time, and the state after it. `other`: another definition of it,
    which another living scheduler goes by; empty if there is none, or it was not asked for."""

    word: str
    now_ms: int
    state: EntryState
    other: bytes = b""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as the server has it. `seen`: seconds since 1970 when a scheduler last said that it looks after it."""

    name: str
    seen: float
    state: EntryState
    schedule: str
    definition: bytes
    job_id: str | None


@dataclass(frozen=True, slots=True)
class StoredEntries:
    now_ms: int
    entries: list[StoredEntry]


def _number(value: Any) -> int | None:
    return int(value) if value not in (None, b"", "") else None


def _told(name: str, *known: str) -> Any:
    def decode(reply: Any) -> EntryReply:
        last, since, paused, waiting = reply[2]
        state = EntryState(_number(last), _number(since) or 0, bool(int(paused)), _number(waiting))
        other = reply[3] if len(reply) > 3 else b""  # only cron_sync says it
        return EntryReply(word(reply[0], name, *known), int(reply[1]), state, other)

    return decode


_decode_fire = _told("cron_fire", "ok", "already", "early", "changed", "gone", "paused", "skipped", "held")
_decode_sync = _told("cron_sync", "ok", "changed")


def _job_arguments(job: NewJob) -> tuple[Argument, ...]:
    ttl = job.ttl if job.ttl is not None and job.ttl > 0 else 0
    return (job.id, job.queue, ttl, *(part for pair in job.fields.items() for part in pair))


def cron_fire(
    keys: Keys,
    *,
    name: str,
    schedule: str,
    before_ms: int | None,
    tick_ms: int,
    due_ms: int,
    overlap: str,
    job: NewJob,
    now_ms: int = 0,
) -> Command[EntryReply]:
    """Decide the tick that follows `before_ms`, the last decided one that the caller knows of.

    ok: `job` is enqueued. skipped, held: the overlap policy says no, or not yet. already: another tick is the next one
    now. early: not before `due_ms`. paused, gone, changed (the entry has another schedule): nothing was decided.
    """
    before = "" if before_ms is None else before_ms
    args: tuple[Argument, ...] = (name, schedule, before, tick_ms, due_ms, overlap, *_job_arguments(job))
    return call("cron_fire", keys, (keys.cron_entry(name),), args, _decode_fire, now_ms=now_ms)


def _decode_run(reply: Any) -> int:
    word(reply[0], "cron_run", "ok", "already")
    return int(reply[1])


def cron_run(keys: Keys, *, name: str, job: NewJob, now_ms: int = 0) -> Command[int]:
    """Enqueue a job of an entry now, whatever its schedule says. Says when, in milliseconds."""
    args = (name, *_job_arguments(job))
    return call("cron_run", keys, (keys.cron_entry(name),), args, _decode_run, now_ms=now_ms)


def cron_sync(
    keys: Keys, *, name: str, schedule: str, definition: bytes, scheduler: str, takes: bool, now_ms: int = 0
) -> Command[EntryReply]:
    """A scheduler looks after an entry. `changed`: a living one says that it has another schedule, and `takes` is
    False."""
    args = (name, schedule, definition, scheduler, int(takes))
    declared = (keys.cron_entry(name), keys.cron_entries())
    return call("cron_sync", keys, declared, args, _decode_sync, now_ms=now_ms)


def _decode_pause(reply: Any) -> str:
    return word(reply, "cron_pause", "ok", "already", "gone")


def cron_pause(keys: Keys, *, name: str, paused: bool = True, now_ms: int = 0) -> Command[str]:
    """Let an entry enqueue nothing, or (paused=False) let it go on with the ticks from now."""
    return call("cron_pause", keys, (keys.cron_entry(name),), (int(paused),), _decode_pause, now_ms=now_ms)


def _decode_beat(reply: Any) -> int:
    word(reply[0], "cron_beat", "ok")
    return int(reply[1])


def cron_beat(
    keys: Keys, *, name: str, ttl: int, fields: Mapping[str, str], beats: bool = True, now_ms: int = 0
) -> Command[int]:
    """A cron scheduler is alive; `fields` is its hash, kept for `ttl` seconds. `beats=False`: only the hash. Says the
    server's time (ms)."""
    args: tuple[Argument, ...] = (name, ttl, int(beats), *(part for pair in fields.items() for part in pair))
    declared = (keys.cron_schedulers(), keys.cron_scheduler(name))
    return call("cron_beat", keys, declared, args, _decode_beat, now_ms=now_ms)


def _decode_entries(reply: Any) -> StoredEntries:
    word(reply[0], "view_cron", "ok")
    return StoredEntries(int(reply[1]), [_decode_entry(*row) for row in reply[2:]])


def _decode_entry(name: Any, seen: Any, flat: Any) -> StoredEntry:
    raw = fields(flat)
    state = EntryState(
        _number(raw.get(b"last")), _number(raw.get(b"since")) or 0, b"paused" in raw, _number(raw.get(b"waiting"))
    )
    job = raw.get(b"job")
    return StoredEntry(
        text(name),
        float(seen),
        state,
        text(raw.get(b"schedule", b"")),
        raw.get(b"definition", b""),
        text(job) if job else None,
    )


def view_cron(keys: Keys, *, limit: int = MOST_ENTRIES, now_ms: int = 0) -> Command[StoredEntries]:
    """All entries, those seen last first."""
    return call("view_cron", keys, (keys.cron_entries(),), (limit,), _decode_entries, now_ms=now_ms)


def view_cron_history(keys: Keys, *, name: str, start: int = 0, end: int = -1) -> Command[list[str]]:
    """Ids of the jobs of an entry, newest first; positions as in Redis, the last one included."""
    return plain("ZRANGE", (keys.cron_history(name), start, end, "REV"), texts)


def view_cron_jobs(keys: Keys, *, name: str, limit: int) -> Command[list[tuple[str, float]]]:
    """The newest jobs of an entry: id, and when it was enqueued in seconds since 1970."""

    def decode(reply: Any) -> list[tuple[str, float]]:
        flat = [part for item in reply for part in (item if isinstance(item, list | tuple) else (item,))]
        return [(text(job_id), float(at)) for job_id, at in zip(flat[::2], flat[1::2], strict=True)]

    return plain("ZRANGE", (keys.cron_history(name), 0, limit - 1, "REV", "WITHSCORES"), decode)


def view_cron_schedulers(keys: Keys) -> Command[list[str]]:
    """Names of cron schedulers, those silent for longest first."""
    return plain("ZRANGE", (keys.cron_schedulers(), 0, -1), texts)


def view_cron_scheduler(keys: Keys, *, name: str) -> Command[dict[bytes, bytes]]:
    """A cron scheduler's hash; empty when there is none."""
    return plain("HGETALL", (keys.cron_scheduler(name),), lambda reply: fields(reply) if reply else {})


def view_cron_beat(keys: Keys, *, name: str) -> Command[float | None]:
    """When a cron scheduler last gave a sign of life, in seconds since 1970."""
    return plain("ZSCORE", (keys.cron_schedulers(), name), lambda reply: None if reply is None else float(reply))
