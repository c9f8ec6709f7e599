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

    def unmet(self, job_id: str) -> str:
        return f"{self.prefix}atomiq:unmet:{job_id}"
