"""`atomiq enqueue`."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import click

from atomiq._core.ids import validate_job_id
from atomiq._core.ttl import check_keep, check_timeout, check_ttl, parse_timeout
from atomiq._core.values import Retry
from atomiq.cli.arguments import parse_arguments
from atomiq.cli.options import Command, Settings, shared_options

SCHEDULE_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"


def checked(check: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """An option whose value a rule of the core accepts or refuses."""

    def convert(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
        if value is None:
            return None
        try:
            return check(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return convert


def _delay(text: str) -> timedelta:
    return timedelta(seconds=parse_timeout(text) or 0)


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, SCHEDULE_FORMAT)  # noqa: DTZ007 - RQ's rule: local time
    except ValueError:
        raise ValueError(f"{text!r} is not a local time like 2021-05-27T21:45:00") from None


def _job_id(text: str) -> str:
    validate_job_id(text)
    return text


@click.command(cls=Command)
@click.option("--queue", "-q", default="default", show_default=True, help="Name of the queue that the job waits in.")
@click.option(
    "--timeout",
    metavar="DURATION",
    callback=checked(lambda text: check_timeout(text, "timeout")),
    help="How long the job may run: 90, 90s, 5m, 2h, 1d; -1 for no limit.  [default: 3m]",
)
@click.option(
    "--result-ttl",
    metavar="DURATION",
    callback=checked(lambda text: check_keep(text, "result-ttl")),
    help="How long a success and its result are kept; -1 for ever.  [default: what the worker says, 500 s]",
)
@click.option(
    "--ttl",
    metavar="DURATION",
    callback=checked(lambda text: check_ttl(text, "ttl")),
    help="How long the job may wait before it is dropped.  [default: no limit]",
)
@click.option(
    "--failure-ttl",
    metavar="DURATION",
    callback=checked(lambda text: check_keep(text, "failure-ttl")),
    help="How long a failure is kept; -1 for ever.  [default: 365d]",
)
@click.option("--description", help="Text shown for the job instead of the call.")
@click.option("--depends-on", multiple=True, metavar="ID", help="A job that has to finish first. Repeatable.")
@click.option("--job-id", metavar="ID", callback=checked(_job_id), help="Id of the job. Default: a new one.")
@click.option("--at-front", is_flag=True, help="At the front of the queue, not at its end.")
@click.option("--retry-max", type=int, default=0, show_default=True, help="How often a failure is retried.")
@click.option(
    "--retry-interval",
    type=click.IntRange(min=0),
    multiple=True,
    default=[0],
    show_default=True,
    help="Seconds before a retry. Repeatable: the first retry, the second and so on.",
)
@click.option(
    "--schedule-in", metavar="DURATION", callback=checked(_delay), help="Run not before this has passed: 10s, 5m, 2d."
)
@click.option(
    "--schedule-at",
    metavar="TIME",
    callback=checked(_moment),
    help="Run not before this local time, like 2021-05-27T21:45:00.",
)
@click.option("--quiet", is_flag=True, help="Print nothing unless it fails.")
@click.argument("function")
@click.argument("arguments", nargs=-1)
@shared_options
def enqueue(
    settings: Settings,
    function: str,
    arguments: tuple[str, ...],
    queue: str,
    retry_max: int,
    retry_interval: tuple[int, ...],
    schedule_in: timedelta | None,
    schedule_at: datetime | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Enqueue a call of FUNCTION, a dotted name that the worker imports.

    \b
    ARGUMENTS:  text  name=text           texts
                :[1,2]  name:={"a":1}     JSON
                %(1,2)  name%=None        Python literals
    A value that starts with @ is the content of that file.

    Exit code 0, 1 after any error, 2 for a wrong call.
    """
    if "." not in function and not hasattr(builtins, function):
        raise click.UsageError(f"{function!r} is not a dotted name such as package.module.function")
    args, kwargs = parse_arguments(arguments)
    if schedule_in is not None and schedule_at is not None:
        raise click.UsageError("You can't specify both --schedule-in and --schedule-at")
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if "timeout" in given:
        given["job_timeout"] = given.pop("timeout")
    if "depends_on" in given:
        given["depends_on"] = list(given["depends_on"])
    if retry_max > 0:
        given["retry"] = Retry(retry_max, list(retry_interval))
    target = settings.make_queue(queue)
    if schedule_in is not None:
        job = target.enqueue_in(schedule_in, function, args=args, kwargs=kwargs, **given)
    elif schedule_at is not None:
        job = target.enqueue_at(schedule_at, function, args=args, kwargs=kwargs, **given)
    else:
        job = target.enqueue(function, args=args, kwargs=kwargs, **given)
    if not quiet:
        call = click.style(job.get_call_string() or function, fg="blue")
        click.echo(f"Enqueued {call} with job-id '{job.id}'.")
