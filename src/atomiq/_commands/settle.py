"""Ending executions: by their owner (finish, fail), or by whoever finds the lease over (reap)."""

from __future__ import annotations

import zlib
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atomiq._commands.base import Argument, Command, call, texts, word
from atomiq._commands.claim import Claim, claim_arguments, decode_claim
from atomiq._core.keys import Keys

DEFAULT_FAILURE_TTL = 31_536_000
_WORDS = ("ok", "already", "not_yours", "gone")
_OUTCOMES = frozenset({"finished", "failed", "stopped", "retried", "exhausted", "abandoned"})


@dataclass(slots=True)
class Settlement:
    """How an execution ended.

    `outcome`: finished; failed (raised, timed out, killed); stopped (by the user); retried (returned a Retry that is
    carried out after `retry` ms); exhausted (returned a Retry, but none is left); abandoned (its process was killed,
    and the job is to be run again from the front of its queue: counted towards max_abandoned, not as a retry).
    `result` is the return value in the serializer's bytes, None for None. `exc_string` is the traceback.
    `retry`, for failed: auto (what the job's Retry allows), never, or a delay in ms.
    Times are the server's, in ms; ttls in seconds, -1 for ever, 0 for nothing.
    """

    job_id: str
    queue: str
    execution_id: str
    worker: str
    outcome: str
    result: bytes | None = None
    exc_string: str = ""
    result_ttl: int = 500
    failure_ttl: int | None = None
    started_ms: int = 0
    ended_ms: int = 0
    retry: str | int = "auto"


@dataclass(frozen=True, slots=True)
class Settled:
    """`word` is ok, already (this very settlement was carried out before), not_yours (the lease was lost) or gone.

    `status` is what the job is now. `more`: it has more dependants than one step frees; upkeep goes on with them.
    """

    word: str
    status: str
    freed: int
    more: bool


@dataclass(frozen=True, slots=True)
class Reaped:
    """Ids of abandoned jobs: `requeued` run again, `retried` by their Retry, `failed` for good; `dropped` entries
    were stale."""

    requeued: list[str]
    retried: list[str]
    failed: list[str]
    dropped: int
    more: bool


@dataclass(frozen=True, slots=True)
class Freed:
    freed: int
    more: bool


def pack_exception(text: str) -> bytes:
    """A traceback as the result stream holds it: base64 of zlib of UTF-8."""
    return b2a_base64(zlib.compress(text.encode("utf-8", "replace")), newline=False) if text else b""


def _settlement_arguments(settlement: Settlement) -> tuple[Argument, ...]:
    s = settlement
    if s.outcome not in _OUTCOMES:
        raise ValueError(f"no outcome of a job: {s.outcome!r}; it is one of {', '.join(sorted(_OUTCOMES))}")
    return (
        s.queue,
        s.job_id,
        s.execution_id,
        s.worker,
        s.outcome,
        b2a_base64(s.result, newline=False) if s.result is not None else b"",
        pack_exception(s.exc_string),
        s.result_ttl,
        DEFAULT_FAILURE_TTL if s.failure_ttl is None else s.failure_ttl,
        s.started_ms,
        s.ended_ms,
        s.retry,
    )


def _decode_settled(reply: Any) -> Settled:
    said, status = texts(reply[:2])
    return Settled(word(said, "settle", *_WORDS), status, int(reply[2]), bool(reply[3]))


def settle(keys: Keys, *, settlement: Settlement, now_ms: int = 0) -> Command[Settled]:
    """End one execution: the script finish or fail, by the outcome."""
    name = "finish" if settlement.outcome == "finished" else "fail"
    declared = (keys.wip(settlement.queue),)
    return call(name, keys, declared, _settlement_arguments(settlement), _decode_settled, now_ms=now_ms)


def _decode_both(reply: Any) -> tuple[Settled, Claim]:
    return _decode_settled(reply[:4]), decode_claim(reply[4])


def settle_and_claim(
    keys: Keys,
    *,
    settlement: Settlement,
    queues: Sequence[str],
    worker: str,
    executions: Sequence[str],
    lease_ms: int,
    pass_on: bool = False,
    now_ms: int = 0,
) -> Command[tuple[Settled, Claim]]:
    """End one execution and take the next job, in one step."""
    if settlement.worker != worker:
        raise ValueError("a worker settles its own executions only")
    args = (*_settlement_arguments(settlement), *claim_arguments(queues, executions, lease_ms, pass_on))
    declared = (keys.wip(settlement.queue),)
    return call("settle_and_claim", keys, declared, args, _decode_both, now_ms=now_ms)


def _decode_reaped(reply: Any) -> Reaped:
    word(reply[0], "reap", "ok")
    return Reaped(texts(reply[1]), texts(reply[2]), texts(reply[3]), int(reply[4]), bool(reply[5]))


def reap(
    keys: Keys,
    *,
    queue: str,
    max_abandoned: int = 3,
    policy: str = "retry",
    limit: int = 100,
    failure_ttl: int = DEFAULT_FAILURE_TTL,
    now_ms: int = 0,
) -> Command[Reaped]:
    """Deal with executions of a queue whose lease is over.

    `policy` is retry (run again at once, at most `max_abandoned` times in a row, then fail as poison) or fail (RQ's
    way: the job's Retry, else failed); a job's own `on_abandoned` wins.
    """
    poison = (
        f"atomiq.exceptions.PoisonJobError: the worker running this job went away {max_abandoned + 1} times in a row "
        f"(max_abandoned is {max_abandoned}); the job is suspected of killing its workers and is not run again"
    )
    abandoned = (
        "atomiq.exceptions.AbandonedJobError: Moved to FailedJobRegistry, due to AbandonedJobError: the worker running "
        "this job went away, and by the policy 'fail' it is not run again"
    )
    stopped = "Job stopped by user; its worker went away before it could say so."
    texts_packed = (pack_exception(poison), pack_exception(abandoned), pack_exception(stopped))
    args = (queue, max_abandoned, policy, limit, failure_ttl, *texts_packed)
    return call("reap", keys, (keys.wip(queue),), args, _decode_reaped, now_ms=now_ms)


def _decode_freed(reply: Any) -> Freed:
    word(reply[0], "free", "ok")
    return Freed(int(reply[1]), bool(reply[2]))


def free(keys: Keys, *, limit: int = 100, now_ms: int = 0) -> Command[Freed]:
    """Go on with the dependants of ended jobs that have very many of them."""
    return call("free", keys, (keys.freeing(),), (limit,), _decode_freed, now_ms=now_ms)
