"""`atomiq info -i`: a page that is drawn anew every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from atomiq.cli.shapes import COLORS, SUSPENDED_TEXT, outbox_line
from atomiq.cli.snapshot import Snapshot

COLUMNS = ("queued", "started", "scheduled", "deferred", "finished", "failed", "canceled")


class Rate:
    """Jobs that workers completed since the look before."""

    def __init__(self) -> None:
        self._before: tuple[float, int] | None = None

    def of(self, snapshot: Snapshot, now: float) -> float | None:
        """Jobs a second; None at the first look, and when a worker has left with its count."""
        done = sum(worker.successful + worker.failed for worker in snapshot.workers)
        before, self._before = self._before, (now, done)
        if before is None or now <= before[0] or done < before[1]:
            return None
        return (done - before[1]) / (now - before[0])


def draw(snapshot: Snapshot, rate: float | None, queues: bool, workers: bool) -> RenderableType:
    """One look as tables."""
    parts: list[RenderableType] = []
    if snapshot.suspended:
        parts.append(Text(SUSPENDED_TEXT, style="yellow"))
    if queues:
        table = Table("queue", *(name for name in COLUMNS), title_justify="left", expand=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for counts in snapshot.queues:
            name = Text(counts.name).append(" (paused)", style="yellow") if counts.paused else Text(counts.name)
            table.add_row(name, *(cell(title, getattr(counts, title)) for title in COLUMNS))
        parts.append(table)
    if workers:
        table = Table("worker", "state", "running", "listens to", "finished", "failed", expand=False)
        for worker in snapshot.workers:
            state = Text(worker.state, style=COLORS.get(worker.state, ""))
            table.add_row(
                Text(f"{worker.name}\n{worker.hostname} {worker.pid}"),
                state,
                Text(worker.current_job),
                Text(", ".join(worker.queues)),
                str(worker.successful),
                cell("failed", worker.failed),
            )
        parts.append(table)
    if snapshot.outbox is not None:
        parts.append(Text.from_ansi(outbox_line(snapshot.outbox, raw=False)))
    speed = "" if rate is None else f"{rate:,.1f} jobs/s   "
    parts.append(Text(f"{speed}Ctrl+C to leave", style="dim"))
    return Group(*parts)


def cell(title: str, count: int) -> Text:
    """A number; zero is faint, failures are red."""
    if not count:
        return Text("0", style="dim")
    return Text(f"{count:,}", style="red" if title == "failed" else "")


def watch(look: Callable[[], Snapshot], interval: float, queues: bool, workers: bool) -> None:
    """Draw what `look` sees every `interval` seconds until Ctrl+C."""
    rate = Rate()
    with Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            snapshot = look()
            live.update(draw(snapshot, rate.of(snapshot, time.monotonic()), queues, workers), refresh=True)
            time.sleep(interval)
