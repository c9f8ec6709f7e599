"""The states of a job, the container of each, and the moves between them: the one table.

The diagram in docs/states.md is drawn from MOVES, the headers of the Lua scripts are checked against it, and the
stateful test is driven by it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class JobStatus(str, Enum):
    """RQ 2.12's values and no others: its workers quit on one they don't know."""

    CREATED = "created"
    QUEUED = "queued"
    DEFERRED = "deferred"
    SCHEDULED = "scheduled"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELED = "canceled"


GONE: Final = "gone"
"""Not a status: the job's hash doesn't exist."""

CONTAINER: Final[dict[JobStatus, str | None]] = {
    JobStatus.CREATED: None,
    JobStatus.QUEUED: "queue",
    JobStatus.SCHEDULED: "scheduled",
    JobStatus.DEFERRED: "deferred",
    JobStatus.STARTED: "wip",
    JobStatus.FINISHED: "finished",
    JobStatus.FAILED: "failed",
    JobStatus.STOPPED: "failed",
    JobStatus.CANCELED: "canceled",
}
"""The one container a job of each status is in, as the middle part of its key (`rq:<container>:<queue>`)."""

TERMINAL: Final = frozenset({JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})


class Move(NamedTuple):
    """`transition` may take a job from any status of `origins` to any of `targets` (`gone` = no hash)."""

    transition: str
    origins: tuple[str, ...]
    targets: tuple[str, ...]
    when: str


_ANY_RESTING: Final = ("created", "queued", "deferred", "scheduled", "finished", "failed", "stopped", "canceled")
_RELEASED: Final = ("queued", "stopped", "gone")
"""stopped, or gone if nothing is kept of it: it was to be stopped, and that could not be told in time."""

MOVES: Final[tuple[Move, ...]] = (
    Move("enqueue", ("gone", *_ANY_RESTING), ("queued", "deferred", "scheduled"), "never while the job runs"),
    Move("cron_fire", ("gone",), ("queued",), "a tick of a cron entry: once, whoever asks"),
    Move("cron_run", ("gone",), ("queued",), "a cron entry run by hand"),
    Move("save_job", ("gone",), ("created",), "stored without being enqueued (RQ's Job.save)"),
    Move("remove_from_queue", ("queued",), ("created",), "taken off its queue without being deleted"),
    Move("pop_job_id", ("queued",), ("created",), "the same, of the first one (RQ's Queue.pop_job_id)"),
    Move("enqueue_dependents", ("deferred",), ("queued", "scheduled"), "somebody says that what it waits for ended"),
    Move("push_job_id", ("gone", *_ANY_RESTING), ("gone", "queued"), "by hand (RQ's Queue.push_job_id)"),
    Move("dequeue", ("queued",), ("queued",), "handed to no worker (RQ's dequeue_any): into the intermediate list"),
    Move("promote", ("scheduled",), ("queued",), "its time has come"),
    Move("claim", ("queued",), ("started",), "opens an execution with a lease"),
    Move("begin_job", _ANY_RESTING, ("started",), "past its queue, by the process that enqueues it (is_async=False)"),
    Move("extend", ("started",), ("started",), "by the owner; moves the end of the lease"),
    Move("finish", ("started",), ("finished", "scheduled", "queued", "gone"), "repeat, or result_ttl=0"),
    Move(
        "fail", ("started",), ("failed", "stopped", "scheduled", "queued", "gone"), "by the retry rule; failure_ttl=0"
    ),
    Move("wait", ("started",), ("scheduled", "queued"), "what it requires is not there yet; the attempt doesn't count"),
    Move("release", ("started",), _RELEASED, "given back by the owner; the attempt doesn't count"),
    Move("give_back", ("started",), _RELEASED, "claimed ahead and never started; the attempt doesn't count"),
    Move("reap", ("started", "queued"), ("queued", "scheduled", "failed", "stopped", "gone"), "the lease is over"),
    Move(
        "recover_stuck",
        ("queued", "created", "started"),
        ("queued", "scheduled", "failed", "gone"),
        "a worker of RQ's took it and never started it",
    ),
    Move("beat_execution", ("started",), ("started",), "RQ's Execution.heartbeat"),
    Move("drop_executions", ("started",), ("queued",), "RQ's Execution.delete: unsettled, so it runs again"),
    Move(
        "enter_registry",
        ("gone", *_ANY_RESTING),
        ("finished", "failed", "stopped", "deferred", "scheduled", "canceled", "gone"),
        "by hand (RQ's registry.add); failure_ttl=0",
    ),
    Move("leave_registry", (*_ANY_RESTING, "started"), ("created", "gone"), "by hand (RQ's registry.remove)"),
    Move("cancel", (*_ANY_RESTING[:-1], "started"), ("canceled",), "from anywhere but canceled"),
    Move("requeue", ("finished", "failed", "stopped", "canceled", "deferred", "scheduled"), ("queued",), "by the user"),
    Move("free", ("deferred",), ("queued", "scheduled", "canceled", "gone"), "what it waits for has ended"),
    Move("delete", (*_ANY_RESTING, "started"), ("gone",), "by the user"),
    Move("set_status", (*_ANY_RESTING, "started"), (*_ANY_RESTING, "started"), "somebody says what it is (RQ)"),
    Move("run_again", (*_ANY_RESTING, "started"), ("queued", "scheduled"), "by its Retry or Repeat (RQ's Job.retry)"),
    Move(
        "expire",
        ("finished", "failed", "stopped", "canceled", "queued", "deferred", "scheduled"),
        ("gone",),
        "its ttl is over; a waiting job's is Redis' own to end",
    ),
)
