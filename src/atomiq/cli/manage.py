"""`atomiq requeue`, `empty`, `suspend` and `resume`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import click

from atomiq import suspension
from atomiq._commands.change import requeue as requeue_step
from atomiq._commands.views import view_time_ms
from atomiq._core.errors import AtomiqError, InvalidJobOperation, InvalidName, NoSuchJobError
from atomiq._core.ids import new_call_token, validate_job_id
from atomiq._wire.sync import Store
from atomiq.cli.options import Command, Settings, shared_options
from atomiq.registry import FailedJobRegistry
from atomiq.registry.members import FIRST, last_place, places_from

PAGE: Final = 1_000
"""Ids that are read, and known here, at a time."""


@click.command(cls=Command)
@click.option("--all", "-a", "all", is_flag=True, help="Requeue all failed jobs of the queue.")
@click.option("--queue", required=True, help="Name of the queue that the jobs came from.")
@click.argument("job_ids", nargs=-1)
@shared_options
def requeue(settings: Settings, queue: str, job_ids: tuple[str, ...], all: bool = False) -> None:  # noqa: A002  RQ's name
    """Put failed jobs back into their queue: JOB_IDS, or all.

    Exit code 0; 1 when one could not be requeued (the others are), and after any error; 2 for a wrong call.
    """
    registry = FailedJobRegistry(queue=settings.make_queue(queue))
    count = _count_all(registry) if all else len(job_ids)
    if not count:
        click.echo("Nothing to do")
        return
    click.echo(f"Requeueing {count} jobs from failed queue")
    with click.progressbar(_all_requeued(registry) if all else _requeued(registry, job_ids), length=count) as bar:
        # A job that was requeued or deleted since the list was read is nobody's mistake.
        passed_over = (InvalidJobOperation, NoSuchJobError) if all else ()
        refused = [str(error) for error in bar if error is not None and not isinstance(error, passed_over)]
    for reason in refused:
        click.secho(reason, fg="red", err=True)
    if refused:
        raise click.ClickException(f"Unable to requeue {len(refused)} jobs from failed job registry")


def _count_all(registry: FailedJobRegistry) -> int:
    """How many jobs there are to requeue; those whose time is over are forgotten first."""
    return registry.get_job_count(cleanup=False) if registry.get_job_ids(0, 0) else 0


def _all_requeued(registry: FailedJobRegistry) -> Iterator[AtomiqError | None]:
    """Requeue all that failed before now. One that fails again meanwhile stays where it is then."""
    store = Store.of(registry.connection)
    since_ms = store.run(view_time_ms())
    for page in _pages(store, registry.key):
        yield from _requeued(registry, page, since_ms)


def _pages(store: Store, key: str) -> Iterator[list[str]]:
    """The ids of a registry, in its order, up to the one that is the last now; a page of them at a time.

    A page begins where the last one ended, whatever has left the registry meanwhile or has come.
    """
    at, skip = FIRST, 0
    for end in store.run(last_place(key)):
        while places := store.run(places_from(key, at.score, end.score, skip, PAGE)):
            fresh = [place for place in places if place > at]
            # Of those with the same score a whole page may have been refused before: what follows is behind it.
            at, skip = (fresh[-1], 0) if fresh else (at, skip + PAGE)
            yield [place.member for place in fresh]
            if len(places) < PAGE:
                break


def _requeued(
    registry: FailedJobRegistry, job_ids: Sequence[str], since_ms: int | None = None
) -> Iterator[AtomiqError | None]:
    """Requeue one after the other; of each, what refuses it. The next is sent while the server works on one.

    Those that were enqueued at `since_ms` or later are refused.
    """
    fit: list[str] = []
    for job_id in job_ids:
        bad = _refusal(validate_job_id, job_id)  # RQ took any text for an id once
        if bad is None:
            fit.append(job_id)
        else:
            yield bad
    store = Store.of(registry.connection)
    steps = (
        requeue_step(store.keys, job_id=each, registry=registry.key, since_ms=since_ms, token=new_call_token())
        for each in fit
    )
    for job_id, changed in zip(fit, store.run_in_turn(steps), strict=True):
        yield _refusal(registry.check_requeued, job_id, changed)


def _refusal(check: Callable[..., Any], *about: Any) -> AtomiqError | None:
    try:
        check(*about)
    except (InvalidJobOperation, NoSuchJobError, InvalidName) as error:
        return error
    return None


@click.command(cls=Command)
@click.option("--all", "-a", "all", is_flag=True, help="Empty all queues.")
@click.argument("queues", nargs=-1)
@shared_options
def empty(settings: Settings, queues: tuple[str, ...], all: bool = False) -> None:  # noqa: A002  RQ's name
    """Delete the jobs that wait in QUEUES, or in all queues."""
    chosen: list[Any] = settings.named_queues(() if all else queues) if all or queues else []
    if not chosen:
        click.echo("Nothing to do")
        return
    removed: Counter[str] = Counter()
    for queue in chosen:
        removed[queue.name] += queue.empty()
    for name, count in removed.items():
        click.echo(f"{count} jobs removed from {name} queue")


@click.command(cls=Command)
@click.option("--duration", type=int, help="Seconds until workers go on by themselves.  [default: until resumed]")
@shared_options
def suspend(settings: Settings, duration: int | None) -> None:
    """Let no worker of this server take a job; what runs is completed. RQ's workers obey too."""
    if duration is not None and duration < 1:
        click.echo("Duration must be an integer greater than 1")
        raise click.exceptions.Exit(1)
    suspension.suspend(settings.connection, duration)
    if duration is None:
        click.echo("Suspending workers.  No new jobs will be started.  But current jobs will be completed")
    else:
        click.echo(
            f"Suspending workers for {duration} seconds. No new jobs will be started during that time, but then will\n"
            "        automatically resume"
        )


@click.command(cls=Command)
@shared_options
def resume(settings: Settings) -> None:
    """Let workers take jobs again."""
    suspension.resume(settings.connection)
    click.echo("Resuming workers.")
