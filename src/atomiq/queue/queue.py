"""Queue: where calls are enqueued and waiting jobs are looked at (RQ's API)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Self

from atomiq._commands.base import Command
from atomiq._commands.enqueue import MAX_BATCH, Enqueued, enqueue
from atomiq._commands.queues import delete_queue, empty_queue, pause_queue, remove_from_queue
from atomiq._commands.views import (
    QueueCounts,
    view_length,
    view_list,
    view_position,
    view_queue_names,
    view_queues,
)
from atomiq._core.classes import lookup
from atomiq._core.ids import parse_job_id
from atomiq._core.options import parse_enqueue
from atomiq._core.record import NewJob
from atomiq._core.values import EnqueueArgs, EnqueueData, call_args, call_kwargs
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.queue.base import BaseQueue
from atomiq.queue.batch import Batch
from atomiq.queue.sync_run import run_in_this_thread
from atomiq.timeouts import UnixSignalDeathPenalty

_ROUNDS = 1000
_BEGINS_WITHIN = timedelta(hours=1)


class Queue(BaseQueue):
    """A named queue on a server.

    Args:
        name: without comma or control characters. Default 'default'.
        connection: a redis client, such as `atomiq.connect()`.
        default_timeout: seconds (or '1h') a job may run. Default 180.
        is_async: False runs jobs in the calling thread. Default True.
        job_class: class of its jobs, or dotted name of it. Default `Job`.
        serializer: 'pickle', 'json', a dotted name, or an object with dumps and loads. Default pickle.
        death_penalty_class: how time limits of callbacks are set when is_async=False.
        abandoned: 'retry' or 'fail', what becomes of its jobs when their worker goes away. Default: the worker's rule.
        executor: how workers that have it run its jobs: 'thread', 'async' ... Default: the worker's first executor.

    Raises:
        InvalidName, InvalidOption, InvalidTime: ValueErrors.
        TypeError: no connection, or a name that is no string.
    """

    job_class: type[Job] = Job

    @cached_property
    def _store(self) -> Store:
        return Store.of(self.connection)

    # -- which queues there are ---------------------------------------------------------------------------------------

    @classmethod
    def all(
        cls, connection: Any, job_class: Any = None, serializer: Any = None, death_penalty_class: Any = None
    ) -> list[Self]:
        """Every queue that was ever used and not deleted, sorted by name (RQ)."""
        store = Store.of(connection)
        return [
            cls(name, connection, job_class=job_class, serializer=serializer, **_penalty(death_penalty_class))
            for name in store.run(view_queue_names(store.keys))
        ]

    @classmethod
    def from_queue_key(
        cls,
        queue_key: str,
        connection: Any,
        job_class: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = None,
    ) -> Self:
        """The queue of a key such as `rq:queue:default` (RQ). Raises ValueError for another key."""
        prefix = Store.of(connection).keys.queue("")
        if not queue_key.startswith(prefix):
            raise ValueError(f"Not a valid RQ queue key: {queue_key}")
        name = queue_key[len(prefix) :]
        return cls(name, connection, job_class=job_class, serializer=serializer, **_penalty(death_penalty_class))

    # -- enqueueing ---------------------------------------------------------------------------------------------------

    def enqueue(self, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call: `queue.enqueue(function, 1, key='value', job_timeout='5m')` (RQ). One round trip.

        Keywords kept by the queue, all optional: job_timeout, result_ttl, ttl, failure_ttl, description, depends_on,
        job_id, at_front, meta, retry, repeat, on_success, on_failure, on_stopped, pipeline, unique, webhooks; args and
        kwargs give the arguments explicitly. All others go to the function.

        Returns:
            The Job, as it is on the server now: queued, or deferred while a dependency is open.

        Raises:
            InvalidFunction, InvalidArguments, UnserializableArguments, InvalidOption, InvalidTime, InvalidName:
                ValueErrors; nothing is written.
            DuplicateJobError: `unique=True` and the id exists; JobIsRunning: a job of this id runs now.
            ServerError: the server can't be reached, or takes no writes.
        """
        return self._enqueue_args(parse_enqueue(f, args, kwargs), 0)

    def enqueue_call(
        self,
        func: Callable[..., Any] | str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        timeout: Any = None,
        result_ttl: Any = None,
        ttl: Any = None,
        failure_ttl: Any = None,
        description: str | None = None,
        depends_on: Any = None,
        job_id: str | None = None,
        at_front: bool = False,
        meta: dict[str, Any] | None = None,
        retry: Any = None,
        repeat: Any = None,
        on_success: Any = None,
        on_failure: Any = None,
        on_stopped: Any = None,
        pipeline: Any = None,
        unique: bool = False,
        webhooks: Any = None,
    ) -> Job:
        """`enqueue` with everything explicit; the time limit is named `timeout` here (RQ). Raises the same."""
        given = EnqueueArgs(
            func, timeout, description, result_ttl, ttl, failure_ttl, depends_on, job_id, at_front, meta, retry, repeat,
            on_success, on_failure, on_stopped, pipeline, unique, call_args(args), call_kwargs(kwargs), webhooks,
        )  # fmt: skip
        return self._enqueue_args(given, 0)

    def enqueue_at(self, datetime: datetime, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call that runs not before a time (RQ). A naive datetime is local time. Keywords as `enqueue`.

        Raises:
            InvalidTime: a ValueError; not a datetime. Otherwise what `enqueue` raises.
        """
        return self._enqueue_args(parse_enqueue(f, args, kwargs), self._due_at(datetime))

    def enqueue_in(self, time_delta: timedelta, func: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call that runs not before a delay has passed (RQ). Keywords as `enqueue`.

        Raises:
            InvalidTime: a ValueError; not a timedelta. Otherwise what `enqueue` raises.
        """
        return self._enqueue_args(parse_enqueue(func, args, kwargs), self._due_in(time_delta))

    def enqueue_job(self, job: Job, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Job:
        """Put a job into this queue, whatever it was before, except running (RQ). Raises what `enqueue` raises."""
        return self._send(job, self._adopt(job, at_front, 0, unique), pipeline, unique)

    def schedule_job(self, job: Job, datetime: datetime, pipeline: Any = None, unique: bool = False) -> Job:
        """Let a job run not before a time (RQ). A naive datetime is local time. Raises what `enqueue_at` raises."""
        return self._send(job, self._adopt(job, False, self._due_at(datetime), unique), pipeline, unique)

    def enqueue_many(
        self, job_datas: Iterable[EnqueueData], pipeline: Any = None, group_id: str | None = None
    ) -> list[Job]:
        """Enqueue calls made by `prepare_data`, 1,000 a round trip; each of these is all-or-nothing (RQ).

        All calls are checked before the first is sent. They may depend on each other, in any order.

        Returns:
            The jobs: first those without dependencies, then those that wait, then those whose dependencies are met.

        Raises:
            InvalidJobDependency: they depend on each other in a circle. Otherwise what `enqueue` raises.
        """
        batch = self._batch_of(job_datas, group_id)
        if not self._is_async:
            return [self._send(job, new, None, False) for part in batch.parts() for job, new in zip(*part, strict=True)]
        if pipeline is not None:
            for jobs, news in batch.parts():
                self._store.queue_in(pipeline, enqueue(self._store.keys, jobs=news, group=group_id))
                for job, new in zip(jobs, news, strict=True):
                    job.mark_expected(new)
        else:
            self._send_many(batch, group_id)
        return batch.returned()

    def _send_many(self, batch: Batch, group_id: str | None) -> None:
        under_way: deque[list[Job]] = deque()

        def commands() -> Iterator[Command[list[Enqueued]]]:
            for jobs, news in batch.parts():
                under_way.append(jobs)
                yield enqueue(self._store.keys, jobs=news, group=group_id)

        for answers in self._store.run_in_turn(commands()):
            for job, done in zip(under_way.popleft(), answers, strict=True):
                job.mark_enqueued(done.word, done.enqueued_at_ms)

    def _enqueue_args(self, given: EnqueueArgs, due_ms: int) -> Job:
        job = self._job_of_args(given)
        new = job.to_new_job(at_front=bool(given.at_front), due_ms=due_ms)
        return self._send(job, new, given.pipeline, given.unique)

    def _send(self, job: Job, new: NewJob, pipeline: Any, unique: bool) -> Job:
        if not self._is_async and not new.due_ms and job.dependencies_are_met():
            return self._run_here(job, new, unique)
        command = enqueue(self._store.keys, jobs=(new,), unique=unique, group=job.group_id or None)
        if pipeline is not None and not unique:
            self._store.queue_in(pipeline, command)
            job.mark_expected(new)
        else:
            done = self._store.run(command)[0]
            job.mark_enqueued(done.word, done.enqueued_at_ms)
        return job

    # -- is_async=False -----------------------------------------------------------------------------------------------

    def run_sync(self, job: Job) -> Job:
        """Run a stored job in the calling thread and record its end (RQ)."""
        run_in_this_thread(self._store, job, self.death_penalty_class)
        return job

    def run_job(self, job: Job) -> Job:
        """Run a stored job in the calling thread and record its end (RQ)."""
        return self.run_sync(job)

    def _run_here(self, job: Job, new: NewJob, unique: bool) -> Job:
        # First into the schedule: stored by the command that checks for existing and running jobs, out of the workers'
        # reach, and not lost if this process ends before it has begun.
        new.due_ms = self._due_in(_BEGINS_WITHIN)
        new.depends_on = []
        for name in ("repeats_left", "repeat_intervals"):
            new.fields.pop(name, None)
        self._store.run(enqueue(self._store.keys, jobs=(new,), unique=unique, group=job.group_id or None))
        return self.run_sync(job)

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Key of the list of waiting ids (RQ)."""
        return self._store.keys.queue(self.name)

    @property
    def intermediate_queue_key(self) -> str:
        """Key of the list that RQ's workers move ids through (RQ)."""
        return self._store.keys.intermediate(self.name)

    @property
    def registry_cleaning_key(self) -> str:
        """Key of RQ's maintenance lock (RQ); never taken by atomiq."""
        return self._store.keys.cleaning(self.name)

    @property
    def count(self) -> int:
        """Number of waiting jobs (RQ)."""
        return self._store.run(view_length(self._store.keys, queue=self.name))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Self]:
        yield self

    def is_empty(self) -> bool:
        """Whether no job waits (RQ)."""
        return self.count == 0

    def counts(self) -> QueueCounts:
        """Sizes of the queue and of its registries at one instant."""
        return self._store.run(view_queues(self._store.keys, queues=[self.name]))[0]

    @property
    def job_ids(self) -> list[str]:
        """Ids of the waiting jobs, next one first (RQ)."""
        return self.get_job_ids()

    def get_job_ids(self, offset: int = 0, length: int = -1) -> list[str]:
        """Ids of `length` waiting jobs from a position; a negative length counts from the end, -1 is all (RQ)."""
        if length == 0:
            return []
        end = offset + length - 1 if length > 0 else length
        return self._store.run(view_list(self._store.keys, queue=self.name, start=offset, end=end))

    @property
    def jobs(self) -> list[Job]:
        """The waiting jobs, next one first (RQ)."""
        return self.get_jobs()

    def get_jobs(self, offset: int = 0, length: int = -1) -> list[Job]:
        """`length` waiting jobs from a position (RQ). Ids whose job is gone are taken off the queue on the way."""
        ids = self.get_job_ids(offset, length)
        found: list[Job] = []
        for start in range(0, len(ids), MAX_BATCH):
            part = ids[start : start + MAX_BATCH]
            jobs = self.job_class.fetch_many(part, connection=self.connection, serializer=self.serializer)
            for job_id, job in zip(part, jobs, strict=True):
                if job is None:
                    self.remove(job_id)
                elif job.origin == self.name:
                    found.append(job)
        return found

    def fetch_job(self, job_id: str) -> Job | None:
        """A job of this queue by its id, whatever its status; None if it is gone or of another queue (RQ)."""
        job_id = parse_job_id(job_id)
        job = self.job_class.fetch_many([job_id], connection=self.connection, serializer=self.serializer)[0]
        if job is None:
            self.remove(job_id)
            return None
        return job if job.origin == self.name else None

    def get_job_position(self, job_or_id: Job | str) -> int | None:
        """Place in the queue, 0 is next; None when it doesn't wait here (RQ). O(length of the queue)."""
        job_id = job_or_id if isinstance(job_or_id, str) else job_or_id.id
        return self._store.run(view_position(self._store.keys, queue=self.name, job_id=job_id))

    # -- taking away --------------------------------------------------------------------------------------------------

    def empty(self) -> int:
        """Delete all waiting jobs (RQ). Returns how many."""
        return self._empty(detach=False)

    def _empty(self, detach: bool) -> int:
        total = 0
        for _ in range(_ROUNDS):
            removed, more = self._store.run(empty_queue(self._store.keys, queue=self.name, detach=detach))
            total += removed
            if not more:
                break
        return total

    def delete(self, delete_jobs: bool = True) -> None:
        """Forget the queue: its waiting jobs are deleted, or only taken off it with `delete_jobs=False` (RQ)."""
        for _ in range(_ROUNDS):
            self._empty(detach=not delete_jobs)
            if self._store.run(delete_queue(self._store.keys, queue=self.name)) == "ok":
                return

    def remove(self, job_or_id: Job | str, pipeline: Any = None) -> int:
        """Take a job off the queue without deleting it; it is then 'created', in no queue (RQ). Returns how many."""
        job_id = job_or_id if isinstance(job_or_id, str) else job_or_id.id
        command = remove_from_queue(self._store.keys, queue=self.name, job_id=job_id)
        if pipeline is not None:
            self._store.queue_in(pipeline, command)
            return 0
        return self._store.run(command)

    def compact(self) -> None:
        """Nothing to do (RQ): ids whose job is gone leave the queue when they are met."""

    def pause(self) -> None:
        """Let no worker take jobs of this queue. RQ's own workers don't know of it."""
        self._store.run(pause_queue(self._store.keys, queue=self.name))

    def resume(self) -> None:
        """Let workers take jobs of this queue again."""
        self._store.run(pause_queue(self._store.keys, queue=self.name, paused=False))

    @property
    def is_paused(self) -> bool:
        """Whether the queue is paused."""
        return self.counts().paused

    # -- upward, by name ----------------------------------------------------------------------------------------------

    def _registry(self, name: str) -> Any:
        return lookup(name)(queue=self, job_class=self.job_class, serializer=self.serializer)


def _penalty(death_penalty_class: Any) -> dict[str, Any]:
    return {"death_penalty_class": death_penalty_class or UnixSignalDeathPenalty}
