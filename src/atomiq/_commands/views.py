"""Reading. What belongs together is read at one instant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from atomiq._commands.base import Command, call, fields, plain, text, texts, word
from atomiq._core.keys import Keys

Hash = dict[bytes, bytes]

JOBS_PER_VIEW: Final = 1000


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Sizes of a queue's containers at one instant; entries whose time is over are not counted."""

    name: str
    queued: int
    started: int
    finished: int
    failed: int
    deferred: int
    scheduled: int
    canceled: int
    paused: bool


def _decode_queues(reply: Any) -> list[QueueCounts]:
    word(reply[0], "view_queues", "ok")
    return [_decode_counts(row) for row in reply[1:]]


def _decode_counts(row: Any) -> QueueCounts:
    queued, started, finished, failed, deferred, scheduled, canceled = map(int, row[1:8])
    return QueueCounts(text(row[0]), queued, started, finished, failed, deferred, scheduled, canceled, bool(row[8]))


def view_queues(keys: Keys, *, queues: Sequence[str], now_ms: int = 0) -> Command[list[QueueCounts]]:
    return call("view_queues", keys, (keys.paused(),), tuple(queues), _decode_queues, now_ms=now_ms)


def view_queue_names(keys: Keys) -> Command[list[str]]:
    """Every queue that was ever used and not deleted, sorted."""
    start = len(keys.queue(""))
    return plain("SMEMBERS", (keys.queues(),), lambda reply: sorted(text(key)[start:] for key in reply))


def _decode_hash(reply: Any) -> Hash | None:
    return fields(reply) if reply else None


def view_job(keys: Keys, *, job_id: str) -> Command[Hash | None]:
    """A job's hash, None if it is gone."""
    return plain("HGETALL", (keys.job(job_id),), _decode_hash)


def _decode_jobs(reply: Any) -> list[Hash | None]:
    word(reply[0], "view_jobs", "ok")
    return [_decode_hash(raw) for raw in reply[1:]]


def view_jobs(keys: Keys, *, job_ids: Sequence[str], now_ms: int = 0) -> Command[list[Hash | None]]:
    """Hashes in the order of the ids, None for the missing."""
    return call("view_jobs", keys, (keys.queues(),), tuple(job_ids), _decode_jobs, now_ms=now_ms)


def view_many_jobs(keys: Keys, job_ids: Sequence[str]) -> Iterator[Command[list[Hash | None]]]:
    """view_jobs in parts: nobody else is served while a script reads."""
    for start in range(0, len(job_ids), JOBS_PER_VIEW):
        yield view_jobs(keys, job_ids=job_ids[start : start + JOBS_PER_VIEW])


def _optional_text(reply: Any) -> str | None:
    return None if reply is None else text(reply)


def view_status(keys: Keys, *, job_id: str) -> Command[str | None]:
    return plain("HGET", (keys.job(job_id), "status"), _optional_text)


def view_exists(keys: Keys, *, job_id: str) -> Command[bool]:
    return plain("EXISTS", (keys.job(job_id),), bool)


def _optional_int(reply: Any) -> int | None:
    return None if reply is None else int(reply)


def view_position(keys: Keys, *, queue: str, job_id: str) -> Command[int | None]:
    """Place in the queue from its head, 0 is next. O(queue)."""
    return plain("LPOS", (keys.queue(queue), job_id), _optional_int)


def view_list(keys: Keys, *, queue: str, start: int = 0, end: int = -1) -> Command[list[str]]:
    """Ids waiting in a queue, by rank."""
    return plain("LRANGE", (keys.queue(queue), start, end), texts)


def view_length(keys: Keys, *, queue: str) -> Command[int]:
    return plain("LLEN", (keys.queue(queue),), int)


def view_registry(*, key: str, start: int = 0, end: int = -1, desc: bool = False) -> Command[list[str]]:
    """Members of a registry by rank in order of their scores."""
    return plain("ZREVRANGE" if desc else "ZRANGE", (key, start, end), texts)


def view_registry_size(*, key: str) -> Command[int]:
    return plain("ZCARD", (key,), int)


def _optional_float(reply: Any) -> float | None:
    return None if reply is None else float(reply)


def view_score(*, key: str, member: str) -> Command[float | None]:
    return plain("ZSCORE", (key, member), _optional_float)


def _decode_entries(reply: Any) -> list[tuple[str, Hash]]:
    return [(text(entry[0]), fields(entry[1])) for entry in reply or ()]


def view_results(keys: Keys, *, job_id: str, count: int | None = None) -> Command[list[tuple[str, Hash]]]:
    """Entries of the result stream, newest first."""
    limit = () if count is None else ("COUNT", count)
    return plain("XREVRANGE", (keys.results(job_id), "+", "-", *limit), _decode_entries)


def view_result_count(keys: Keys, *, job_id: str) -> Command[int]:
    return plain("XLEN", (keys.results(job_id),), int)


def delete_results(keys: Keys, *, job_id: str) -> Command[int]:
    """Forget all results of a job (RQ's Result.delete_all)."""
    return plain("DEL", (keys.results(job_id),), int)


def _sorted_texts(reply: Any) -> list[str]:
    return sorted(texts(list(reply)))


def view_dependencies(keys: Keys, *, job_id: str) -> Command[list[str]]:
    return plain("SMEMBERS", (keys.dependencies(job_id),), _sorted_texts)


def view_dependents(keys: Keys, *, job_id: str) -> Command[list[str]]:
    return plain("SMEMBERS", (keys.dependents(job_id),), _sorted_texts)


def _decode_executions(reply: Any) -> list[Hash]:
    word(reply[0], "view_executions", "ok")
    return [fields(raw) for raw in reply[1:]]


def view_executions(keys: Keys, *, job_id: str, now_ms: int = 0) -> Command[list[Hash]]:
    """Hashes of a job's open executions."""
    return call("view_executions", keys, (keys.executions(job_id),), (job_id,), _decode_executions, now_ms=now_ms)


def view_execution(keys: Keys, *, job_id: str, execution_id: str) -> Command[Hash | None]:
    return plain("HGETALL", (keys.execution(job_id, execution_id),), _decode_hash)


def view_worker(keys: Keys, *, worker: str) -> Command[Hash | None]:
    return plain("HGETALL", (keys.worker(worker),), _decode_hash)


def view_workers(
    keys: Keys, *, queue: str | None = None, limit: int = 10_000, now_ms: int = 0
) -> Command[list[tuple[str, Hash]]]:
    """Name and hash of every worker (of a queue), sorted by name; names whose hash has expired are dropped on the
    way."""
    members = keys.workers() if queue is None else keys.worker_set(queue)
    start = len(keys.worker(""))

    def decode(reply: Any) -> list[tuple[str, Hash]]:
        word(reply[0], "view_workers", "ok")
        return sorted((text(key)[start:], fields(raw)) for key, raw in reply[1:])

    return call("view_workers", keys, (members, keys.workers()), (limit,), decode, now_ms=now_ms)


def view_time() -> Command[float]:
    """The server's clock in seconds since 1970."""
    return plain("TIME", (), lambda reply: int(reply[0]) + int(reply[1]) / 1_000_000)


def view_time_ms() -> Command[int]:
    """The same in whole milliseconds."""
    return plain("TIME", (), lambda reply: int(reply[0]) * 1000 + int(reply[1]) // 1000)


def view_suspended(keys: Keys) -> Command[bool]:
    return plain("EXISTS", (keys.suspended(),), bool)
