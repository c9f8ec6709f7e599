"""`atomiq info`."""

from __future__ import annotations

import functools
import shutil
import sys
import time
from collections.abc import Callable

import click

from atomiq._wire.sync import Store
from atomiq.cli.detail import job_lines
from atomiq.cli.live import watch
from atomiq.cli.options import Command, Settings, shared_options
from atomiq.cli.relay import database_option
from atomiq.cli.shapes import page
from atomiq.cli.snapshot import Snapshot, names_to_show, take


@click.command(cls=Command)
@click.option(
    "--interval",
    "-i",
    type=click.FloatRange(min=0),
    help="Draw it anew every so many seconds, until Ctrl+C. 0: once.",
)
@click.option("--raw", "-r", is_flag=True, help="Print plain lines for scripts.")
@click.option("--only-queues", "-Q", is_flag=True, help="Show only the queues.")
@click.option("--only-workers", "-W", is_flag=True, help="Show only the workers.")
@click.option("--by-queue", "-R", is_flag=True, help="Show the workers by queue.")
@click.option("--job", "job_id", metavar="ID", help="Show all about one job instead.")
@functools.partial(database_option, required=False)
@click.argument("queues", nargs=-1)
@shared_options
def info(
    settings: Settings,
    queues: tuple[str, ...],
    interval: float | None,
    raw: bool,
    only_queues: bool,
    only_workers: bool,
    by_queue: bool,
    job_id: str | None,
    database: str | None,
) -> None:
    """Show queues and workers: QUEUES, or all. Looking changes nothing.

    Exit code 0, 1 after any error, 2 for a wrong call.
    """
    if job_id is not None:
        job = settings.job.fetch(job_id, connection=settings.connection, serializer=settings.serializer_object)
        for line in job_lines(job):
            click.echo(line)
        return
    store = Store.of(settings.connection)
    names = names_to_show(store, queues)

    def look() -> Snapshot:
        return take(store, names, only_of_queues=bool(queues), database=database)

    show_queues, show_workers = only_queues or not only_workers, not only_queues

    def print_page() -> None:
        width = shutil.get_terminal_size().columns
        for line in page(look(), raw=raw, by_queue=by_queue, queues=show_queues, workers=show_workers, width=width):
            click.echo(line)

    if not interval:
        print_page()
    elif sys.stdout.isatty() and not raw and not by_queue:
        until_interrupted(lambda: watch(look, interval, show_queues, show_workers))
    else:
        until_interrupted(lambda: repeat(print_page, interval))


def repeat(show: Callable[[], None], interval: float) -> None:
    """Show a page again and again, on a terminal in place of the one before."""
    while True:
        click.clear()
        show()
        sys.stdout.flush()
        time.sleep(interval)


def until_interrupted(action: Callable[[], None]) -> None:
    """Do it until Ctrl+C, which ends the line."""
    try:
        action()
    except KeyboardInterrupt:
        click.echo()
