"""Calls into rows: what `Queue.enqueue` and its siblings make of them, without sending anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from atomiq._core.errors import InvalidOption
from atomiq._core.ids import new_call_token, validate_group_name
from atomiq._core.options import check_unique, take_requires
from atomiq._core.precondition import RequiresOption
from atomiq._core.record import NewJob
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import check_delay, check_due
from atomiq._core.values import EnqueueArgs, EnqueueData
from atomiq._wire.connect import connect
from atomiq._wire.target import find_target
from atomiq.outbox.rows import values_of
from atomiq.outbox.table import LONGEST_ROUTE
from atomiq.queue import Queue
from atomiq.queue.batch import in_order_of_dependencies

_NOT_OF_JOB = ("func", "at_front", "pipeline", "unique")


class Made(NamedTuple):
    """Jobs, and their rows as values."""

    jobs: list[Any]
    rows: list[dict[str, Any]]


def queue_of(queue: Any) -> Any:
    """The queue; one of this name on the server that the environment names, if it is given as a name."""
    return Queue(queue, connection=_connection(find_target().url)) if isinstance(queue, str) else queue


@lru_cache(maxsize=16)
def _connection(url: str) -> Any:
    return connect(url)


def check_route(route: str) -> str:
    """Raises InvalidOption: a ValueError; too long."""
    if len(route) > LONGEST_ROUTE:
        raise InvalidOption(f"route must be a text of at most {LONGEST_ROUTE} characters, not {route!r}")
    return route


def made_call(queue: Any, route: str, f: Callable[..., Any] | str, args: Any, kwargs: Any, due_ms: int = 0) -> Made:
    """What `Queue.enqueue` was given, as one row. Raises what `enqueue` raises for its arguments, PayloadTooLarge."""
    keywords, requires = take_requires(f, kwargs) if "requires" in kwargs else (kwargs, None)
    given = EnqueueArgs._make(queue.parse_args(f, *args, **keywords))
    if given.pipeline is not None:
        raise InvalidOption("outbox: pipeline can't be given, the job is written into the database")
    check_unique(given.unique, given.job_id, given.depends_on)
    job = _created(queue, given, requires)
    return made_job(queue, route, job, bool(given.at_front), bool(given.unique), due_ms)


def made_job(queue: Any, route: str, job: Any, at_front: bool, unique: bool, due_ms: int = 0) -> Made:
    """A job that somebody made, as one row of this queue."""
    new = queue.adopt(job, at_front, due_ms, unique)
    return Made([job], [values_of(new, unique, job.group_id or "", route)])


def made_many(queue: Any, route: str, job_datas: Iterable[EnqueueData], group_id: str | None) -> Made:
    """What `Queue.prepare_data` has made, as rows in an order in which none comes before one that it depends on."""
    if group_id is not None:
        validate_group_name(group_id)
    call, jobs, news = new_call_token(), [], []
    for data in job_datas:
        job, new = _of_data(queue, data, group_id, call)
        jobs.append(job)
        news.append(new)
    order = in_order_of_dependencies(news) or range(len(news))
    return Made(
        [jobs[position] for position in order],
        [values_of(news[position], False, group_id or "", route) for position in order],
    )


def _of_data(queue: Any, data: Any, group_id: str | None, call: str) -> tuple[Any, NewJob]:
    if not isinstance(data, EnqueueData):
        kind = type(data).__name__
        raise InvalidOption(f"outbox.enqueue_many takes a list of what Queue.prepare_data makes, not {kind}: {data!r}")
    job = _created(queue, data, getattr(data, "requires", None), group_id=group_id)
    return job, job.to_new_job(at_front=bool(data.at_front), call=call)


def _created(queue: Any, given: EnqueueArgs | EnqueueData, requires: RequiresOption, **more: Any) -> Any:
    """A job by way of the hook `create_job`, which may know no `requires`."""
    options = {name: value for name, value in given._asdict().items() if name not in _NOT_OF_JOB}
    if requires is not None:
        more["requires"] = requires
    return queue.create_job(given.func, status=JobStatus.QUEUED, **options, **more)


def due_at(moment: datetime) -> int:
    """Raises InvalidTime: a ValueError; not a datetime."""
    return check_due(moment)


def due_in(delay: timedelta) -> int:
    """Raises InvalidTime: a ValueError; not a timedelta."""
    return check_due(datetime.now(UTC) + check_delay(delay))
