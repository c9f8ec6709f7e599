"""Ids that RQ's workers took from a queue and never started: the intermediate list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from atomiq._commands.base import Command, call, texts, word
from atomiq._commands.settle import pack_exception
from atomiq._core.keys import Keys
from atomiq._core.settings import DEFAULT_ABANDONED, DEFAULT_FAILURE_TTL, DEFAULT_MAX_ABANDONED

GRACE_MS: Final = 60_000
"""How long RQ lets an id stay there before it takes it for stuck."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Ids that were stuck: `requeued` run again, `retried` by their Retry, `failed` for good. `dropped` ids stood for
    nothing any more; `waiting` ones may still be started by whoever took them."""

    requeued: list[str]
    retried: list[str]
    failed: list[str]
    dropped: int
    waiting: int


def _decode_recovered(reply: Any) -> Recovered:
    word(reply[0], "recover_stuck", "ok")
    return Recovered(texts(reply[1]), texts(reply[2]), texts(reply[3]), int(reply[4]), int(reply[5]))


def recover_stuck(
    keys: Keys,
    *,
    queue: str,
    max_abandoned: int = DEFAULT_MAX_ABANDONED,
    policy: str = DEFAULT_ABANDONED,
    grace_ms: int = GRACE_MS,
    limit: int = 100,
    failure_ttl: int = DEFAULT_FAILURE_TTL,
    now_ms: int = 0,
) -> Command[Recovered]:
    """Look through a queue's intermediate list. An id is noted when it is first seen there; once that is `grace_ms` ago
    and no living worker of RQ's can be about to start it, it is dealt with as `reap` deals with abandoned jobs."""
    poison = (
        f"atomiq.exceptions.PoisonJobError: {max_abandoned + 1} times in a row the worker that had taken this job went "
        f"away (max_abandoned is {max_abandoned}); the job is suspected of killing its workers and is not run again"
    )
    packed = (pack_exception(poison), pack_exception("Job was stuck in intermediate queue."))
    args = (queue, grace_ms, limit, max_abandoned, policy, failure_ttl, *packed)
    declared = (keys.intermediate(queue), keys.stuck(queue))
    return call("recover_stuck", keys, declared, args, _decode_recovered, now_ms=now_ms)
