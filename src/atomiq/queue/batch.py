"""The calls of one enqueue_many: all checked first, then sent in commands of a bounded size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from atomiq._core.errors import InvalidJobDependency, InvalidOption
from atomiq._core.record import NewJob
from atomiq._core.settings import BYTES_PER_ENQUEUE_COMMAND, JOBS_PER_ENQUEUE_COMMAND
from atomiq._core.states import JobStatus
from atomiq._core.values import EnqueueData, RequiringData

_BYTES_BESIDE_DATA = 500
CONDITIONS = ("ended", "finished", "failed")


class Follower(RequiringData):
    """A call that waits for the group that it is enqueued with, and is no member of it."""

    when: str

    @classmethod
    def of(cls, data: Any, when: str) -> Follower:
        """What `Queue.prepare_data` has made, to run when the group has ended, finished or failed.

        Raises:
            InvalidOption: a ValueError; something else, another condition, or dependencies of its own.
        """
        if when not in CONDITIONS:
            raise InvalidOption(f"when must be one of {', '.join(CONDITIONS)}, not {when!r}")
        if not isinstance(data, EnqueueData):
            kind = type(data).__name__
            raise InvalidOption(f"a job after a group is given as what Queue.prepare_data makes, not {kind}: {data!r}")
        if data.depends_on is not None:
            raise InvalidOption("a job that waits for a group can't have depends_on as well: let a group wait for all")
        follower = cls._make(data)
        follower.when, follower.requires = when, getattr(data, "requires", None)
        return follower


class Batch:
    """Jobs in an order in which none comes before one that it depends on; otherwise in the given order.

    Args:
        jobs: checked, their calls serialised, so that nothing can go wrong with them any more.
        news: what is sent of each; None for one that is made when its turn comes. Those have neither an id nor
            dependencies yet.
        call: token of the enqueue call.

    Raises:
        InvalidOption: a ValueError; two of them have the same id.
        InvalidJobDependency: they depend on each other in a circle.
    """

    def __init__(self, jobs: list[Any], news: list[NewJob | None], call: str) -> None:
        self._call = call
        order = in_order_of_dependencies(news)
        self.jobs = jobs if order is None else [jobs[position] for position in order]
        self._news = news if order is None else [news[position] for position in order]
        # Members first: one that waits for the group must not see it before all of them are in.
        if any(new is not None and new.after for new in self._news):
            pairs = sorted(zip(self.jobs, self._news, strict=True), key=lambda pair: bool(pair[1] and pair[1].after))
            self.jobs, self._news = [job for job, _ in pairs], [new for _, new in pairs]

    def parts(self) -> Iterator[tuple[list[Any], list[NewJob]]]:
        """Jobs, and what is sent of them, that one enqueue command may carry: bounded in number and, but for one job,
        in bytes."""
        start = size = 0
        for position, job in enumerate(self.jobs):
            more = _BYTES_BESIDE_DATA + len(job.data)
            if position > start and (
                position - start == JOBS_PER_ENQUEUE_COMMAND or size + more > BYTES_PER_ENQUEUE_COMMAND
            ):
                yield self._part(start, position)
                start, size = position, 0
            size += more
        if self.jobs:
            yield self._part(start, len(self.jobs))

    def _part(self, start: int, end: int) -> tuple[list[Any], list[NewJob]]:
        jobs = self.jobs[start:end]
        news = zip(jobs, self._news[start:end], strict=True)
        return jobs, [job.to_new_job(call=self._call) if new is None else new for job, new in news]

    def returned(self) -> list[Any]:
        """RQ's order: independent jobs, then dependents that wait, then dependents that may run already. Last come
        those that wait for the group."""
        if not any(new is not None and new.depends_on for new in self._news):
            return self.jobs
        independent: list[Any] = []
        waiting: list[Any] = []
        ready: list[Any] = []
        last: list[Any] = []
        for job, new in zip(self.jobs, self._news, strict=True):
            if new is not None and new.after:
                last.append(job)
            elif not job.has_dependencies:
                independent.append(job)
            elif job.known_status is JobStatus.DEFERRED:
                waiting.append(job)
            else:
                ready.append(job)
        return independent + waiting + ready + last


def in_order_of_dependencies(news: Sequence[NewJob | None]) -> list[int] | None:
    """Positions, none before one that it depends on, otherwise rising; None when they may stay as they are.

    Raises: as `Batch`.
    """
    named = {new.id: position for position, new in enumerate(news) if new is not None}
    if len(named) < sum(new is not None for new in news):
        raise InvalidOption("two jobs of one call have the same job_id")
    if not any(new is not None and new.depends_on for new in news):
        return None
    open_parents = [0] * len(news)
    children: dict[int, list[int]] = {}
    for position, new in enumerate(news):
        for parent in () if new is None else new.depends_on:
            if parent in named:
                open_parents[position] += 1
                children.setdefault(named[parent], []).append(position)
    ready = deque(position for position, count in enumerate(open_parents) if not count)
    ordered = []
    while ready:
        position = ready.popleft()
        ordered.append(position)
        for child in children.get(position, ()):
            open_parents[child] -= 1
            if not open_parents[child]:
                ready.append(child)
    if len(ordered) < len(news):
        raise InvalidJobDependency(f"jobs depend on each other in a circle: {_circle(named, open_parents)}")
    return ordered


def _circle(named: dict[str, int], open_parents: Iterable[int]) -> str:
    counts = list(open_parents)
    return ", ".join(sorted(job_id for job_id, position in named.items() if counts[position])[:10])
