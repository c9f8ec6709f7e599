"""A table of figures for each scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.results import Run

Row = dict[str, Any]


def whole(value: float) -> str:
    """12,345."""
    return f"{value:,.0f}"


def fine(value: float) -> str:
    """Two or three digits that count."""
    if value >= 100:
        return whole(value)
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def count(value: float) -> str:
    """Commands per job, and the like."""
    return f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def plain(text: str) -> str:
    """An error on one line, fit for a table."""
    return " ".join(text.replace("|", "/").split())


@dataclass(frozen=True)
class Column:
    """heading, and how the figure of that name is written; `spread`: smallest and largest round beside the median."""

    heading: str
    figure: str
    write: Callable[[Any], str] = fine
    spread: bool = False
    absent: str = "-"

    def cell(self, run: Run, row: Row) -> str:
        """Its text in a row."""
        value = row.get(self.figure)
        if value is None:
            return self.absent.format(**row)
        rounds = run.rounds_of(row["contender"], self.figure)
        around = f" ({self.write(rounds[0])} - {self.write(rounds[-1])})" if self.spread and len(rounds) > 1 else ""
        return self.write(value) + around


COST = (
    Column("worker CPU us/job", "worker_us", whole),
    Column("server CPU us/job", "server_us", whole),
    Column("commands/job", "commands", count),
    Column("round trips/job", "round_trips", count),
)
NOT_AGAIN = "not within {cap_s} s"
COLUMNS: dict[str, tuple[Column, ...]] = {
    "drain": (
        Column("jobs", "jobs", whole),
        Column("jobs/s", "jobs_per_second", whole, spread=True),
        *COST,
        Column("ran twice", "ran_twice", whole),
    ),
    "enqueue": (
        Column("one by one, jobs/s", "jobs_per_second", whole, spread=True),
        Column("producer CPU us/job", "producer_us", whole),
        Column("server CPU us/job", "server_us", whole),
        Column("commands/job", "commands", count),
        Column("round trips/job", "round_trips", count),
        Column("bytes/queued job", "bytes", whole),
        Column("in bulk, jobs/s", "bulk_jobs_per_second", whole, spread=True, absent="no bulk call"),
        Column("producer CPU us/job in bulk", "bulk_producer_us", whole),
    ),
    "latency": (
        Column("jobs", "jobs", whole),
        Column("gap ms", "gap_ms", whole),
        Column("p50 ms", "p50_ms", fine, spread=True),
        Column("p99 ms", "p99_ms", fine, spread=True),
    ),
    "naps": (
        Column("jobs", "jobs", whole),
        Column("jobs/s", "jobs_per_second", whole, spread=True),
        *COST,
        Column("ran twice", "ran_twice", whole),
    ),
    "slow": (
        Column("quick jobs", "jobs", whole),
        Column("longest wait of a quick one, ms", "wait_ms", fine, spread=True),
        Column("all quick ones done after s", "all_quick_s", fine),
    ),
    "idle": (
        Column("queues", "queues", whole),
        Column("commands/s", "commands_per_second", fine),
        Column("CPU %", "cpu_percent", lambda value: f"{value:.2f}"),
        Column("server CPU %", "server_cpu_percent", lambda value: f"{value:.2f}"),
        Column("processes", "processes", whole),
        Column("resident MB", "resident_mb", whole),
        Column("commands in a window", "which", plain),
    ),
    "child": (Column("running again after s", "again_s", fine, spread=True, absent=NOT_AGAIN),),
    "recovery": (
        Column("running again after s", "again_s", fine, absent=NOT_AGAIN),
        Column("finished", "finished", lambda value: "yes" if value else "no"),
    ),
}


def markdown(headings: list[str], rows: list[list[str]]) -> list[str]:
    """A table."""
    lines = [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *rows)]
    return [line.replace("  ", " ") for line in lines]


def table(run: Run) -> list[str]:
    """Medians; a contender that failed has its error instead, or beside the rounds that went well."""
    columns, rows = COLUMNS[run.scenario], []
    for row in run.medians():
        failed = f"failed: {plain(row['error'])}" if "error" in row else ""
        lived = any(column.figure in row for column in columns)
        cells = [column.cell(run, row) for column in columns] if lived else [failed] + [""] * (len(columns) - 1)
        name = row["contender"] + (f" ({failed} in some rounds)" if failed and lived else "")
        rows.append([f"**{name}**" if row["peer"] == "atomiq" else name, *cells])
    return markdown(["", *(column.heading for column in columns)], rows)
