"""What each finding means and what is done about it: the one list, from which docs/doctor.md takes its table too."""

from __future__ import annotations

from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """`text` and `remedy` with the finding's attributes in braces; an empty remedy: a person has to decide."""

    text: str
    remedy: str


JOB_FINDINGS: Final[dict[str, Meaning]] = {
    "orphan": Meaning(
        "job {subject} is {status}, but in no container",
        "put where its status says; what was lost in a queue comes first",
    ),
    "double": Meaning("job {subject} is {status}, but also stands in {place}", "taken out of there"),
    "twice": Meaning("job {subject} stands twice in {place}", "the later one is taken out"),
    "not_queued": Meaning("job {subject} is created, but stands in {place}", "its status becomes queued"),
    "no_job": Meaning("{subject} stands in {place}, but there is no such job", "taken out; who waits for it is told"),
    "stuck": Meaning(
        "job {subject} is {status} and stays in {place}: whoever took it hasn't started it",
        "taken out; a queued job goes to the front of its queue",
    ),
    "stale_lease": Meaning(
        "job {subject} is {status}, but an execution of it is in {place}", "the execution is closed"
    ),
    "lease_over": Meaning(
        "job {subject} is started, its lease was over {detail} s ago, and no worker has seen to it",
        "reaped: run again, or failed by its policy",
    ),
    "zombie": Meaning("the hash of job {subject} has no data (status {status})", "deleted with all that names it"),
    "unknown_status": Meaning(
        "job {subject} has the status {detail!r}, at which RQ's workers end", "failed, with the reason; can be requeued"
    ),
    "newer_status": Meaning("job {subject} has the status {detail!r} of a newer RQ", ""),
    "no_origin": Meaning("job {subject} is {status}, but names no queue", ""),
    "will_expire": Meaning(
        "job {subject} is {status}, but its hash expires though it has no ttl", "its hash is kept until it ends"
    ),
    "no_ttl": Meaning("job {subject} is {status}, and its hash never expires", "expires when its registry says"),
    "not_in_group": Meaning("job {subject} says it is in group {detail}, which doesn't list it", "listed there"),
    "deferred_for_ever": Meaning(
        "job {subject} is deferred, and nothing it waits for can still end ({detail})",
        "enqueued; canceled if what it needed is gone",
    ),
    "unlinked": Meaning(
        "job {subject} waits for {detail}, which don't know of it", "they are told that it waits for them"
    ),
    "behind": Meaning("job {subject} waits for {detail}, which ended otherwise; it runs when they are requeued", ""),
}

THING_FINDINGS: Final[dict[str, Meaning]] = {
    "results_no_job": Meaning("the results of {subject} never expire, and there is no such job", "deleted"),
    "results_no_ttl": Meaning("the results of job {subject} never expire, though the job does", "expire with the job"),
    "results_leftover": Meaning("there are results of {subject}, but no such job; they expire", "deleted"),
    "dependents_no_job": Meaning(
        "jobs are said to wait for {subject}, which is gone", "the list is deleted; see deferred_for_ever"
    ),
    "dependents_stale": Meaning("job {subject} lists dependants that don't wait for it", "struck off"),
    "dependents_leftover": Meaning("{subject} lists dependants that are gone, or is gone", "struck off"),
    "dependencies_no_job": Meaning("there are dependencies of {subject}, but no such job", "deleted"),
    "dependencies_leftover": Meaning("there are dependencies of {subject}, but no such job; they expire", "deleted"),
    "unmet_no_job": Meaning("there is a list of what {subject} waits for, but no such job", "deleted"),
    "unmet_no_ttl": Meaning("the list of what {subject} waits for never expires", "expires in a year"),
    "unmet_leftover": Meaning("there is a list of what {subject} waits for, but it doesn't wait", "deleted"),
    "executions_no_job": Meaning("there is a list of executions of {subject}, but no such job", "deleted"),
    "executions_no_ttl": Meaning("the list of executions of {subject} never expires", "expires in 150 s"),
    "executions_leftover": Meaning("there is a list of executions of {subject}, which doesn't run", "deleted"),
    "execution_stale": Meaning("execution {subject} is nobody's and never expires", "closed"),
    "execution_leftover": Meaning("execution {subject} is nobody's; it expires", "closed"),
    "worker_executions_stale": Meaning(
        "worker {subject} is said to hold executions that nobody holds", "these are struck off"
    ),
    "worker_executions_no_ttl": Meaning("the list of what worker {subject} holds never expires", "expires in 480 s"),
    "worker_dead": Meaning("worker {subject} is dead, but still listed", "struck off"),
    "worker_silent": Meaning(
        "worker {subject} has given no sign of life for long", "struck off; if it is alive, it introduces itself anew"
    ),
    "worker_unlisted": Meaning("worker {subject} is alive, but not listed", "listed"),
    "worker_no_ttl": Meaning("the hash of worker {subject} never expires", "expires in 480 s unless it gives a sign"),
    "group_unlisted": Meaning("group {subject} is not among the names of groups", "listed"),
    "group_leftover": Meaning("group {subject} names jobs that are gone, or has no members", "these are struck off"),
    "queue_unlisted": Meaning("jobs wait in queue {subject}, which is not among the names of queues", "listed"),
    "cleaning_stale": Meaning(
        "RQ's maintenance of queue {subject} is locked, and whoever locked it is gone", "the lock is removed"
    ),
    "first_seen_leftover": Meaning(
        "{subject}: RQ would take a later job of this id for stuck (it may fail one that runs)", "deleted"
    ),
    "compact_stale": Meaning(
        "{subject}: jobs that RQ's Queue.compact was moving when it died", "back into their queues; the list goes"
    ),
    "cron_member_dead": Meaning("cron scheduler {subject} is dead, but still listed", "struck off"),
    "wrong_type": Meaning(
        "key {subject} is a {detail}: what uses it fails, and nothing else could be looked at until it is renamed or "
        "deleted",
        "",
    ),
}
_EXPIRING: Final = {
    "turn": "the turn of {subject}",
    "scheduler": "the hash of RQ's scheduler {subject}",
    "scheduler_lock": "the lock of RQ's scheduler on queue {subject}",
    "cron_scheduler": "the hash of cron scheduler {subject}",
    "cron_history": "the history of cron job {subject}",
}
_CONTAINERS: Final = ("queue", "intermediate", "scheduled", "deferred", "wip", "finished", "failed", "canceled")

FINDINGS: Final[dict[str, Meaning]] = {
    **JOB_FINDINGS,
    **THING_FINDINGS,
    **{f"{kind}_no_ttl": Meaning(f"{text} never expires", "expires") for kind, text in _EXPIRING.items()},
    **{
        f"{container}_has_ttl": Meaning(f"{container}:{{subject}} expires, with all it holds", "kept")
        for container in _CONTAINERS
    },
}
"""Kind of finding -> what it means. `<thing>_<word>` for all that is no job."""

NEWER: Final = frozenset({"ready_to_enqueue", "rate_limited"})
"""Statuses of RQ versions after 2.12: theirs to deal with."""


def explanation_of(kind: str, subject: str, place: str, status: str, detail: str) -> str:
    """The sentence of a finding."""
    if kind == "lease_over" and not detail:
        return f"job {subject} is started, its lease has no end, and its execution is gone"
    if kind == "deferred_for_ever":
        missing = detail.partition(" ")[2]
        detail = f"gone: {missing}" if missing else "none of it is gone"
    return FINDINGS[kind].text.format(subject=subject, place=place, status=status or "unknown", detail=detail)


def remedy_of(kind: str, detail: str) -> str:
    """What repair does about it."""
    remedy = FINDINGS[kind].remedy
    if kind == "deferred_for_ever":
        return "canceled: what it needed is gone" if detail.startswith("cancel") else "enqueued"
    return remedy
