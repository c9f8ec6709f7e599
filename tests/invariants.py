"""G1 and its kin over a whole key space: what must hold between any two steps, whoever died meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from atomiq._core.keys import OWN_KEYS, Keys
from atomiq._core.states import CONTAINER, GONE, TERMINAL, JobStatus
from tests.lua.keyspace import Entry, Keyspace, dump, kind_of

CONTAINERS = ("queue", "intermediate", "scheduled", "deferred", "wip", "finished", "failed", "canceled")
TRACES = 60
"""Seconds after the end of a lease until the traces of its execution expire; one that nobody has reaped by then has
none."""
STATUSES = {status.value for status in JobStatus}
ENDS = {status.value for status in TERMINAL} | {GONE}


def check_invariants(
    redis: Any, prefix: str = "rq:", expired: Collection[str] = (), now_ms: int | None = None
) -> list[str]:
    """Every violation found, as a sentence; none when all is well. `now_ms`: the time of a test that moves its own
    clock.

    `expired`: ids of jobs whose hash Redis has dropped by its ttl. Their ids may still stand where they stood, until
    someone meets them; one that is put anew meanwhile may stand in the queue a second time.
    """
    if now_ms is None:
        seconds, micros = redis.time()
        now_ms = seconds * 1000 + micros // 1000
    return list(_Books(dump(redis, prefix), prefix, expired, now_ms).violations())


class _Books:
    """A key space sorted by what its keys mean."""

    def __init__(self, space: Keyspace, prefix: str, expired: Collection[str], now_ms: int) -> None:
        self.space = space
        self.now = now_ms / 1000
        self.keys = Keys(prefix)
        self.expired = set(expired)
        self.unknown: list[str] = []
        self.by_kind: dict[str, dict[tuple[str, ...], str]] = defaultdict(dict)
        for key in space:
            kind = kind_of(key, prefix)
            if kind is None:
                self.unknown.append(key)
            else:
                self.by_kind[kind[0]][tuple(kind[1].values())] = key
        self.jobs = {arguments[0]: space[key].value for arguments, key in self.by_kind["job"].items()}
        self.places: dict[str, list[str]] = defaultdict(list)
        self.leases: dict[str, list[str]] = defaultdict(list)
        for container in CONTAINERS:
            for (queue,), key in self.by_kind[container].items():
                self._fill(container, queue, space[key].value)
        self.freeing = self._value(self.keys.freeing(), {})

    def _fill(self, container: str, queue: str, members: Any) -> None:
        for member in members:
            if container == "wip":
                job_id, _, execution = member.rpartition(":")
                self.leases[job_id or execution].append(execution)
                member = job_id or execution
            self.places[member].append(f"{'queue' if container == 'intermediate' else container}:{queue}")

    def _value(self, key: str, default: Any) -> Any:
        entry = self.space.get(key)
        return default if entry is None else entry.value

    def _ttl(self, key: str) -> int | None:
        entry = self.space.get(key)
        return None if entry is None else entry.ttl

    def violations(self) -> Iterator[str]:
        for key in self.unknown:
            yield f"{key}: no method of Keys names this key"
        for job_id, job in self.jobs.items():
            yield from self._job(job_id, job)
        for job_id, places in self.places.items():
            if job_id not in self.jobs and job_id not in self.expired:
                yield f"{job_id}: in {places}, but there is no such job"
        yield from self._leftovers()
        yield from self._dependents()
        yield from self._executions()
        yield from self._groups()
        yield from self._own_keys()
        yield from self._lifetimes()

    def _job(self, job_id: str, job: dict[str, str]) -> Iterator[str]:
        status, origin = job.get("status", ""), job.get("origin", "")
        if status not in STATUSES or "data" not in job:
            yield f"{job_id}: not a job (status {status!r}, {'with' if 'data' in job else 'without'} data): {job}"
            return
        container = CONTAINER[JobStatus(status)]
        expected = [] if container is None else [f"{container}:{origin}"]
        found = self.places[job_id]
        if job_id in self.expired:
            found = [place for place in expected if place in found]
        if found != expected:
            yield f"{job_id}: is {status} in {origin}, so it must be in {expected}, but is in {found}"
        if status == "started":
            yield from self._started(job_id, job)
        elif job_id not in self.expired and self._value(self.keys.executions(job_id), None):
            yield f"{job_id}: is {status}, but has executions"
        if status == "deferred" and job.get("after"):
            yield from self._after_group(job_id, job["after"])
        elif status == "deferred":
            yield from self._deferred(job_id)
        elif self.keys.unmet(job_id) in self.space and job_id not in self.expired:
            yield f"{job_id}: is {status}, but has a list of unmet dependencies"
        yield from self._ttl_of_job(job_id, job, status, origin)

    def _started(self, job_id: str, job: dict[str, str]) -> Iterator[str]:
        leases = self._value(self.keys.wip(job.get("origin", "")), {})
        for execution in self.leases[job_id]:
            if job_id in self.expired and execution != job.get("execution"):
                continue
            if leases.get(f"{job_id}:{execution}", 0) + TRACES <= self.now:
                continue
            if execution not in self._value(self.keys.executions(job_id), {}):
                yield f"{job_id}: its executions don't list {execution}"
            if "execution" not in job:
                continue
            if job["execution"] != execution:
                yield f"{job_id}: {execution} has the lease, but the job says {job['execution']!r}"
            opened = self._value(self.keys.execution(job_id, execution), {})
            worker = opened.get("worker_name", "")
            if not worker or worker != job.get("worker_name"):
                yield f"{job_id}: execution of worker {worker!r}, the job says {job.get('worker_name')!r}"
            if self._value(self.keys.worker_executions(worker), {}).get(execution) != job_id:
                yield f"{job_id}: worker {worker} doesn't know that it holds {execution}"

    def _deferred(self, job_id: str) -> Iterator[str]:
        unmet = self._value(self.keys.unmet(job_id), frozenset())
        if not unmet:
            yield f"{job_id}: deferred, but waits for nothing"
        if not unmet <= self._value(self.keys.dependencies(job_id), frozenset()):
            yield f"{job_id}: waits for {sorted(unmet)}, which are not all dependencies of it"
        for dependency in unmet:
            if job_id not in self._value(self.keys.dependents(dependency), frozenset()):
                yield f"{job_id}: waits for {dependency}, which doesn't know it"
            status = self.jobs.get(dependency, {}).get("status")
            ended = status == "finished" or (status is None and dependency not in self.expired)
            if ended and dependency not in self.freeing:
                yield f"{job_id}: waits for {dependency}, which is {status or 'gone'}: nobody will free it"

    def _after_group(self, job_id: str, group: str) -> Iterator[str]:
        if job_id not in self._value(self.keys.after(group), {}):
            yield f"{job_id}: waits for group {group}, which doesn't know it"
        if group not in self._value(self.keys.watched(), {}):
            yield f"{job_id}: waits for group {group}, which nobody looks through"

    def _ttl_of_job(self, job_id: str, job: dict[str, str], status: str, origin: str) -> Iterator[str]:
        ttl = self._ttl(self.keys.job(job_id))
        if status == "started" and ttl is not None:
            yield f"{job_id}: may expire while it runs"
        if status in ("finished", "failed", "stopped"):
            registry = self._value(getattr(self.keys, CONTAINER[JobStatus(status)] or "")(origin), {})
            for_ever = registry.get(job_id) in (-1.0, float("inf"))
            if for_ever == (ttl is not None):
                yield f"{job_id}: {status}, listed until {registry.get(job_id)}, but its ttl is {ttl}"
        if status == "canceled" and ttl is None and int(job.get("failure_ttl", 1)) > 0:
            yield f"{job_id}: canceled, but never expires"
        if status in ("queued", "scheduled", "deferred") and ttl is not None and "ttl" not in job:
            yield f"{job_id}: {status}, but will expire in {ttl} s and has no ttl"

    def _leftovers(self) -> Iterator[str]:
        for kind in ("dependencies", "results", "unmet", "executions"):
            for (job_id,), key in self.by_kind[kind].items():
                if job_id not in self.jobs and job_id not in self.expired:
                    yield f"{key}: its job is gone"

    def _dependents(self) -> Iterator[str]:
        for (parent,), key in self.by_kind["dependents"].items():
            if parent in self.freeing or parent in self.expired:
                continue
            if parent not in self.jobs:
                yield f"{key}: its job is gone and nobody goes on with it"
            for child in self.space[key].value - self.expired:
                if parent not in self._value(self.keys.unmet(child), frozenset()):
                    status = self.jobs.get(child, {}).get("status", "gone")
                    if status != "deferred" or self.keys.unmet(child) in self.space:
                        yield f"{key}: lists {child}, which is {status} and doesn't wait for it"
        for parent, note in self.freeing.items():
            if note.partition(":")[0] not in ("finished", "failed", "canceled", "deleted", "removed"):
                yield f"freeing: {parent} has the note {note!r}"

    def _executions(self) -> Iterator[str]:
        for (job_id, execution), key in self.by_kind["execution"].items():
            if execution not in self.leases[job_id]:
                yield f"{key}: an execution without a lease"
        for (worker,), key in self.by_kind["worker_executions"].items():
            for execution, job_id in self.space[key].value.items():
                if execution not in self.leases[job_id]:
                    yield f"{key}: worker {worker} holds {execution} of {job_id}, which has no lease"

    def _groups(self) -> Iterator[str]:
        names = self._value(self.keys.groups(), frozenset())
        for (name,), key in self.by_kind["group"].items():
            if name not in names:
                yield f"{key}: not among the names of groups"
            for job_id in self.space[key].value - self.jobs.keys() - self.expired:
                yield f"{key}: lists {job_id}, which is gone"
        for job_id, job in self.jobs.items():
            group = job.get("group_id")
            if group and job_id not in self._value(self.keys.group(group), frozenset()):
                yield f"{job_id}: says that it is in group {group}, which doesn't list it"
            if group:
                yield from self._counted(job_id, job.get("status", ""), group)
        for (group,), key in self.by_kind["ended"].items():
            numbers = Counter(how for name, how in self.space[key].value.items() if not name.startswith("#"))
            said = {name[1:]: int(value) for name, value in self.space[key].value.items() if name[1:] in ENDS}
            if +Counter(said) != numbers:
                yield f"{key}: {group} counts {said}, but lists {numbers}"

    def _counted(self, job_id: str, status: str, group: str) -> Iterator[str]:
        is_open = job_id in self._value(self.keys.open(group), frozenset())
        how = self._value(self.keys.ended(group), {}).get(job_id)
        if is_open and how is not None:
            yield f"{job_id}: open in group {group}, and {how}"
        if (is_open and status in ENDS) or (how is not None and how != status):
            yield f"{job_id}: is {status}, but its group {group} takes it for {'open' if is_open else how}"

    def _own_keys(self) -> Iterator[str]:
        listed = {row[0].partition("<")[0] for row in OWN_KEYS}
        for key in self.space:
            name = key.removeprefix(self.keys.prefix)
            if name.startswith("atomiq:") and not any(name == own or name.startswith(own) for own in listed):
                yield f"{key}: not listed in OWN_KEYS"

    def _lifetimes(self) -> Iterator[str]:
        kinds = ("execution", "executions", "worker_executions", "turn", "worker", "unmet", "open", "ended", "after")
        for kind in kinds:
            for key in self.by_kind[kind].values():
                if self._ttl(key) is None:
                    yield f"{key}: has no ttl"
        for kind in (*CONTAINERS, "bell", "paused", "freeing", "queues", "workers", "worker_set", "dependents"):
            for key in self.by_kind[kind].values():
                if self._ttl(key) is not None:
                    yield f"{key}: has a ttl"
        known = self._value(self.keys.queues(), frozenset())
        for key in self.by_kind["queue"].values():
            if key not in known:
                yield f"{key}: not among the names of queues"


__all__ = ["CONTAINERS", "Entry", "check_invariants"]
