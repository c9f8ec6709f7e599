"""`atomiq info` as text: line for line what `rq info` prints of the same data, and a line on top while suspended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import click

from atomiq._commands.views import QueueCounts
from atomiq._core.errors import OutboxError
from atomiq.cli.snapshot import Snapshot, WorkerLine
from atomiq.outbox import Figures

SCALES: Final = (20, 50, 100, 200, 400, 600, 800, 1000)
LONGEST_BAR: Final = 20
COLORS: Final = {"busy": "red", "idle": "green", "suspended": "yellow"}
SUSPENDED_TEXT: Final = "suspended: no new jobs are started; `atomiq resume` lets them"
NOBODY: Final = "–"  # noqa: RUF001 - RQ's dash


def counts_text(counts: QueueCounts) -> str:
    return f"{counts.queued}, {counts.started} executing, {counts.finished} finished, {counts.failed} failed"


def state_text(state: str) -> str:
    return click.style(state, fg=COLORS.get(state))


def bar_scale(largest: int) -> int:
    """How many jobs the longest bar stands for."""
    return next((scale for scale in SCALES if scale >= largest), largest)


def queue_lines(snapshot: Snapshot, raw: bool, width: int) -> Iterator[str]:
    """A line for each queue, and their total."""
    if raw:
        for counts in snapshot.queues:
            yield f"queue {counts.name} {counts_text(counts)}"
        return
    scale = bar_scale(max((counts.queued for counts in snapshot.queues), default=0))
    longest = max(0, min(LONGEST_BAR, width - 20))
    for counts in snapshot.queues:
        bar = click.style("█" * int(counts.queued * longest / scale), fg="green")
        yield f"{counts.name:<12} |{bar} {counts_text(counts)}"
    yield f"{len(snapshot.queues)} queues, {sum(counts.queued for counts in snapshot.queues)} jobs total"


def worker_lines(snapshot: Snapshot, raw: bool) -> Iterator[str]:
    """A line for each worker, and their number."""
    for worker in snapshot.workers:
        about = f"{worker.name} ({worker.hostname} {worker.ip_address} {worker.pid})"
        state = state_text(worker.state)
        jobs = f"jobs: {worker.successful} finished, {worker.failed} failed"
        listens = ", ".join(worker.queues)
        yield f"worker {about} {state} {listens}. {jobs}" if raw else f"{about}: {state} {listens}. {jobs}"


def by_queue_lines(snapshot: Snapshot) -> Iterator[str]:
    """A line for each queue with its workers."""
    longest = max((len(counts.name) for counts in snapshot.queues), default=0)
    for counts in snapshot.queues:
        listening = sorted(map(named_state, (worker for worker in snapshot.workers if counts.name in worker.queues)))
        yield f"{counts.name + ':':<{longest + 1}} {', '.join(listening) or NOBODY}"


def named_state(worker: WorkerLine) -> str:
    return f"{worker.name} ({state_text(worker.state)})"


def outbox_line(found: Figures | OutboxError, raw: bool) -> str:
    """What waits in a database to be sent."""
    if isinstance(found, OutboxError):
        return f"outbox ? {found}" if raw else click.style(f"outbox: {found}", fg="red")
    if raw:
        return f"outbox {found.waiting} waiting, {found.lag:.1f} s, {found.parked} parked"
    return f"outbox: {found.waiting} waiting (the oldest for {found.lag:.1f} s), {found.parked} parked"


def page(snapshot: Snapshot, *, raw: bool, by_queue: bool, queues: bool, workers: bool, width: int) -> Iterator[str]:
    """All lines of one look."""
    if snapshot.suspended and not raw:
        yield click.style(SUSPENDED_TEXT, fg="yellow")
    if queues:
        yield from queue_lines(snapshot, raw, width)
        if workers and not raw:
            yield ""
    if workers:
        yield from by_queue_lines(snapshot) if by_queue else worker_lines(snapshot, raw)
        if not raw:
            yield f"{len(snapshot.workers)} workers, {len(snapshot.queues)} queues"
    if snapshot.outbox is not None:
        if not raw:
            yield ""
        yield outbox_line(snapshot.outbox, raw)
    if queues and workers and not raw:
        yield ""
        yield f"Updated: {datetime.now()}"  # noqa: DTZ005 - the reader's own clock
