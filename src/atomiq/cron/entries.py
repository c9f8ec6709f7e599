"""Cron entries as the server knows them: to look at, to run by hand, to pause."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from atomiq._commands.base import as_is, plain, text
from atomiq._commands.cron import EntryState, StoredEntry, cron_pause, cron_run, view_cron, view_cron_jobs
from atomiq._commands.views import view_jobs
from atomiq._core.errors import InvalidInput, NoSuchCronEntry
from atomiq._core.ids import new_job_id
from atomiq._core.record import NewJob
from atomiq._core.settings import DEFAULT_CRON_SCHEDULER_TTL
from atomiq._core.timestamp import from_ms, from_unix
from atomiq._wire.sync import Store
from atomiq.cron.expression import NEVER, zone_of
from atomiq.cron.job import CronJob, decoded
from atomiq.job import Job


@dataclass(frozen=True, slots=True)
class CronEntry:
    """One entry as the server knows it; times are aware, in the entry's time zone.

    `latest`: the last tick that was decided. `next`: when the next job is enqueued; None while it is paused or nobody
    looks after it. `alive`: whether a cron scheduler has said within two minutes that it looks after it. `waiting`: the
    tick that waits for the job before it.
    """

    name: str
    job: CronJob
    latest: datetime | None
    next: datetime | None
    waiting: datetime | None
    paused: bool
    alive: bool
    seen: datetime
    last_job_id: str | None


def get_entries(connection: Any) -> list[CronEntry]:
    """All entries that were looked after within the last year, by name."""
    store = Store.of(connection)
    found = store.run(view_cron(store.keys))
    return sorted((_entry(each, found.now_ms) for each in found.entries), key=lambda entry: entry.name)


def _entry(stored: StoredEntry, now_ms: int) -> CronEntry:
    job, state = CronJob.from_dict(json.loads(stored.definition)), stored.state
    zone = zone_of(job.timezone)
    alive = stored.seen * 1000 > now_ms - DEFAULT_CRON_SCHEDULER_TTL * 1000
    following = _next_ms(job, state, now_ms) if alive and not state.paused else None
    return CronEntry(
        stored.name,
        job,
        None if state.last is None else from_ms(state.last).astimezone(zone),
        None if following is None else from_ms(following).astimezone(zone),
        None if state.waiting is None else from_ms(state.waiting).astimezone(zone),
        state.paused,
        alive,
        from_unix(stored.seen).astimezone(UTC),
        stored.job_id,
    )


def _next_ms(job: CronJob, state: EntryState, now_ms: int) -> int | None:
    try:
        rule = job.checked_rule()
    except InvalidInput:  # an expression that names years, and they are over
        return None
    tick = rule.choose(state.last, state.since, now_ms)
    return None if tick >= NEVER else rule.due(tick)


def run_entry(name: str, connection: Any) -> Job:
    """Enqueue a job of an entry now, whatever its schedule says, even while it is paused. Its ticks stay as they are.

    Raises:
        NoSuchCronEntry: no cron scheduler has looked after an entry of this name.
    """
    store = Store.of(connection)
    definition = store.run(plain("HGET", (store.keys.cron_entry(name), "definition"), as_is))
    if definition is None:
        raise _unknown(name, store)
    said = json.loads(definition)
    fields = {field: decoded(value) for field, value in said["job"].items()}
    new = NewJob(new_job_id(), said["queue_name"], {**fields}, ttl=said["ttl"])
    store.run(cron_run(store.keys, name=name, job=new))
    return Job.fetch(new.id, connection=connection)


def pause_entry(name: str, connection: Any) -> bool:
    """Let an entry enqueue nothing until it is resumed. Says whether that changed anything.

    Raises:
        NoSuchCronEntry: no cron scheduler has looked after an entry of this name.
    """
    return _pause(name, connection, paused=True)


def resume_entry(name: str, connection: Any) -> bool:
    """Let a paused entry go on, with the ticks from now. Says whether that changed anything.

    Raises:
        NoSuchCronEntry: no cron scheduler has looked after an entry of this name.
    """
    return _pause(name, connection, paused=False)


def history_of(name: str, connection: Any, limit: int = 20) -> list[tuple[str, float, str | None]]:
    """Jobs that came of an entry, newest first: id, when it was enqueued (seconds since 1970), status. None: its hash
    is gone.

    Raises:
        NoSuchCronEntry: no cron scheduler has looked after an entry of this name, nor has RQ's enqueued a job of one.
    """
    store = Store.of(connection)
    listed = store.run(view_cron_jobs(store.keys, name=name, limit=limit))
    if not listed and not store.run(plain("EXISTS", (store.keys.cron_entry(name),), int)):
        raise _unknown(name, store)
    found = store.run(view_jobs(store.keys, job_ids=[job_id for job_id, _ in listed])) if listed else []
    statuses = [None if raw is None else text(raw.get(b"status", b"")) for raw in found]
    return [(job_id, at, status) for (job_id, at), status in zip(listed, statuses, strict=True)]


def _pause(name: str, connection: Any, paused: bool) -> bool:
    store = Store.of(connection)
    said = store.run(cron_pause(store.keys, name=name, paused=paused))
    if said == "gone":
        raise _unknown(name, store)
    return said == "ok"


def _unknown(name: str, store: Store) -> NoSuchCronEntry:
    known = sorted(entry.name for entry in store.run(view_cron(store.keys)).entries)
    listed = f"There are {', '.join(known[:20])}" if known else "There are none; start `atomiq cron CONFIG_PATH` first"
    return NoSuchCronEntry(f"no cron entry is called '{name}'. {listed}")
