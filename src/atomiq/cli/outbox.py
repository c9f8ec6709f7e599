"""`atomiq outbox`: make the outbox's table, look at it, clear it up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from atomiq import outbox as rows_of
from atomiq._core.ttl import parse_timeout
from atomiq.cli.relay import database_option
from atomiq.outbox import OutboxRow
from atomiq.outbox.trouble import in_our_words


class Commands(click.Group):
    """Commands whose database may refuse them."""

    def invoke(self, ctx: click.Context) -> Any:
        with in_our_words():
            return super().invoke(ctx)


@click.group(cls=Commands)
def outbox() -> None:
    """The outbox of a database: jobs that transactions have written, and relays have not sent yet."""


@outbox.command()
@database_option
def create(database: str) -> None:
    """Make the tables atomiq_outbox and atomiq_outbox_meta, where they are missing."""
    rows_of.create(database)
    click.echo("the outbox is there")


@outbox.command(name="list")
@database_option
@click.option("--parked/--waiting", default=None, help="Only these.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Figures and rows as JSON.")
def list_rows(database: str, parked: bool | None, limit: int, as_json: bool) -> None:
    """Show how many rows wait and are parked, and the first of them."""
    figures, found = rows_of.figures(database), rows_of.rows(database, parked=parked, many=limit)
    if as_json:
        click.echo(json.dumps({**figures._asdict(), "rows": [row._asdict() for row in found]}, indent=2))
        return
    click.echo(f"{figures.waiting:,} waiting (the oldest for {figures.lag:.1f} s), {figures.parked:,} parked")
    for row in found:
        click.echo(line_of(row))


def line_of(row: OutboxRow) -> str:
    """One row for people."""
    written = datetime.fromtimestamp(row.created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    route = f" route {row.route}" if row.route else ""
    state = (
        f"parked: {row.reason}" if row.is_parked else "waiting" + (f", tried {row.tries} times" if row.tries else "")
    )
    return f"{row.id:>8} {written} {row.queue}{route} {row.job_id} {state}"


@outbox.command()
@database_option
def metrics(database: str) -> None:
    """Print the figures as Prometheus reads them (for a textfile collector, or behind an HTTP server of yours)."""
    click.echo(rows_of.metrics(database), nl=False)


@outbox.command()
@database_option
@click.option(
    "--older-than", default="0s", metavar="TIME", help="Parked at least so long ago: 90, 1h, 7d. Default: all."
)
def prune(database: str, older_than: str) -> None:
    """Delete parked rows. Their jobs are gone then."""
    rows_of.prune(database, timedelta(seconds=parse_timeout(older_than) or 0))
    click.echo(f"{rows_of.figures(database).parked:,} parked rows are left")


@outbox.command()
@database_option
@click.argument("ids", type=int, nargs=-1, required=True)
def retry(database: str, ids: tuple[int, ...]) -> None:
    """Have parked rows sent after all, once what was wrong is mended."""
    retried = rows_of.retry(database, ids)
    click.echo(f"{rows_of.figures(database).parked:,} parked rows are left")
    if unknown := [str(each) for each in dict.fromkeys(ids) if each not in retried]:
        raise click.ClickException(f"no row of this id is parked: {', '.join(unknown)} (atomiq outbox list --parked)")
