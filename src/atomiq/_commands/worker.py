"""Workers: birth, beat, death, and turns for upkeep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atomiq._commands.base import Argument, Command, call, texts, word
from atomiq._commands.claim import Tally, tally_argument
from atomiq._core.keys import Keys


def _decode_birth(reply: Any) -> str:
    return word(reply, "worker_birth", "ok", "taken")


def worker_birth(
    keys: Keys,
    *,
    worker: str,
    queues: Sequence[str],
    fields: Mapping[str, Argument],
    ttl: int,
    lease_ms: int,
    incarnation: str,
    now_ms: int = 0,
) -> Command[str]:
    """Introduce a worker: ok, or taken when a live one has the name. `incarnation` tells a repeated call from a
    namesake."""
    pairs = [part for pair in fields.items() for part in pair]
    args = (worker, lease_ms, ttl, len(queues), *queues, *pairs, incarnation)
    declared = (keys.worker(worker), keys.workers())
    return call("worker_birth", keys, declared, args, _decode_birth, now_ms=now_ms)


def _decode_beat(reply: Any) -> str:
    return word(reply, "worker_beat", "ok", "gone")


def worker_beat(
    keys: Keys, *, worker: str, ttl: int, fields: Mapping[str, Argument] | None = None, now_ms: int = 0
) -> Command[str]:
    """A sign of life of a worker that holds nothing. `gone`: its hash has expired, it must introduce itself again."""
    pairs = [part for pair in (fields or {}).items() for part in pair]
    return call("worker_beat", keys, (keys.worker(worker),), (ttl, *pairs), _decode_beat, now_ms=now_ms)


def _decode_noted(reply: Any) -> str:
    return word(reply, "worker_note", "ok")


def worker_note(
    keys: Keys, *, worker: str, ttl: int, verb: str, field: str, value: Argument = "", now_ms: int = 0
) -> Command[str]:
    """Set, drop or add to one field of a worker's hash. A hash that only this makes lives `ttl` seconds."""
    if verb not in ("set", "drop", "add"):
        raise ValueError(f"no verb of worker_note: {verb!r}; it is set, drop or add")
    args = (ttl, verb, field, value)
    return call(
        "worker_note",
        keys,
        (keys.worker(worker),),
        args,
        _decode_noted,
        now_ms=now_ms,
        safe_to_repeat=verb != "add",
    )


def _decode_tally(reply: Any) -> str:
    return word(reply, "worker_tally", "ok")


def worker_tally(keys: Keys, *, worker: str, tallies: Mapping[str, Tally], now_ms: int = 0) -> Command[str]:
    """Count in the worker's hash what its children have settled without its being counted. What has been told under
    the same name before is not counted again; a call that tells a tally has a name of its own."""
    pairs = [part for name, tally in tallies.items() for part in (name, tally_argument(True, tally))]
    return call("worker_tally", keys, (keys.worker(worker),), (worker, *pairs), _decode_tally, now_ms=now_ms)


def _decode_scheduler(reply: Any) -> str:
    return word(reply, "scheduler_beat", "ok")


def scheduler_beat(keys: Keys, *, name: str, ttl: int, fields: Mapping[str, Argument], now_ms: int = 0) -> Command[str]:
    """Write fields of the hash of RQ's scheduler; it then lives `ttl` seconds."""
    pairs = [part for pair in fields.items() for part in pair]
    declared = (keys.scheduler(name),)
    return call("scheduler_beat", keys, declared, (ttl, *pairs), _decode_scheduler, now_ms=now_ms)


def _decode_death(reply: Any) -> list[str]:
    word(reply[0], "worker_death", "ok", "taken")
    return texts(reply[1])


def worker_death(
    keys: Keys, *, worker: str, queues: Sequence[str], incarnation: str = "", now_ms: int = 0
) -> Command[list[str]]:
    """A worker takes its leave. Says the ids of the jobs that it still held; they are back at the front of their
    queues.

    `incarnation`: what it was born with. If another has taken over its name since, nothing happens.
    """
    declared = (keys.worker(worker), keys.workers(), keys.worker_executions(worker))
    return call("worker_death", keys, declared, (worker, incarnation, *queues), _decode_death, now_ms=now_ms)


def _decode_removed(reply: Any) -> int:
    word(reply[0], "clean_workers", "ok")
    return int(reply[1])


def clean_workers(keys: Keys, *, queue: str, limit: int = 1000, now_ms: int = 0) -> Command[int]:
    """Forget workers of a queue whose hash has expired. Says how many."""
    declared = (keys.worker_set(queue), keys.workers())
    return call("clean_workers", keys, declared, (limit,), _decode_removed, now_ms=now_ms)


def _decode_turn(reply: Any) -> bool:
    return word(reply[0], "take_turn", "ok", "wait") == "ok"


def take_turn(keys: Keys, *, task: str, interval_ms: int, now_ms: int = 0) -> Command[bool]:
    """May the caller do this upkeep task now? The first to ask in each interval may."""
    declared = (keys.turn(task),)
    return call("take_turn", keys, declared, (interval_ms,), _decode_turn, now_ms=now_ms, safe_to_repeat=False)
