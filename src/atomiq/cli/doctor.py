"""`atomiq doctor`: what is wrong in the database, and mending it. Exit code 0 when all is well, 1 for faults."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Final

import click

from atomiq.cli.options import Command, Settings, shared_options
from atomiq.doctor import Finding, Repair, Report, examine, repair
from atomiq.doctor.examination import GRACE, OVERDUE, OVERDUE_RQ

SHOWN_EVERY: Final = 0.5
TITLES = {
    "fault": ("faults", "red"),
    "leftover": ("leftovers: of what expired; whoever meets them removes them", "yellow"),
    "note": ("notes: as it should be, but worth knowing", "cyan"),
}


@click.command(cls=Command)
@click.option("--repair", "wants_repair", is_flag=True, help="Mend what was found; without --yes only say how.")
@click.option("--yes", is_flag=True, help="With --repair: really do it.")
@click.option("--dry-run", is_flag=True, help="With --repair: only say what would be done (the default).")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.option("--all", "show_all", is_flag=True, help="Show every finding, not only the first ten of a kind.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=GRACE,
    show_default=True,
    help="Seconds after which what looks wrong must still be so.",
)
@click.option(
    "--overdue",
    type=click.FloatRange(min=0),
    default=OVERDUE,
    show_default=True,
    help="Seconds after which a worker should have seen that a lease is over.",
)
@click.option(
    "--overdue-rq",
    type=click.FloatRange(min=0),
    default=OVERDUE_RQ,
    show_default=True,
    help="The same for executions of RQ's workers.",
)
@shared_options
def doctor(
    settings: Settings,
    wants_repair: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    show_all: bool,
    grace: float,
    overdue: float,
    overdue_rq: float,
) -> None:
    """Look for all that is wrong in the database, beside running workers. Looking changes nothing.

    Exit code 0 if no faults are left, 1 if there are some, 2 for a wrong call.
    """
    if (yes or dry_run) and not wants_repair:
        raise click.UsageError("--yes and --dry-run go with --repair")
    if yes and dry_run:
        raise click.UsageError("--yes and --dry-run exclude each other")
    with progress("looking") as tell:
        report = examine(settings.connection, grace=grace, overdue=overdue, overdue_rq=overdue_rq, tell=tell)
    repairs: list[Repair] | None = None
    if wants_repair:
        with progress(f"mending, {len(report.findings):,} findings") as tell:
            repairs = repair(
                settings.connection, report, dry_run=not yes, overdue=overdue, overdue_rq=overdue_rq, tell=tell
            )
    if as_json:
        click.echo(json.dumps(as_data(report, repairs), indent=2))
    else:
        for line in lines(report, repairs, show_all):
            click.echo(line)
    if is_ill(report, repairs):
        raise click.exceptions.Exit(1)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int], None] | None]:
    """Shows a person who waits at a terminal that something goes on; nothing where stderr is none."""
    if not sys.stderr.isatty():
        yield None
        return
    shown = time.monotonic()

    def tell(commands: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > SHOWN_EVERY:
            shown = time.monotonic()
            click.echo(f"\r{what}: {commands:,} commands", nl=False, err=True)

    try:
        yield tell
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)


def is_ill(report: Report, repairs: Sequence[Repair] | None) -> bool:
    """Whether faults are left."""
    if repairs is None:
        return not report.healthy
    gone = ("mended", "healed")
    return any(done.finding.severity == "fault" and done.outcome not in gone for done in repairs)


def as_data(report: Report, repairs: Sequence[Repair] | None) -> dict[str, object]:
    """The report for JSON, with what was done about it."""
    data = report.to_dict()
    if repairs is not None:
        data["repairs"] = [done.to_dict() for done in repairs]
    return data


def lines(report: Report, repairs: Sequence[Repair] | None, show_all: bool) -> Iterator[str]:
    """The report as text."""
    if report.kinds or not report.findings:  # else a key of a wrong type broke the look off, and nothing was counted
        total = sum(report.statuses.values())
        counted = ", ".join(f"{count:,} {status}" for status, count in sorted(report.statuses.items()))
        yield f"{total:,} jobs{': ' + counted if counted else ''}"
    yield from size_lines(report)
    if report.suspended:
        yield "workers are suspended"
    if report.outlived:
        yield f"{report.outlived:,} entries of registries have outlived their time; the next upkeep removes them"
    for severity, findings in groupby(report.findings, key=lambda finding: finding.severity):
        title, color = TITLES[severity]
        yield ""
        yield click.style(title, fg=color, bold=True)
        yield from finding_lines(list(findings), show_all)
    if repairs:
        yield ""
        yield from repair_lines(repairs)
    yield ""
    faults = len(report.faults)
    yield f"{faults:,} faults" if faults else click.style("healthy", fg="green")
    yield f"({report.seconds:.1f} s, {report.commands:,} commands, the slowest {report.slowest_ms:.1f} ms)"


def size_lines(report: Report) -> Iterator[str]:
    """How many keys of each kind, and how large."""
    for kind, count in sorted(report.kinds.items(), key=lambda row: (-(row[1].bytes or 0), row[0])):
        yield f"  {kind:<18}{count.keys:>12,} keys{size_text(count.bytes):>12}"


def size_text(size: int | None) -> str:
    """Bytes for people."""
    if size is None:
        return ""
    return f"{size / 1_000_000:,.1f} MB" if size >= 100_000 else f"{size / 1000:,.1f} kB"


def finding_lines(findings: list[Finding], show_all: bool) -> Iterator[str]:
    """The findings of one severity, by kind."""
    for kind, group in groupby(findings, key=lambda finding: finding.kind):
        same = list(group)
        shown = same if show_all else same[:10]
        yield f"  {kind}: {len(same):,}"
        for finding in shown:
            yield f"    {finding.text}" + (f" -> {finding.remedy}" if finding.remedy else "")
        if len(same) > len(shown):
            yield f"    and {len(same) - len(shown):,} more (--all shows them)"


def repair_lines(repairs: Sequence[Repair]) -> Iterator[str]:
    """What became of the findings."""
    outcomes: Counter[str] = Counter(done.outcome for done in repairs)
    if outcomes["planned"]:
        yield f"{outcomes['planned']:,} findings would be mended; --repair --yes does it"
    for outcome, text in (
        ("mended", "mended"),
        ("healed", "were well again by themselves"),
        ("changed", "left alone: they have moved since; look again"),
        ("left", "left for you to decide"),
    ):
        if outcomes[outcome]:
            yield f"{outcomes[outcome]:,} {text}"
