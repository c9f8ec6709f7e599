"""`atomiq cron CONFIG_PATH`, and what can be done with entries: list, run, pause, resume, history."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import click

from atomiq._core.settings import REHEARSAL_VARIABLE
from atomiq._core.timestamp import from_unix
from atomiq.cli.options import Command, Settings, shared_options, wants_traceback, with_folder
from atomiq.cron import CronEntry, CronScheduler, get_entries, pause_entry, resume_entry, run_entry
from atomiq.cron.beside import scheduler_beside, working
from atomiq.cron.entries import history_of

START: Final = "start"
LEVELS: Final = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class CronCommands(click.Group):
    """`atomiq cron [OPTIONS] CONFIG_PATH` as RQ has it, unless the first word that is no option names a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._with_command(ctx, args))

    def _with_command(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and (args[0] in self.commands or args[0] in ctx.help_option_names):
            return args
        start = self.commands[START]
        with click.Context(start, info_name=START, parent=ctx, resilient_parsing=True) as trial:
            parser = start.make_parser(trial)
            parser.allow_interspersed_args = False
            said, _, _ = parser.parse_args(with_folder(args))
        word = said.get("config_path")
        if not isinstance(word, str) or word not in self.commands or "--" in args:
            return [START, *args]
        rest = list(args)
        rest.remove(word)
        return [word, *rest]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in super().list_commands(ctx) if name != START]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] CONFIG_PATH")
        formatter.write_usage(ctx.command_path, "COMMAND [OPTIONS] [ARGS]...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.commands[START].format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


class StartCommand(Command):
    """What `atomiq cron CONFIG_PATH` is; its own name is nobody's business, so errors show how the group is called."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            error.ctx = parent
            raise


@click.group(cls=CronCommands)
def cron() -> None:
    """Enqueue the jobs of the cron entries of CONFIG_PATH when it is their time, until told to stop.

    CONFIG_PATH is an absolute path, or a dotted name or relative path to import; a file named like one of the commands
    below is given with its suffix. Any number of these processes may run on one config: each tick is enqueued once.
    Exit code 0 after SIGINT or SIGTERM, 1 after any error, 2 for a wrong call.
    """


@cron.command(START, cls=StartCommand, hidden=True)
@click.option(
    "--logging-level",
    "-l",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="INFO",
    show_default=True,
    help="Level of the log.",
)
@click.argument("config_path")
@shared_options
def start(settings: Settings, config_path: str, logging_level: str) -> None:
    """Look after the entries of a config."""
    settings.configure_logging()
    scheduler = CronScheduler(settings.connection, logging_level.upper(), **classes_of(settings))
    with clear_about_config():
        scheduler.load_config_from_file(config_path)
    scheduler.start()


@cron.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@shared_options
def list_(settings: Settings, as_json: bool) -> None:
    """Show all entries: their schedule, last tick and next job."""
    entries = get_entries(settings.connection)
    if as_json:
        click.echo(json.dumps([shown(entry) for entry in entries], indent=2))
        return
    if not entries:
        click.echo("No cron entries.")
    for line in columns([("NAME", "SCHEDULE", "QUEUE", "NEXT", "LAST TICK", ""), *map(row, entries)]):
        click.echo(line)


@cron.command("run", cls=Command)
@click.argument("name")
@shared_options
def run(settings: Settings, name: str) -> None:
    """Enqueue a job of the entry NAME now. Its schedule stays as it is."""
    job = run_entry(name, settings.connection)
    called = job.called_name or name  # the entry's process may have another serializer
    click.echo(f"Enqueued {called} with job-id '{job.id}' to queue {job.origin}")


@cron.command("pause", cls=Command)
@click.argument("name")
@shared_options
def pause(settings: Settings, name: str) -> None:
    """Let the entry NAME enqueue nothing, until it is resumed."""
    changed = pause_entry(name, settings.connection)
    click.echo(f"Cron entry '{name}' {'is' if changed else 'was already'} paused.")


@cron.command("resume", cls=Command)
@click.argument("name")
@shared_options
def resume(settings: Settings, name: str) -> None:
    """Let the paused entry NAME go on, with the ticks from now."""
    changed = resume_entry(name, settings.connection)
    click.echo(f"Cron entry '{name}' {'is resumed' if changed else 'was not paused'}.")


@cron.command("history", cls=Command)
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@click.argument("name")
@shared_options
def history(settings: Settings, name: str, limit: int) -> None:
    """Show the jobs that came of the entry NAME, newest first."""
    found = history_of(name, settings.connection, limit)
    if not found:
        click.echo(f"No job has come of cron entry '{name}' yet.")
        return
    rows = [("ENQUEUED", "JOB", "STATUS")]
    rows += [(time_text(from_unix(at)), job_id, status or "gone") for job_id, at, status in found]
    for line in columns(rows):
        click.echo(line)


@contextmanager
def cron_beside(settings: Settings, config_path: str, level: str | None) -> Iterator[None]:
    """The cron entries of a config looked after by this process, beside what it does in the block."""
    with clear_about_config():
        scheduler = scheduler_beside(settings.connection, config_path, level or "INFO", **classes_of(settings))
    if REHEARSAL_VARIABLE in os.environ:
        yield
    else:
        with working(scheduler):
            yield


def classes_of(settings: Settings) -> dict[str, Any]:
    """What --queue-class, --job-class and --serializer say."""
    return {"queue_class": settings.queue, "job_class": settings.job, "serializer": settings.serializer_object}


@contextmanager
def clear_about_config() -> Iterator[None]:
    """A config that can't be used ends the command with a line, and exit code 1."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        if wants_traceback(click.get_current_context()):
            raise
        raise click.ClickException(f"{type(error).__name__}: {error}") from error


def row(entry: CronEntry) -> tuple[str, ...]:
    """An entry as a line of the list."""
    notes = [
        "paused" if entry.paused else "",
        "" if entry.alive else "no cron process looks after it",
        f"{time_text(entry.waiting)} waits" if entry.waiting else "",
    ]
    job = entry.job
    when = f"every {job.interval:g} s" if job.interval else f"{job.cron} ({job.timezone})"
    note = ", ".join(note for note in notes if note)
    return (entry.name, when, job.queue_name, time_text(entry.next), time_text(entry.latest), note)


def shown(entry: CronEntry) -> dict[str, Any]:
    """An entry as JSON shows it."""
    job = entry.job
    return {
        "name": entry.name,
        "func_name": job.func_name,
        "queue": job.queue_name,
        "interval": job.interval,
        "cron": job.cron,
        "timezone": str(job.timezone),
        "jitter": job.jitter,
        "missed": job.missed,
        "overlap": job.overlap,
        "next": iso(entry.next),
        "latest": iso(entry.latest),
        "waiting": iso(entry.waiting),
        "paused": entry.paused,
        "alive": entry.alive,
        "seen": iso(entry.seen),
        "last_job_id": entry.last_job_id,
    }


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def time_text(moment: datetime | None) -> str:
    """A time with its offset from UTC, to the second."""
    return "-" if moment is None else moment.isoformat(" ", "seconds")


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows as lines, in columns as wide as they have to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
