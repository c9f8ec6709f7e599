"""Taking work, keeping it, giving it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from atomiq._commands.base import Argument, Command, call, text, texts, word
from atomiq._core.keys import Keys


@dataclass(frozen=True, slots=True)
class Tally:
    """Settlements done in calls that were not full, which the worker's hash doesn't count yet; `worked_ms` is what
    their calls took together."""

    finished: int = 0
    failed: int = 0
    worked_ms: int = 0


NO_TALLY: Final = Tally()


class Claimed(NamedTuple):
    """A job that is now this worker's. `attempt` counts from 1; `fields` is the job's hash as it was before the claim;
    empty ones may be left out."""

    queue: str
    job_id: str
    execution_id: str
    attempt: int
    fields: dict[bytes, bytes]


class Claim(NamedTuple):
    """`next_due_ms` (0 for none) is set when nothing was there: when the next scheduled job is due. `now_ms` is the
    server's clock. `more`: jobs are left in the queues.

    The answer to a call that is not full never says what is due next, and its `more` is a guess: the queues were not
    seen empty.
    """

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


_as: Final = tuple.__new__
"""Makes a named tuple without the Python function that its class would call for it."""
_CLAIM_WORDS: Final = {b"ok": "ok", b"empty": "empty", b"suspended": "suspended"}


@lru_cache(1024)
def _name(raw: bytes) -> str:
    """A queue's name; always the same object, as they are few and looked up often."""
    return text(raw)


def decode_claim(reply: Any, end: int | None = None) -> Claim:
    """Read `{word, now, next due, more, job...}` of a reply; `end`: what follows isn't a job."""
    said = _CLAIM_WORDS.get(reply[0]) or word(reply[0], "claim", *_CLAIM_WORDS.values())
    jobs = []
    for job in reply[4:end]:
        queue, job_id, execution, attempt = job[-4:]
        pairs = iter(job[:-4])
        fields = dict(zip(pairs, pairs, strict=True))
        name = job_id.decode("utf-8", "surrogateescape")
        jobs.append(_as(Claimed, (_name(queue), name, execution.decode(), attempt, fields)))
    return Claim(said, jobs, reply[1], reply[2], reply[3] == 1)


def check_claim(queues: Sequence[str], executions: Sequence[str]) -> None:
    if not queues or not executions:
        raise ValueError("a claim needs at least one queue and one execution id")


def tally_argument(full: bool, tally: Tally) -> str:
    """Empty for a call that is not full, else `finished failed worked`."""
    if tally is NO_TALLY:
        return "0 0 0" if full else ""
    if not full:
        raise ValueError("a tally is told in a full call only")
    return f"{tally.finished} {tally.failed} {tally.worked_ms}"


def claim(
    keys: Keys,
    *,
    queues: Sequence[str],
    worker: str,
    executions: Sequence[str],
    lease_ms: int,
    pass_on: bool = False,
    full: bool = True,
    tally: Tally = NO_TALLY,
    now_ms: int = 0,
) -> Command[Claim]:
    """Up to one job for each execution id, from `queues` in order of priority.

    `pass_on`: the caller was waiting for a scheduled job to fall due; if it gets something else to do, another waiter
    is woken to watch the schedule.
    `full`: promote due jobs, wake another waiter while jobs are left (or take the bell down when none are), and show in
    the worker's hash what it does, `tally` included. A call that is not full does none of this, so the caller must send
    a full one soon, and at once when the answer is empty. Its execution ids must be new, or the call must be the very
    same.
    """
    check_claim(queues, executions)
    before = (worker, tally_argument(full, tally), lease_ms, int(pass_on), len(executions))
    args: tuple[Argument, ...] = (*before, *executions, *queues)
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


def _decode_given_back(reply: Any) -> list[str]:
    return [word(said, "give_back", "ok", "unknown", "not_yours") for said in reply]


def give_back(keys: Keys, *, worker: str, executions: Sequence[str], now_ms: int = 0) -> Command[list[str]]:
    """Give jobs that were claimed ahead and not started, known by their execution ids alone, back to the front of their
    queues, in this order, the attempts not counted.

    A word for each: ok; unknown (this worker holds no such execution: the claim has not arrived yet, or it is settled,
    or was given back before); not_yours (the lease was lost).
    """
    if not executions:
        raise ValueError("give_back needs at least one execution id")
    declared = (keys.worker_executions(worker),)
    return call("give_back", keys, declared, (worker, *executions), _decode_given_back, now_ms=now_ms)
