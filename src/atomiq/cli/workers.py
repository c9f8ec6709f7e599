"""`atomiq worker`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from atomiq._core.callref import import_attribute
from atomiq._core.errors import CredentialsRefused, ServerUnavailable
from atomiq._core.settings import REHEARSAL_VARIABLE
from atomiq._core.signature import signature_of
from atomiq.cli.options import Command, Settings, chosen, shared_options
from atomiq.cli.worker_values import check_format, imported, logging_level, strategy_named
from atomiq.defaults import (
    DEFAULT_JOB_MONITORING_INTERVAL,
    DEFAULT_LEASE,
    DEFAULT_LOGGING_DATE_FORMAT,
    DEFAULT_LOGGING_FORMAT,
    DEFAULT_MAINTENANCE_TASK_INTERVAL,
    DEFAULT_MAX_ABANDONED,
    DEFAULT_RESULT_TTL,
    DEFAULT_WORKER_TTL,
)
from atomiq.suspension import is_suspended
from atomiq.worker import RandomWorker, RoundRobinWorker
from atomiq.worker.reload import awaited
from atomiq.worker.signals import SHUTDOWN_SIGNALS, hangups_remembered

AGAIN = 1.0
"""Seconds until a worker that is executed anew looks for the server once more."""

OWN_OPTIONS = (
    "lease",
    "max_abandoned",
    "abandoned",
    "grace",
    "kill_after",
    "executor",
    "concurrency",
    "max_jobs_per_child",
    "max_memory_per_child",
    "memory_limit",
    "health_port",
)


class WorkerCommand(Command):
    """`-c 4` is the concurrency; `-c settings` is RQ's config module, whose name can't be a number."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.with_resource(hangups_remembered())  # early: what --import names may take seconds
        return super().parse_args(ctx, with_concurrency(args))


def with_concurrency(args: Sequence[str]) -> list[str]:
    """The arguments with `-c N` spelt out."""
    done = list(args)
    for at, word in enumerate(done):
        if word == "--":
            break
        if word == "-c" and at + 1 < len(done) and done[at + 1].isdecimal():
            done[at] = "--concurrency"
        elif word.startswith("-c") and word[2:].isdecimal():
            done[at] = f"--concurrency={word[2:]}"
    return done


@click.command(cls=WorkerCommand)
@click.option("--burst", "-b", is_flag=True, help="End when all queues are empty.")
@click.option(
    "--logging_level",
    "--logging-level",
    metavar="LEVEL",
    help="Level of the log: DEBUG, INFO, WARNING, ERROR or CRITICAL.  [default: INFO]",
)
@click.option("--log-format", default=DEFAULT_LOGGING_FORMAT, show_default=True, help="Format of a line of the log.")
@click.option(
    "--date-format", default=DEFAULT_LOGGING_DATE_FORMAT, show_default=True, help="Format of the time in the log."
)
@click.option(
    "--name",
    "-n",
    help="Name of the worker, which no other living one may have. "
    "Default: NAME in the config module, else a random one.",
)
@click.option(
    "--results-ttl",
    type=int,
    default=DEFAULT_RESULT_TTL,
    show_default=True,
    help="Seconds that results are kept for jobs that don't say.",
)
@click.option(
    "--worker-ttl",
    type=int,
    default=DEFAULT_WORKER_TTL,
    show_default=True,
    help="Seconds after which a silent worker is not shown any more.",
)
@click.option(
    "--maintenance-interval",
    type=int,
    default=DEFAULT_MAINTENANCE_TASK_INTERVAL,
    show_default=True,
    help="Seconds between two cleanings of the registries.",
)
@click.option(
    "--job-monitoring-interval",
    type=int,
    default=DEFAULT_JOB_MONITORING_INTERVAL,
    show_default=True,
    help="Accepted; here the lease decides how often a worker reports.",
)
@click.option("--disable-job-desc-logging", is_flag=True, help="Log no descriptions of jobs.")
@click.option("--verbose", "-v", is_flag=True, help="Log more: the level DEBUG.")
@click.option("--quiet", "-q", is_flag=True, help="Log only warnings and errors: the level WARNING.")
@click.option(
    "--exception-handler",
    multiple=True,
    metavar="PATH",
    help="Dotted name of a function that is called when a job fails. Repeatable.",
)
@click.option("--pid", metavar="FILE", help="Write the process id to this file.")
@click.option(
    "--disable-default-exception-handler",
    "-d",
    is_flag=True,
    help="Accepted; a failed job is always among the failed ones.",
)
@click.option("--max-jobs", type=int, help="End after so many jobs.")
@click.option("--max-idle-time", type=int, help="End after so many seconds without a job.")
@click.option("--with-scheduler", "-s", is_flag=True, help="Accepted; every worker moves what is due.")
@click.option(
    "--dequeue-strategy",
    "-ds",
    default="default",
    show_default=True,
    metavar="STRATEGY",
    help="Which queue is asked first: default, in the order given; round_robin; random.",
)
@click.option(
    "--executor",
    metavar="KIND",
    envvar="ATOMIQ_EXECUTOR",
    show_envvar=True,
    help="process (default): warm children. fork: a fresh child for each job. spawn, thread, async, inline; or several "
    "with their concurrency: process:2,async:100.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    envvar="ATOMIQ_CONCURRENCY",
    show_envvar=True,
    help="Jobs at a time; also -c N (-c with anything but a number is RQ's --config). Default: 1; thread 8, async 100.",
)
@click.option(
    "--import",
    "imports",
    multiple=True,
    metavar="MODULE",
    help="Import this before the children are made, so that they start with it. Repeatable.",
)
@click.option("--max-jobs-per-child", type=click.IntRange(min=1), help="Replace a warm child after so many jobs.")
@click.option("--max-memory-per-child", metavar="SIZE", help="Replace a warm child above so much memory, e.g. 512M.")
@click.option(
    "--memory-limit", metavar="SIZE", help="Kill a child that uses more in the middle of a job; the job fails."
)
@click.option("--reload", is_flag=True, help="Use changed code at once, as after SIGHUP: for development.")
@click.option(
    "--health-port",
    metavar="ADDRESS",
    envvar="ATOMIQ_HEALTH_PORT",
    show_envvar=True,
    help="Answer probes at /live and /ready: 8080 (this machine), :8080 (from anywhere), unix:/path.",
)
@click.option("--with-cron", metavar="CONFIG", help="Look after this config's cron entries too, see `atomiq cron`.")
@click.option(
    "--lease",
    type=click.FloatRange(min=0, min_open=True),
    envvar="ATOMIQ_LEASE",
    show_envvar=True,
    help=f"Seconds of silence after which a worker's jobs are run elsewhere. Default: {DEFAULT_LEASE:g}.",
)
@click.option(
    "--max-abandoned",
    type=click.IntRange(min=0),
    envvar="ATOMIQ_MAX_ABANDONED",
    show_envvar=True,
    help=f"How often a job may lose its worker before it is failed. Default: {DEFAULT_MAX_ABANDONED}.",
)
@click.option(
    "--abandoned",
    type=click.Choice(["retry", "fail"]),
    envvar="ATOMIQ_ABANDONED",
    show_envvar=True,
    help="What becomes of a job that lost its worker: run again (default), or RQ's way.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    envvar="ATOMIQ_GRACE",
    show_envvar=True,
    help="Seconds that running jobs get at a shutdown; then they are given back. Default: no limit.",
)
@click.option(
    "--kill-after",
    type=click.FloatRange(min=0),
    envvar="ATOMIQ_KILL_AFTER",
    show_envvar=True,
    help="Seconds between a job's time limit and the kill of its child. Default: 60.",
)
@click.argument("queues", nargs=-1)
@shared_options
def worker(
    settings: Settings,
    queues: tuple[str, ...],
    name: str | None,
    burst: bool,
    pid: str | None,
    dequeue_strategy: str,
    imports: tuple[str, ...],
    **given: Any,
) -> None:
    """Run jobs of QUEUES (default: QUEUES in the config module, else `default`), the first queue first, until told to
    stop.

    SIGINT or SIGTERM: finish what runs, then end; a second one ends at once, and what ran is run again.
    Exit code 0 after an ordered end, 1 after any error, 2 for a wrong call.
    """
    check_format(given["log_format"])
    level = logging_level(given.pop("verbose"), given.pop("quiet"), given.pop("logging_level"))
    strategy = strategy_named(dequeue_strategy)
    for module in imports:
        imported(module)
    handlers = [chosen(path, import_attribute, "--exception-handler") for path in given.pop("exception_handler")]
    settings.configure_logging()
    warn_about_class(settings.worker)
    if pid:
        try:
            Path(pid).expanduser().write_text(str(os.getpid()))
        except OSError as error:
            raise click.FileError(pid, error.strerror) from error
    names = queues or settings.queues_of_config or ("default",)
    connection = reached(settings)
    for warning in settings.server.warnings:
        click.secho(f"WARNING: {warning}", fg="yellow", err=True)
    if REHEARSAL_VARIABLE not in os.environ and not awaited():  # a worker that was there before waits
        refuse_while_suspended(connection)
    own = {name: given[name] for name in OWN_OPTIONS if given[name] is not None}
    if imports:
        own["imports"] = imports
    if given.pop("reload"):
        own["watched"] = settings.path
    made = make_worker(
        settings.worker,
        [settings.make_queue(queue) for queue in names],
        name=name or name_of_config(settings),
        connection=connection,
        default_result_ttl=given["results_ttl"],
        worker_ttl=given["worker_ttl"],
        maintenance_interval=given["maintenance_interval"],
        job_monitoring_interval=given["job_monitoring_interval"],
        job_class=settings.job,
        queue_class=settings.queue,
        exception_handlers=handlers or None,
        disable_default_exception_handler=given["disable_default_exception_handler"],
        log_job_description=not given["disable_job_desc_logging"],
        serializer=settings.serializer_object,
        **own,
    )
    made.reloads = hasattr(signal, "SIGHUP")
    with _cron_beside(settings, given["with_cron"], level):
        made.work(
            burst=burst,
            logging_level=level,
            date_format=given["date_format"],
            log_format=given["log_format"],
            max_jobs=given["max_jobs"],
            max_idle_time=given["max_idle_time"],
            with_scheduler=given["with_scheduler"],
            dequeue_strategy=strategy,
        )


def name_of_config(settings: Settings) -> str | None:
    """NAME, but not for a pool: those of several machines have one config, and RQ's pools don't look at it."""
    return None if click.get_current_context().command.name == "worker-pool" else settings.from_config.get("NAME")


def make_worker(worker_class: Any, queues: list[Any], **options: Any) -> Any:
    """The worker object. A class of the user's may take no other arguments than RQ's.

    Raises:
        click.UsageError: what the options say together makes no sense, or the class doesn't take them.
    """
    own, given = getattr(worker_class, "executor", None), options.get("executor")
    if own is not None and given is not None and given != own:
        raise click.UsageError(f"--executor {given} and --worker-class {worker_class.__name__} don't go together")
    try:
        signature_of(worker_class).bind(queues, **options)
    except TypeError as error:
        raise click.UsageError(f"{worker_class.__name__} doesn't take these options: {error}") from error
    try:
        return worker_class(queues, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def reached(settings: Settings) -> Any:
    """The connection. A worker that is executed anew (SIGHUP) waits for the server, as it would have without that: its
    children have jobs in hand.

    Raises:
        ServerUnavailable, CredentialsRefused: nobody is there, or lets us in, and the worker is new or is to end.
    """
    while True:
        try:
            return settings.connection
        except (ServerUnavailable, CredentialsRefused) as error:
            if not awaited() or signal.sigpending() & set(SHUTDOWN_SIGNALS):
                raise
            click.secho(f"WARNING: {error}; next try in {AGAIN:g} s", fg="yellow", err=True)
        time.sleep(AGAIN)


def refuse_while_suspended(connection: Any) -> None:
    """A worker isn't started while work is suspended; a pool is, and waits (RQ)."""
    if click.get_current_context().command is worker and is_suspended(connection):
        raise click.ClickException('atomiq is currently suspended, to resume job execution run "atomiq resume"')


def warn_about_class(worker_class: type[Any]) -> None:
    """Say which option replaces a class whose only purpose is the order of the queues."""
    for deprecated, strategy in ((RoundRobinWorker, "round_robin"), (RandomWorker, "random")):
        if issubclass(worker_class, deprecated):
            name = deprecated.__name__
            click.secho(f"WARNING: {name} is deprecated. Use `--dequeue-strategy {strategy}` instead.", fg="yellow")


def _cron_beside(settings: Settings, config_path: str | None, level: str | None) -> AbstractContextManager[None]:
    """Most workers have no cron entries, and don't import what these need."""
    if config_path is None:
        return nullcontext()
    beside: Callable[..., AbstractContextManager[None]] = import_attribute("atomiq.cli.cli_cron.cron_beside")
    return beside(settings, config_path, level)
