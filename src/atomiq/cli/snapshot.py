"""What `atomiq info` shows, read from the server; nothing is changed but what has vanished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atomiq._commands.views import Hash, QueueCounts, view_queue_names, view_queues, view_suspended, view_workers
from atomiq._core.errors import OutboxError
from atomiq._wire.sync import Store
from atomiq.outbox import Figures, figures
from atomiq.outbox.trouble import is_database_error


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker as it describes itself."""

    name: str
    hostname: str
    ip_address: str
    pid: str
    state: str
    queues: tuple[str, ...]
    successful: int
    failed: int
    current_job: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Queues in the order asked for, workers by name. `outbox` of a database, if there is one to look at: its figures,
    or why it has none to tell."""

    queues: tuple[QueueCounts, ...]
    workers: tuple[WorkerLine, ...]
    suspended: bool
    outbox: Figures | OutboxError | None = None


def names_to_show(store: Store, names: Sequence[str]) -> tuple[str, ...]:
    """The names given; without any, all queues there are now, sorted."""
    known: list[str] = store.run(view_queue_names(store.keys)) if not names else []
    return tuple(dict.fromkeys(names or known))


def take(store: Store, queues: Sequence[str], *, only_of_queues: bool, database: str | None = None) -> Snapshot:
    """Queues and workers now; with `only_of_queues` only workers that listen to one of these queues."""
    counts = store.run(view_queues(store.keys, queues=queues)) if queues else []
    workers = [describe(name, fields) for name, fields in store.run(view_workers(store.keys))]
    if only_of_queues:
        workers = [worker for worker in workers if set(worker.queues) & set(queues)]
    suspended = store.run(view_suspended(store.keys))
    return Snapshot(tuple(counts), tuple(workers), suspended, outbox_of(database) if database else None)


def outbox_of(database: str) -> Figures | OutboxError:
    """A database that is away must not hide the queues."""
    try:
        return figures(database)
    except OutboxError as error:
        return error
    except Exception as error:
        if not (isinstance(error, OSError) or is_database_error(error)):
            raise
        return OutboxError(f"can't be read: {str(error).strip().partition(chr(10))[0]}")


def describe(name: str, fields: Hash) -> WorkerLine:
    """A worker from its hash."""

    def text(field: bytes) -> str:
        return fields.get(field, b"").decode("utf-8", "replace")

    def number(field: bytes) -> int:
        return int(text(field) or 0)

    return WorkerLine(
        name=name,
        hostname=text(b"hostname"),
        ip_address=text(b"ip_address"),
        pid=text(b"pid"),
        state=text(b"state") or "?",
        queues=tuple(queue for queue in text(b"queues").split(",") if queue),
        successful=number(b"successful_job_count"),
        failed=number(b"failed_job_count"),
        current_job=text(b"current_job"),
    )
