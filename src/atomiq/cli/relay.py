"""`atomiq relay`: jobs out of a database's outbox into their queues."""

from __future__ import annotations

import logging
from typing import Any

import click

from atomiq.cli.options import Command, Settings, shared_options
from atomiq.outbox import Service
from atomiq.outbox.reading import ROWS
from atomiq.outbox.trouble import in_our_words


def database_option(command: Any, required: bool = True) -> Any:
    """Give a command `--database`."""
    return click.option(
        "--database",
        "-D",
        envvar="ATOMIQ_DATABASE",
        required=required,
        metavar="URL",
        help="Where the outbox is: postgresql://, mysql://, mariadb:// or sqlite:///PATH. Env: ATOMIQ_DATABASE.",
    )(command)


@click.command(cls=Command)
@database_option
@click.option(
    "--route",
    envvar="ATOMIQ_ROUTE",
    default="",
    help="Only rows of this route. Default: those without one. Env: ATOMIQ_ROUTE.",
)
@click.option("--burst", "-b", is_flag=True, help="End when no row is left that can be sent.")
@click.option("--batch", type=click.IntRange(1, ROWS), default=ROWS, show_default=True, help="Rows at a time at most.")
@click.option("--no-listen", is_flag=True, help="Don't have PostgreSQL notify it, only look (behind a pooler).")
@click.option("--quiet", "-q", is_flag=True, help="Only warnings and errors.")
@shared_options
def relay(settings: Settings, database: str, route: str, burst: bool, batch: int, no_listen: bool, quiet: bool) -> None:
    """Send the jobs that transactions have left in a database's outbox. Any number of relays may run.

    SIGTERM and Ctrl+C end it after the rows in hand. Rows that can't be sent are parked (atomiq outbox list).
    """
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(asctime)s %(message)s")
    service = Service(database, settings.connection, route, batch=batch, listens=not no_listen)
    undo = service.stop_at_signals()
    try:
        with in_our_words():
            total = service.run(burst=burst)
    finally:
        undo()
    if not quiet:
        click.echo(f"{total.sent} sent, {total.parked} parked, {total.postponed} put off")
