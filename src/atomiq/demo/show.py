"""How the run looks: a live view on a terminal, plain lines elsewhere, and the table at the end."""

from __future__ import annotations

import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from atomiq._commands.views import QueueCounts
from atomiq.demo.books import Books

PLAIN_EVERY = 2.0


class View(Protocol):
    """Where the run reports to."""

    def start(self, total: int) -> None:
        """`total` jobs are about to be worked off."""

    def event(self, text: str) -> None:
        """Something worth a line has happened."""

    def counts(self, counts: QueueCounts) -> None:
        """Where the jobs are now."""

    def stop(self) -> None:
        """Nothing more will happen."""


def waiting_text(counts: QueueCounts) -> str:
    return f"{counts.queued} queued, {counts.started} running, {counts.scheduled} due later, {counts.deferred} waiting"


class LiveView:
    """A moving bar, and the events above it."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
        )

    def start(self, total: int) -> None:
        self._task = self._progress.add_task("", total=total)
        self._progress.start()

    def event(self, text: str) -> None:
        self._progress.console.print(text, markup=False, soft_wrap=True)

    def counts(self, counts: QueueCounts) -> None:
        self._progress.update(self._task, completed=counts.finished, description=waiting_text(counts))

    def stop(self) -> None:
        self._progress.stop()


class PlainView:
    """A line for each event, and one every two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0
        self._total = 0

    def start(self, total: int) -> None:
        self._total = total
        self._next = time.monotonic() + PLAIN_EVERY

    def event(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)

    def counts(self, counts: QueueCounts) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PLAIN_EVERY
            self._console.print(
                f"  {counts.finished} of {self._total} finished; {waiting_text(counts)}", soft_wrap=True
            )

    def stop(self) -> None:
        """Nothing is held open."""


def report(books: Books) -> Table:
    """The table at the end."""
    table = Table(title="The books balance" if not books.problems else "The books don't balance", show_header=False)
    table.title_style = "bold green" if not books.problems else "bold red"
    table.title_justify = "left"
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("jobs enqueued", str(books.enqueued))
    table.add_row("finished", str(books.finished))
    table.add_row("results right", f"{books.right}, each computed again here and compared")
    table.add_row("lost", str(books.lost))
    table.add_row("run twice", "\n".join(f"{name}: {why}" for name, why in books.again.items()) or "none")
    if books.soonest is not None:
        table.add_row("ran again", f"{books.soonest:.2f} s after its worker was killed")
    speed = f"{books.executions} runs in {books.seconds:.1f} s, {books.jobs_per_second:.0f} jobs/s"
    table.add_row("speed", f"{speed} (in warm child processes)")
    return table
