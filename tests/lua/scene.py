"""A small world to try one script in: jobs, workers, a clock that only the test moves."""

from __future__ import annotations

from typing import Any, TypeVar

from tests.lua.keyspace import Keyspace, difference, dump

from atomiq._commands.base import Command
from atomiq._commands.claim import Claim, Claimed, Held, claim
from atomiq._commands.enqueue import Enqueued, enqueue
from atomiq._commands.settle import Settled, Settlement, settle
from atomiq._core.record import NewJob
from atomiq._wire.sync import Store

R = TypeVar("R")

NOW = 1_795_225_028_574
ISO = "2026-11-21T01:37:08.574000Z"
LEASE = 30_000
OVER = LEASE + 1000
"""By then a lease is over that is taken now: its end is a whole second."""
KEPT = 90
"""Seconds that the traces of an execution outlive its claim: one lease and a minute."""
YEAR = 31_536_000


def lease_end(now_ms: int) -> int:
    """The score of a lease that is taken, or extended, at this time."""
    return -(-(now_ms + LEASE) // 1000)


def new_job(job_id: str, queue: str = "q", *, call: str = "", **settings: Any) -> NewJob:
    """A job with the fewest fields a job can have; settings that NewJob doesn't know become fields of the hash."""
    known = {name: settings.pop(name) for name in list(settings) if name in NewJob.__slots__}
    fields = {"data": "payload", "origin": queue, **settings}
    if known.get("allow_failure"):
        fields["allow_dependency_failures"] = "1"
    if known.get("ttl"):
        fields["ttl"] = known["ttl"]
    return NewJob(id=job_id, queue=queue, fields=fields, call=call or f"call-{job_id}", **known)


def plain_job(job_id: str, queue: str = "q", **settings: Any) -> NewJob:
    """A job as `write_plain` makes most of them, of an id made for the call."""
    fields = {"created_at": ISO, "data": "payload", "last_heartbeat": "", "origin": queue, "description": "f()"}
    return NewJob(id=job_id, queue=queue, fields={**fields, "timeout": 180, **settings})


def ended(job: Claimed, outcome: str = "finished", worker: str = "w", **settings: Any) -> Settlement:
    """The end of a claimed job, a second after NOW."""
    return Settlement(
        job.job_id,
        job.queue,
        job.execution_id,
        worker,
        outcome,
        **{"started_ms": NOW, "ended_ms": NOW + 1000, **settings},
    )


def held(job: Claimed) -> Held:
    return Held(job.queue, job.job_id, job.execution_id)


class Scene:
    """Runs commands at `now`; `changes` says what a command did to the whole key space."""

    def __init__(self, connection: Any) -> None:
        self.redis = connection
        self.store = Store.of(connection)
        self.keys = self.store.keys
        self.now = NOW
        self.expired: set[str] = set()
        self.executions = 0

    def run(self, command: Command[R]) -> R:
        """Send a command at the scene's time."""
        if command.script is not None:
            command.args = (command.args[0], self.now, *command.args[2:])
        return self.store.run(command)

    def space(self) -> Keyspace:
        return dump(self.redis, self.keys.prefix)

    def changes(self, command: Command[R]) -> tuple[R, dict[str, Any]]:
        """The reply, and the difference in the key space. The server has forgotten every script before."""
        before = self.space()
        self.redis.script_flush()
        reply = self.run(command)
        return reply, difference(before, self.space())

    def unchanged(self, command: Command[R]) -> R:
        """The reply of a command that must not change anything."""
        reply, changed = self.changes(command)
        assert changed == {}
        return reply

    def enqueue(self, *jobs: NewJob, **settings: Any) -> list[Enqueued]:
        return self.run(enqueue(self.keys, jobs=jobs, **settings))

    def put(self, job_id: str, queue: str = "q", **settings: Any) -> str:
        """Enqueue one job; says the word."""
        return self.enqueue(new_job(job_id, queue, **settings))[0].word

    def claim(self, *queues: str, worker: str = "w", count: int = 1, lease_ms: int = LEASE) -> Claim:
        """Claim; execution ids are e1, e2, ..."""
        ids = [f"e{self.executions + number}" for number in range(1, count + 1)]
        self.executions += count
        command = claim(self.keys, queues=queues or ["q"], worker=worker, executions=ids, lease_ms=lease_ms)
        return self.run(command)

    def take(self, *queues: str, worker: str = "w") -> Claimed:
        (job,) = self.claim(*queues, worker=worker).jobs
        return job

    def settle(self, job: Claimed, outcome: str = "finished", worker: str = "w", **settings: Any) -> Settled:
        return self.run(settle(self.keys, settlement=ended(job, outcome, worker, **settings)))

    def started(self, job_id: str = "a", worker: str = "w", **settings: Any) -> Claimed:
        """A job that runs."""
        self.put(job_id, **settings)
        job = self.take(worker=worker)
        assert job.job_id == job_id
        return job

    def finished(self, job_id: str = "a", **settings: Any) -> Claimed:
        job = self.started(job_id, **settings)
        self.settle(job)
        return job

    def failed(self, job_id: str = "a", **settings: Any) -> Claimed:
        job = self.started(job_id, **settings)
        self.settle(job, "failed")
        return job

    def status(self, job_id: str) -> str | None:
        raw = self.redis.hget(self.keys.job(job_id), "status")
        return raw.decode() if raw else None

    def field(self, job_id: str, name: str) -> str | None:
        raw = self.redis.hget(self.keys.job(job_id), name)
        return raw.decode() if raw is not None else None

    def queued(self, queue: str = "q") -> list[str]:
        return [raw.decode() for raw in self.redis.lrange(self.keys.queue(queue), 0, -1)]

    def registry(self, key: str) -> dict[str, float]:
        return {raw.decode(): score for raw, score in self.redis.zrange(key, 0, -1, withscores=True)}

    def vanish(self, job_id: str) -> None:
        """Redis drops the job's hash, as it does when its ttl is over."""
        assert self.redis.delete(self.keys.job(job_id)) == 1
        self.expired.add(job_id)
