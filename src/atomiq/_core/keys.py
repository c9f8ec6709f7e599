"""Every Redis key name, in one place.

Keys of RQ's layout are spelt as RQ 2.12 spells them. Keys of our own start with `<prefix>atomiq:`. Each row of
`OWN_KEYS` names the owner (who writes it) and what ends it; docs/data.md is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_PREFIX = "rq:"

OWN_KEYS: tuple[tuple[str, str, str, str], ...] = (
    (
        "atomiq:bell:<queue>",
        "sorted set of one member",
        "rung by whoever pushes work; waiting workers block on it",
        "popped by the waiter it wakes; removed by the claim that takes the last job",
    ),
    ("atomiq:paused", "set", "names of paused queues, written by pause", "resume removes the name"),
    ("atomiq:turn:<task>", "string", "upkeep: whose turn is over", "TTL of exactly one interval"),
    (
        "atomiq:executions:<worker>",
        "hash",
        "execution id -> job id of what a worker holds, written by claim",
        "settlement removes the field; TTL of the worker hash",
    ),
    (
        "atomiq:made",
        "stream",
        "a job's first result is made here and copied to `results:<job>`: a stream that XADD makes takes 4 KiB",
        "the same step removes it: it is never seen",
    ),
    (
        "atomiq:unmet:<job>",
        "set",
        "dependencies that a deferred job still waits for, written by enqueue",
        "shrinks as they end; removed with the job or when it leaves deferred; TTL of a year, as RQ never removes it",
    ),
    (
        "atomiq:freeing",
        "hash",
        "ended job -> how it ended, while more dependants wait than one step may free",
        "the step that frees the last one removes the field",
    ),
    (
        "atomiq:stuck:<queue>",
        "hash",
        "id that a worker of RQ's took and has not started -> since when, and which stay in the queue that was",
        "upkeep removes the field with the id; TTL of a day",
    ),
    (
        "atomiq:open:<group>",
        "set",
        "members of a group that have not ended, written by enqueue",
        "shrinks as they end; TTL of a year from the last enqueue into the group",
    ),
    (
        "atomiq:ended:<group>",
        "hash",
        "member -> how it ended, and how many ended so, for progress",
        "TTL of a day once the whole group has ended, of a year before",
    ),
    (
        "atomiq:after:<group>",
        "hash",
        "job that waits for the whole group -> on what condition, written by enqueue",
        "the step that lets it go removes the field; TTL of a year",
    ),
    (
        "atomiq:watched",
        "sorted set",
        "groups that jobs wait for, scored by when upkeep last looked through them",
        "removed when nothing waits for the group any more",
    ),
    (
        "atomiq:cron_entries",
        "sorted set",
        "names of cron entries, score = when a cron scheduler last said that it looks after it",
        "a name goes a year after that",
    ),
    (
        "atomiq:cron:<name>",
        "hash",
        "a cron entry: schedule, since when, last tick decided, its job, paused, tick that waits, how to run it",
        "TTL of a year, renewed while a cron scheduler looks after it",
    ),
    (
        "atomiq:outbox:<source>",
        "sorted set",
        "rows of a database's outbox that were sent, scored by when; written by the step that enqueues their jobs",
        "relays remove a member when its row is gone and nobody can still be about to send it; TTL of a year",
    ),
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Key names under one prefix (default `rq:`; `{app}:` pins a deployment to one Cluster slot)."""

    prefix: str = DEFAULT_PREFIX

    def queues(self) -> str:
        return f"{self.prefix}queues"

    def queue(self, queue: str) -> str:
        return f"{self.prefix}queue:{queue}"

    def intermediate(self, queue: str) -> str:
        return f"{self.prefix}queue:{queue}:intermediate"

    def first_seen(self, queue: str, job_id: str) -> str:
        """RQ's note of when its maintenance saw an id in the intermediate list."""
        return f"{self.prefix}queue:{queue}:intermediate:first_seen:{job_id}"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}job:{job_id}"

    def dependents(self, job_id: str) -> str:
        return f"{self.prefix}job:{job_id}:dependents"

    def dependencies(self, job_id: str) -> str:
        """RQ spells this one with two colons before the id."""
        return f"{self.prefix}job::{job_id}:dependencies"

    def results(self, job_id: str) -> str:
        return f"{self.prefix}results:{job_id}"

    def executions(self, job_id: str) -> str:
        return f"{self.prefix}executions:{job_id}"

    def execution(self, job_id: str, execution_id: str) -> str:
        return f"{self.prefix}execution:{job_id}:{execution_id}"

    def wip(self, queue: str) -> str:
        return f"{self.prefix}wip:{queue}"

    def finished(self, queue: str) -> str:
        return f"{self.prefix}finished:{queue}"

    def failed(self, queue: str) -> str:
        return f"{self.prefix}failed:{queue}"

    def deferred(self, queue: str) -> str:
        return f"{self.prefix}deferred:{queue}"

    def scheduled(self, queue: str) -> str:
        return f"{self.prefix}scheduled:{queue}"

    def canceled(self, queue: str) -> str:
        return f"{self.prefix}canceled:{queue}"

    def workers(self) -> str:
        return f"{self.prefix}workers"

    def worker_set(self, queue: str) -> str:
        return f"{self.prefix}workers:{queue}"

    def worker(self, worker: str) -> str:
        return f"{self.prefix}worker:{worker}"

    def suspended(self) -> str:
        return f"{self.prefix}suspended"

    def groups(self) -> str:
        return f"{self.prefix}groups"

    def group(self, name: str) -> str:
        return f"{self.prefix}group:{name}"

    def pubsub(self, worker: str) -> str:
        return f"{self.prefix}pubsub:{worker}"

    def cleaning(self, queue: str) -> str:
        """RQ's maintenance lock; atomiq never takes it, RQ's own workers do."""
        return f"{self.prefix}clean_registries:{queue}"

    def scheduler_lock(self, queue: str) -> str:
        return f"{self.prefix}scheduler-lock:{queue}"

    def scheduler(self, name: str) -> str:
        return f"{self.prefix}scheduler:{name}"

    def cron_schedulers(self) -> str:
        return f"{self.prefix}cron_schedulers"

    def cron_scheduler(self, name: str) -> str:
        return f"{self.prefix}cron_scheduler:{name}"

    def cron_jobs(self) -> str:
        return f"{self.prefix}cron_jobs"

    def cron_history(self, name: str) -> str:
        return f"{self.prefix}cron_job:{name}:jobs"

    def bell(self, queue: str) -> str:
        return f"{self.prefix}atomiq:bell:{queue}"

    def paused(self) -> str:
        return f"{self.prefix}atomiq:paused"

    def turn(self, task: str) -> str:
        return f"{self.prefix}atomiq:turn:{task}"

    def worker_executions(self, worker: str) -> str:
        return f"{self.prefix}atomiq:executions:{worker}"

    def freeing(self) -> str:
        return f"{self.prefix}atomiq:freeing"

    def made(self) -> str:
        """Exists inside of a script only."""
        return f"{self.prefix}atomiq:made"

    def unmet(self, job_id: str) -> str:
        return f"{self.prefix}atomiq:unmet:{job_id}"

    def stuck(self, queue: str) -> str:
        return f"{self.prefix}atomiq:stuck:{queue}"

    def open(self, group: str) -> str:
        return f"{self.prefix}atomiq:open:{group}"

    def ended(self, group: str) -> str:
        return f"{self.prefix}atomiq:ended:{group}"

    def after(self, group: str) -> str:
        return f"{self.prefix}atomiq:after:{group}"

    def watched(self) -> str:
        return f"{self.prefix}atomiq:watched"

    def cron_entries(self) -> str:
        return f"{self.prefix}atomiq:cron_entries"

    def cron_entry(self, name: str) -> str:
        return f"{self.prefix}atomiq:cron:{name}"

    def outbox(self, source: str) -> str:
        return f"{self.prefix}atomiq:outbox:{source}"
