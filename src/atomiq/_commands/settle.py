"""Ending executions: by their owner (finish, fail), or by whoever finds the lease over (reap)."""

from __future__ import annotations

import zlib
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from atomiq._commands.base import Argument, Command, call, texts, word
from atomiq._commands.claim import NO_TALLY, Claim, Tally, check_claim, decode_claim, tally_argument
from atomiq._core.keys import Keys
from atomiq._core.settings import DEFAULT_ABANDONED, DEFAULT_FAILURE_TTL, DEFAULT_MAX_ABANDONED, DEFAULT_RESULT_TTL
from atomiq._core.timestamp import text_of_second
from atomiq._lua import script

GROUP_PAUSE_MS: Final = 5_000
"""A group that somebody waits for is looked through by the whole fleet at most this often."""
_WORDS: Final = {b"ok": "ok", b"already": "already", b"not_yours": "not_yours", b"gone": "gone"}
_OUTCOMES: Final = {
    "finished": "result",
    "failed": "exc_string",
    "stopped": "exc_string",
    "retried": "result",
    "exhausted": "result",
    "abandoned": "exc_string",
    "waiting": "waits",
}
"""Each with what is kept of it."""
_SCRIPTS: Final = {"finished": "finish", "waiting": "wait"}
"""Those of outcomes that `fail` is not for."""


@dataclass(slots=True)
class Settlement:
    """How an execution ended.

    `outcome`: finished; failed (raised, timed out, killed); stopped (by the user); retried (returned a Retry that is
    carried out after `retry` ms); exhausted (returned a Retry, but none is left); abandoned (its process was killed,
    and the job is to be run again from the front of its queue: counted towards max_abandoned, not as a retry); waiting
    (what it requires is not there, it is looked for again in `retry` ms; `result` is the record of its waits).
    `result` is the return value in the serializer's bytes, None for None. `exc_string` is the traceback.
    `retry`, for failed: auto (what the job's Retry allows), never, or a delay in ms.
    An `exc_string` of an abandoned one is kept with the job as `last_death`.
    Times are the server's, in ms; ttls in seconds, -1 for ever, 0 for nothing.
    """

    job_id: str
    queue: str
    execution_id: str
    worker: str
    outcome: str
    result: bytes | None = None
    exc_string: str = ""
    result_ttl: int = DEFAULT_RESULT_TTL
    failure_ttl: int | None = None
    started_ms: int = 0
    ended_ms: int = 0
    retry: str | int = "auto"


class Settled(NamedTuple):
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


def texts_of(milliseconds: int) -> tuple[str, str]:
    """A time as the result stream has it and as the job's hash has it; nothing for none. Made here, as numbers are what
    scripts are slowest at."""
    if not milliseconds:
        return "", ""
    second, rest = divmod(milliseconds, 1000)
    fraction = f"{rest:03d}"
    return f"{second}.{fraction}", f"{text_of_second(second)}{fraction}000Z"


def _settlement_arguments(s: Settlement) -> tuple[Argument, ...]:
    times = (*texts_of(s.started_ms), *texts_of(s.ended_ms))
    if s.outcome == "finished":
        value = b"" if s.result is None else b2a_base64(s.result, newline=False)
        return s.queue, s.job_id, s.execution_id, s.worker, "finished", value, s.result_ttl, *times, ""
    kept = _OUTCOMES.get(s.outcome)
    if kept is None:
        raise ValueError(f"no outcome of a job: {s.outcome!r}; it is one of {', '.join(sorted(_OUTCOMES))}")
    if kept == "exc_string":
        value = pack_exception(s.exc_string)
    elif kept == "waits":
        value = s.result or b""
    else:
        value = b"" if s.result is None else b2a_base64(s.result, newline=False)
    ttl = DEFAULT_FAILURE_TTL if s.failure_ttl is None else s.failure_ttl
    return s.queue, s.job_id, s.execution_id, s.worker, s.outcome, value, ttl, *times, s.retry


def _decode_settled(reply: Any) -> Settled:
    said = _WORDS.get(reply[0]) or word(reply[0], "settle", *_WORDS.values())
    return Settled(said, reply[1].decode(), reply[2], reply[3] == 1)


def settle(
    keys: Keys, *, settlement: Settlement, full: bool = True, tally: Tally = NO_TALLY, now_ms: int = 0
) -> Command[Settled]:
    """End one execution: the script finish, fail or wait, by the outcome.

    `full`: count it in the worker's hash, with `tally`. One that is not counted goes into the tally of a later call.
    """
    name = _SCRIPTS.get(settlement.outcome, "fail")
    declared = (keys.wip(settlement.queue),)
    said = _settlement_arguments(settlement)
    if name == "wait":
        said = (*said[:4], said[5], said[-1])
    args = (*said, tally_argument(full, tally))
    return call(name, keys, declared, args, _decode_settled, now_ms=now_ms)


_PLAINLY: Final = {
    status.encode(): Settled("ok", status, 0, False)
    for status in ("finished", "queued", "scheduled", "failed", "stopped", "gone")
}


def decode_both(reply: Any) -> tuple[Settled, Claim]:
    """Read a reply to `settle_and_claim`."""
    said = reply[-1]
    if isinstance(said, list):
        settled = _decode_settled(said)
    else:
        settled = _PLAINLY.get(said) or _decode_settled([said, b"", 0, 0])
    return settled, decode_claim(reply, -1)


def settle_and_claim(
    keys: Keys,
    *,
    settlement: Settlement,
    queues: Sequence[str],
    worker: str,
    executions: Sequence[str],
    lease_ms: int,
    pass_on: bool = False,
    full: bool = True,
    tally: Tally = NO_TALLY,
    now_ms: int = 0,
) -> Command[tuple[Settled, Claim]]:
    """End one execution and take the next job, in one step. `full` and `tally` as for `claim` and `settle`."""
    if settlement.worker != worker:
        raise ValueError("a worker settles its own executions only")
    check_claim(queues, executions)
    args = (
        keys.prefix,
        now_ms,
        *_settlement_arguments(settlement),
        tally_argument(full, tally),
        lease_ms,
        1 if pass_on else 0,
        len(executions),
        *executions,
        *queues,
    )
    return Command("settle_and_claim", script("settle_and_claim"), (keys.wip(settlement.queue),), args, decode_both)


def _decode_reaped(reply: Any) -> Reaped:
    word(reply[0], "reap", "ok")
    return Reaped(texts(reply[1]), texts(reply[2]), texts(reply[3]), int(reply[4]), bool(reply[5]))


def reap(
    keys: Keys,
    *,
    queue: str,
    max_abandoned: int = DEFAULT_MAX_ABANDONED,
    policy: str = DEFAULT_ABANDONED,
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


def free(keys: Keys, *, limit: int = 100, pause_ms: int = 0, now_ms: int = 0) -> Command[Freed]:
    """Go on with the dependants of ended jobs that have very many of them, and with groups that a job waits for, unless
    they were looked through in the last `pause_ms`."""
    return call("free", keys, (keys.freeing(), keys.watched()), (limit, pause_ms), _decode_freed, now_ms=now_ms)
