"""What the transitions mean, in plain Python: statuses, leases, retries, dependencies. Knows nothing of Redis."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.model.spec import Spec, lease_end

from atomiq._core.states import JobStatus

WAITS = {JobStatus.QUEUED.value, JobStatus.SCHEDULED.value, JobStatus.DEFERRED.value}
YEAR = 31_536_000


@dataclass
class Job:
    """A job that exists. `struck`: dependencies that it needs no more; `doomed`: one it needed was deleted."""

    spec: Spec
    status: str
    struck: set[str] = field(default_factory=set)
    doomed: bool = False
    due: int = 0
    retries_done: int = 0
    repeats_done: int = 0
    attempts: int = 0
    abandoned: int = 0
    execution: str = ""
    worker: str = ""
    lease: int = 0
    stopping: bool = False
    settled: tuple[str, str] = ("", "")
    ended: bool = False
    queue: str = ""
    deadline: int | None = None

    @property
    def retries_left(self) -> int:
        return self.spec.retries - self.retries_done

    @property
    def repeats_left(self) -> int:
        return self.spec.repeats - self.repeats_done

    @property
    def open(self) -> set[str]:
        return set(self.spec.deps) - self.struck - {self.spec.id}


@dataclass(frozen=True)
class Lease:
    """An execution that was once given out."""

    execution: str
    job: str
    queue: str
    worker: str


class Model:
    """The whole world. `lists` are the queues in order; an id in them may stand for nothing any more."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.jobs: dict[str, Job] = {}
        self.lists: dict[str, list[str]] = {"q": [], "r": []}
        self.stale: dict[str, dict[str, int]] = {"q": {}, "r": {}}
        self.orphans: dict[Lease, int] = {}
        self.paused: set[str] = set()
        self.suspended = False

    # --- places

    def leave(self, job: Job) -> None:
        """Out of the container, and of all that comes with it."""
        if job.status == "queued":
            self.lists[job.queue] = [one for one in self.lists[job.queue] if one != job.spec.id]
        job.execution, job.worker, job.lease, job.stopping = "", "", 0, False

    def put(self, job: Job, due: int = 0, front: bool = False) -> None:
        if due > self.now:
            job.status, job.due = "scheduled", due
            self.stale[job.queue].pop(job.spec.id, None)
            return
        job.status = "queued"
        self.push(job, front)

    def push(self, job: Job, front: bool) -> None:
        self.lists[job.queue].insert(0 if front else len(self.lists[job.queue]), job.spec.id)

    def limit(self, job: Job) -> None:
        """The time that it may wait begins."""
        job.deadline = self.now + job.spec.ttl * 1000 if job.spec.ttl else None

    def is_met(self, dependency: str, allow: bool) -> bool:
        job = self.jobs.get(dependency)
        return job is None or job.status == "finished" or (allow and job.status in ("failed", "stopped"))

    def tell(self, parent: str, how: str) -> None:
        """Dependants learn how a job ended. When they move is not said here: there may be too many for one step."""
        for job in self.jobs.values():
            if job.status != "deferred" or parent not in job.open:
                continue
            if how in ("finished", "canceled") or job.spec.allow:
                job.struck.add(parent)
            elif how == "deleted":
                job.doomed = True

    def vanish(self, job_id: str) -> None:
        """The hash is gone, by its ttl or by hand; where the id stood it still stands."""
        job = self.jobs.pop(job_id)
        if job.status == "scheduled":
            self.stale[job.queue][job_id] = job.due
        elif job.status == "started":
            self.orphans[Lease(job.execution, job_id, job.queue, job.worker)] = job.lease

    # --- transitions

    def enqueue(self, specs: list[Spec], unique: bool) -> list[str] | str:
        """The words, or the refusal of the whole call."""
        last = {spec.id: spec for spec in specs}
        seen: set[str] = set()
        for spec in specs:
            job = self.jobs.get(spec.id)
            if job is not None and job.spec.call == spec.call:
                continue
            if unique and (job is not None or spec.id in seen):
                return "exists"
            if job is not None and job.status == "started":
                return "busy"
            seen.add(spec.id)
        batch = {spec.id for spec in last.values() if not self._was_put(spec)}
        words = {spec.id: self._enqueue(spec, batch) for spec in specs if last[spec.id] is spec}
        return [words[spec.id] for spec in specs]

    def circle_with(self, specs: list[Spec]) -> bool:
        """Whether one of these would wait for itself, by way of jobs that wait for it now."""
        waits = {name: job.open for name, job in self.jobs.items() if job.status == "deferred"}
        waits |= {spec.id: set(spec.deps) for spec in specs if not self._was_put(spec)}
        for spec in specs:
            seen: set[str] = set()
            while more := {two for one in {spec.id, *seen} for two in waits.get(one, ())} - seen:
                seen |= more
            if spec.id in seen:
                return True
        return False

    def _was_put(self, spec: Spec) -> bool:
        job = self.jobs.get(spec.id)
        return job is not None and job.spec.call == spec.call

    def _enqueue(self, spec: Spec, batch: set[str]) -> str:
        if self._was_put(spec):
            return "already"
        old = self.jobs.get(spec.id)
        stays = (
            old is not None
            and old.status == "queued"
            and old.queue == spec.queue
            and not (spec.front or spec.deps or spec.due)
        )
        if old is not None and not stays:
            self.leave(old)
        self.jobs.pop(spec.id, None)
        job = Job(spec, "", queue=spec.queue)
        waits = {one for one in spec.deps if one != spec.id and (one in batch or not self.is_met(one, spec.allow))}
        job.struck = set(spec.deps) - waits
        self.jobs[spec.id] = job
        self.limit(job)
        if waits:
            job.status, job.due = "deferred", spec.due
            return "deferred"
        if spec.due:
            self.stale[spec.queue].pop(spec.id, None)
            job.status, job.due = "scheduled", spec.due
            return "scheduled"
        job.status = "queued"
        if not stays:
            self.push(job, spec.front)
        return "queued"

    def promote(self, queue: str) -> None:
        due = {
            job_id: job.due
            for job_id, job in self.jobs.items()
            if job.status == "scheduled" and job.queue == queue and job.due <= self.now
        }
        over = {job_id: at for job_id, at in self.stale[queue].items() if at <= self.now}
        for job_id, _ in sorted((due | over).items(), key=lambda row: (row[1], row[0])):
            if job_id in over:
                del self.stale[queue][job_id]
                if job_id not in self.jobs:
                    self.tell(job_id, "deleted")
                continue
            job = self.jobs[job_id]
            job.status = "queued"
            self.push(job, job.spec.front_on_retry and job.ended)

    def claim(self, worker: str, queues: list[str], executions: list[str], lease: int) -> list[Lease]:
        taken: list[Lease] = []
        if self.suspended:
            return taken
        for queue in queues:
            if queue in self.paused or len(taken) == len(executions):
                continue
            self.promote(queue)
            while self.lists[queue] and len(taken) < len(executions):
                job_id = self.lists[queue].pop(0)
                job = self.jobs.get(job_id)
                if job is None:
                    self.tell(job_id, "deleted")
                elif job.status in WAITS:
                    if job.status != "queued" or job.queue != queue:
                        self.leave(job)
                    job.struck = set(job.spec.deps)
                    self.open(job, queue, executions[len(taken)], worker, lease)
                    taken.append(Lease(job.execution, job_id, queue, worker))
        return taken

    def open(self, job: Job, queue: str, execution: str, worker: str, lease: int) -> None:
        job.status, job.queue = "started", queue
        job.execution, job.worker, job.lease = execution, worker, lease_end(self.now, lease)
        job.attempts += 1
        job.deadline = None

    def holds(self, lease: Lease) -> bool:
        job = self.jobs.get(lease.job)
        return job is not None and job.status == "started" and job.execution == lease.execution

    def refusal(self, lease: Lease, verb: str) -> str | None:
        job = self.jobs.get(lease.job)
        if job is None:
            return "gone"
        if self.holds(lease):
            return None
        return "already" if job.settled == (verb, lease.execution) else "not_yours"

    def settle(self, lease: Lease, outcome: str, retry: str | int, result_ttl: int, failure_ttl: int) -> str:
        verb = {"finished": "finish", "waiting": "waiting"}.get(outcome, "fail")
        refused = self.refusal(lease, verb)
        if refused:
            return refused
        job = self.jobs[lease.job]
        self.leave(job)
        job.settled, job.abandoned = (verb, lease.execution), 0
        job.ended, job.attempts = job.ended or outcome != "waiting", job.attempts - (outcome == "waiting")
        if outcome == "finished":
            self._finish(job, result_ttl)
        elif outcome in ("retried", "waiting"):
            self.put(job, self.now + int(retry))
        elif outcome == "failed" and retry == "auto" and job.retries_left > 0:
            self.retry(job)
        elif outcome == "failed" and isinstance(retry, int):
            self.put(job, self.now + retry, job.spec.front_on_retry)
        else:
            self.bury(job, "stopped" if outcome == "stopped" else "failed", failure_ttl)
        return "ok"

    def _finish(self, job: Job, result_ttl: int) -> None:
        self.tell(job.spec.id, "finished")
        if job.repeats_left > 0:
            wait = pick(job.spec.repeat_intervals, job.repeats_done)
            job.repeats_done += 1
            self.put(job, self.now + wait * 1000)
        elif result_ttl == 0:
            del self.jobs[job.spec.id]
        else:
            job.status, job.deadline = "finished", self.until(result_ttl)

    def retry(self, job: Job) -> None:
        wait = pick(job.spec.intervals, job.retries_done)
        job.retries_done += 1
        self.put(job, self.now + wait * 1000, job.spec.front_on_retry)

    def bury(self, job: Job, status: str, ttl: int) -> None:
        self.tell(job.spec.id, "failed")
        job.status, job.deadline = status, self.until(ttl)
        if ttl == 0:
            del self.jobs[job.spec.id]
            self.tell(job.spec.id, "deleted")

    def until(self, ttl: int) -> int | None:
        return None if ttl < 0 else self.now + ttl * 1000

    def release(self, lease: Lease) -> str:
        refused = self.refusal(lease, "release")
        if refused:
            return refused
        job = self.jobs[lease.job]
        self.leave(job)
        job.attempts -= 1
        job.settled = ("release", lease.execution)
        self.put(job, front=True)
        self.limit(job)
        return "ok"

    def reap(self, queue: str, max_abandoned: int, policy: str) -> dict[str, str]:
        """Job id -> requeued, retried or failed."""
        found: dict[str, str] = {}
        for lease, ends in list(self.orphans.items()):
            if lease.queue == queue and ends <= self.now:
                del self.orphans[lease]
                if lease.job not in self.jobs:
                    self.tell(lease.job, "deleted")
        running = [job for job in self.jobs.values() if job.status == "started" and job.queue == queue]
        for job in sorted(running, key=lambda one: (one.lease, one.spec.id)):
            if job.lease > self.now:
                continue
            stopping = job.stopping
            self.leave(job)
            job.abandoned += 1
            rule = job.spec.policy or policy
            if stopping:
                what = "failed"
            elif rule == "fail":
                what = "retried" if job.retries_left > 0 else "failed"
            else:
                what = "requeued" if job.abandoned <= max_abandoned else "failed"
            found[job.spec.id] = what
            if what == "requeued":
                self.put(job, front=True)
            elif what == "retried":
                self.retry(job)
            else:
                job.abandoned, job.ended = 0, True
                self.bury(job, "stopped" if stopping else "failed", YEAR)
        return found

    def cancel(self, job_id: str, dependents: bool) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "gone"
        if job.status == "canceled":
            return "already"
        self.leave(job)
        job.status, job.deadline = "canceled", self.until(YEAR)
        if dependents:
            self.tell(job_id, "canceled")
        return "ok"

    def requeue(self, job_id: str, front: bool) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "gone"
        if job.status in ("started", "queued", "created"):
            return {"started": "busy", "queued": "already", "created": "not_there"}[job.status]
        self.leave(job)
        job.abandoned, job.ended = 0, False
        job.struck = set(job.spec.deps)
        self.put(job, front=front)
        self.limit(job)
        return "ok"

    def delete(self, job_id: str, children: list[str]) -> str:
        """`children`: those on its list of dependants, if they are to be deleted too."""
        if job_id not in self.jobs:
            return "gone"
        for child in children:
            if child in self.jobs:
                self.erase(child)
        self.erase(job_id)
        return "ok"

    def erase(self, job_id: str) -> None:
        if job_id in self.jobs:
            self.leave(self.jobs.pop(job_id))
        self.tell(job_id, "deleted")

    def empty(self, queue: str, detach: bool) -> int:
        ids, self.lists[queue] = self.lists[queue], []
        for job_id in ids:
            job = self.jobs.get(job_id)
            if job is None:
                self.tell(job_id, "deleted")
            elif job.status == "queued":
                self.leave(job)
                if detach:
                    job.status = "created"
                else:
                    del self.jobs[job_id]
                    self.tell(job_id, "deleted")
        return len(ids)

    def begin(self, job_id: str, execution: str, worker: str, lease: int) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "gone"
        if job.status == "started":
            return "already" if job.execution == execution else "busy"
        self.leave(job)
        job.struck = set(job.spec.deps)
        self.open(job, job.queue, execution, worker, lease)
        return "ok"


def pick(intervals: tuple[int, ...], number: int) -> int:
    """The n-th interval, the last one for all that follow; 0 when there is none."""
    return intervals[min(number, len(intervals) - 1)] if intervals else 0
