"""Jobs into the queue, and due ones out of the schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from time import time
from typing import Any, Final, NamedTuple

from atomiq._commands.base import Argument, Command, call, text, texts, word
from atomiq._core.errors import DuplicateJobError, InvalidJobDependency, JobIsRunning, PermissionDenied
from atomiq._core.keys import Keys
from atomiq._core.record import NewJob
from atomiq._core.settings import JOBS_PER_ENQUEUE_COMMAND
from atomiq._core.timestamp import text_of_second

_OF_A_PLAIN_JOB: Final = ("created_at", "data", "last_heartbeat", "origin", "description", "timeout")


class Enqueued(NamedTuple):
    """What became of one job: `word` is queued, deferred, scheduled, or already (this very call was carried out
    before)."""

    job_id: str
    word: str
    enqueued_at_ms: int


@dataclass(frozen=True, slots=True)
class Promoted:
    """`next_due_ms` is when the next scheduled job of the queue is due, 0 for none."""

    count: int
    more: bool
    next_due_ms: int


def enqueue(
    keys: Keys, *, jobs: Sequence[NewJob], unique: bool = False, group: str | None = None, now_ms: int = 0
) -> Command[list[Enqueued]]:
    """All jobs or none into their places, at most JOBS_PER_ENQUEUE_COMMAND; into the group too, if one is named, but
    for those that wait for a group.

    Raises (when the reply is decoded): DuplicateJobError if `unique` and one of the ids exists; JobIsRunning if one
    runs now; InvalidJobDependency if one would wait for itself.
    """
    args = known_second()
    alone = len(jobs) == 1 and not unique and not group
    plain = plain_words(jobs[0]) if alone else None
    if plain is not None:
        args += (0, *plain)
    else:
        args += (2, int(unique), group or "") if unique or group else (0,)
        pack_jobs(args, jobs, group)
    decode = partial(decode_enqueued, [job.id for job in jobs])
    return call("enqueue", keys, (keys.queues(),), args, decode, now_ms=now_ms)


def decode_enqueued(ids: Sequence[str], reply: Any) -> list[Enqueued]:
    """What became of the jobs of these ids. Raises what `enqueue` says."""
    if type(reply) is int:
        return [Enqueued(job_id, "queued", reply) for job_id in ids]
    said = word(reply[0], "enqueue", "ok", "exists", "busy", "forbidden", "circle", "late")
    if said == "exists":
        raise DuplicateJobError(
            f"Job with ID '{text(reply[1])}' already exists; unique=True doesn't replace it. "
            "Delete it or use another id."
        )
    if said == "forbidden":
        raise forbidden(reply[1])
    if said == "busy":
        raise JobIsRunning(
            f"job {text(reply[1])} is running now and can't be enqueued a second time under the same id; "
            "wait for it, cancel it, or use another id"
        )
    if said == "circle":
        raise InvalidJobDependency(
            f"job {text(reply[1])} would wait for itself: what it depends on waits for a job of this id "
            "already, so that none of them could ever run. Use another id, or cancel those that wait for it."
        )
    at_ms = int(reply[1])
    if len(reply) == 3:  # the same became of all
        what = text(reply[2])
        return [Enqueued(job_id, what, at_ms) for job_id in ids]
    return [Enqueued(job_id, what, at_ms) for job_id, what in zip(ids, texts(reply[2:]), strict=True)]


def forbidden(verb: Any) -> PermissionDenied:
    """The error for a command of the script that the ACL doesn't allow."""
    return PermissionDenied(
        f"enqueue: the ACL user of this connection may not run {text(verb)}; nothing was written. "
        "docs/operations.md says what atomiq needs"
    )


def known_second() -> list[Argument]:
    """The second that it is now, and its text: formatting a time takes a script long, and clocks mostly agree."""
    second = int(time())
    return [second, text_of_second(second)]


def plain_words(job: NewJob) -> tuple[Any, ...] | None:
    """A job that says nothing but what each says (`write_plain`), in the words that the script wants of it. None for
    any other."""
    if job.call or job.at_front or job.due_ms or job.ttl or job.after or job.depends_on or job.allow_failure:
        return None
    if tuple(job.fields) != _OF_A_PLAIN_JOB:
        return None
    created_at, data, heartbeat, origin, description, timeout = job.fields.values()
    if heartbeat != "" or origin != job.queue:
        return None
    return ("plain", job.queue, job.id, created_at, data, description, timeout)


def pack_jobs(args: list[Argument], jobs: Sequence[NewJob], group: str | None) -> None:
    """Append jobs as the script takes them: in blocks of alike ones. ValueError: none, or too many for a command."""
    if len(jobs) == 1:
        _pack_one(args, jobs[0], _row(jobs[0], group))
        return
    if not 0 < len(jobs) <= JOBS_PER_ENQUEUE_COMMAND:
        raise ValueError(f"an enqueue command takes 1 to {JOBS_PER_ENQUEUE_COMMAND} jobs, not {len(jobs)}")
    rows = [_row(job, group) for job in jobs]
    for _, block in groupby(zip(jobs, rows, strict=True), _shared):
        alike = list(block)
        job, fields = alike[0]
        if len(alike) == 1:
            _pack_one(args, job, fields)
            continue
        args += (len(alike), job.queue, job.call, *_more(job), len(fields), *fields)
        for job, fields in alike:
            args.append(job.id)
            args += fields.values()


def _pack_one(args: list[Argument], job: NewJob, fields: Mapping[str, Any]) -> None:
    args += (1, job.queue, job.call, *_more(job), len(fields), job.id)
    args += chain.from_iterable(fields.items())


def _row(job: NewJob, group: str | None) -> Mapping[str, Any]:
    if group and not job.after and job.fields.get("group_id") != group:
        return {**job.fields, "group_id": group}
    return job.fields


def _shared(one: tuple[NewJob, Mapping[str, Any]]) -> tuple[Any, ...]:
    """What jobs of one block have in common."""
    job, fields = one
    return (job.queue, job.call, *_more(job), tuple(fields))


def _more(job: NewJob) -> tuple[int | str, ...]:
    """What isn't as with most jobs, after how many arguments it is."""
    ttl = job.ttl if job.ttl is not None and job.ttl > 0 else 0
    if not (job.at_front or job.due_ms or ttl or job.allow_failure or job.after or job.depends_on):
        return (0,)
    more: list[int | str] = [
        int(job.at_front),
        job.due_ms,
        ttl,
        int(job.allow_failure),
        job.after,
        job.when,
        *job.depends_on,
    ]
    return (len(more), *more)


def _decode_promoted(reply: Any) -> Promoted:
    word(reply[0], "promote", "ok")
    return Promoted(int(reply[1]), bool(reply[2]), int(reply[3]))


def promote(keys: Keys, *, queue: str, limit: int = 100, now_ms: int = 0) -> Command[Promoted]:
    """Scheduled jobs of a queue that are due into the queue, at most `limit`."""
    return call("promote", keys, (keys.scheduled(queue),), (queue, limit), _decode_promoted, now_ms=now_ms)
