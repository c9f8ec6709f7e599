"""Taking work, keeping it, giving it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atomiq._commands.base import Argument, Command, call, fields, text, texts, word
from atomiq._core.keys import Keys


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is now this worker's. `attempt` counts from 1; `fields` is the job's hash as it was before the
    claim."""

    queue: str
    job_id: str
    execution_id: str
    attempt: int
    fields: dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Claim:
    """`next_due_ms` (0 for none) is set when nothing was there: when the next scheduled job is due. `now_ms` is the
    server's clock."""

    word: str
    jobs: list[Claimed]
    now_ms: int
    next_due_ms: int
    more: bool

    @property
    def suspended(self) -> bool:
        return self.word == "suspended"


@dataclass(frozen=True, slots=True)
class Held:
    """An execution a worker holds."""

    queue: str
    job_id: str
    execution_id: str


@dataclass(frozen=True, slots=True)
class Extended:
    """Execution ids that are `lost` (someone else's by now, or canceled) or that are asked to `stop`.

    `reborn`: the worker's own hash had expired, so it must introduce itself again.
    """

    lost: list[str]
    stop: list[str]
    now_ms: int
    reborn: bool


def decode_claim(reply: Any) -> Claim:
    said = word(reply[0], "claim", "ok", "empty", "suspended")
    jobs = [
        Claimed(text(queue), text(job_id), text(execution), int(attempt), fields(raw))
        for queue, job_id, execution, attempt, raw in reply[4:]
    ]
    return Claim(said, jobs, int(reply[1]), int(reply[2]), bool(reply[3]))


def claim_arguments(
    queues: Sequence[str], executions: Sequence[str], lease_ms: int, pass_on: bool
) -> tuple[Argument, ...]:
    if not queues or not executions:
        raise ValueError("a claim needs at least one queue and one execution id")
    return (lease_ms, int(pass_on), len(executions), *executions, *queues)


def claim(
    keys: Keys,
    *,
    queues: Sequence[str],
    worker: str,
    executions: Sequence[str],
    lease_ms: int,
    pass_on: bool = False,
    now_ms: int = 0,
) -> Command[Claim]:
    """Up to one job for each execution id, from `queues` in order of priority.

    `pass_on`: the caller was waiting for a scheduled job to fall due; if it gets something else to do, another waiter
    is woken to watch the schedule.
    """
    args = (worker, *claim_arguments(queues, executions, lease_ms, pass_on))
    return call("claim", keys, (keys.worker(worker),), args, decode_claim, now_ms=now_ms)


def _decode_extended(reply: Any) -> Extended:
    word(reply[0], "extend", "ok")
    return Extended(texts(reply[3]), texts(reply[4]), int(reply[1]), bool(reply[2]))


def _held_arguments(held: Sequence[Held]) -> list[Argument]:
    return [part for one in held for part in (one.queue, one.job_id, one.execution_id)]


def extend(
    keys: Keys,
    *,
    worker: str,
    lease_ms: int,
    held: Sequence[Held],
    worker_ttl: int,
    working_ms: int = 0,
    state: str = "busy",
    now_ms: int = 0,
) -> Command[Extended]:
    """Move the end of the leases to one lease from now, and beat for the worker (its hash then lives `worker_ttl`
    s)."""
    args = (worker, lease_ms, worker_ttl, working_ms, state, *_held_arguments(held))
    return call("extend", keys, (keys.worker(worker),), args, _decode_extended, now_ms=now_ms)


def _decode_released(reply: Any) -> list[str]:
    return [word(said, "release", "ok", "already", "not_yours", "gone") for said in reply]


def release(keys: Keys, *, worker: str, held: Sequence[Held], now_ms: int = 0) -> Command[list[str]]:
    """Give jobs back to the front of their queues, the attempts not counted. A word for each."""
    args = (worker, *_held_arguments(held))
    return call("release", keys, (keys.worker(worker),), args, _decode_released, now_ms=now_ms)
