"""Queues, with asyncio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Self

from atomiq._commands.enqueue import enqueue
from atomiq._commands.enqueue_template import enqueue_one
from atomiq._commands.queues import EMPTIED_AT_ONCE, delete_queue, empty_queue, pause_queue, remove_from_queue
from atomiq._commands.raw import WORTH_COMPACTING, compact_queue
from atomiq._commands.views import (
    QueueCounts,
    view_length,
    view_list,
    view_position,
    view_queue_names,
    view_queues,
)
from atomiq._core.ids import parse_job_id
from atomiq._core.options import parse_enqueue
from atomiq._core.precondition import RequiresOption
from atomiq._core.record import NewJob
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import check_delay, check_due, due_in
from atomiq._core.ttl import Duration
from atomiq._core.values import (
    CallbackOption,
    DependsOn,
    EnqueueArgs,
    EnqueueData,
    Repeat,
    RequiringArgs,
    Retry,
    call_args,
    call_kwargs,
)
from atomiq._wire.aio import AsyncStore
from atomiq.aio.job import Job
from atomiq.aio.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from atomiq.on_commit import CommitSource, Held, check_no_pipeline, waits_for
from atomiq.queue.base import BaseQueue, job_id_of
from atomiq.queue.batch import Batch
from atomiq.queue.hooks import Hooks
from atomiq.scripts import queue_name
from atomiq.webhook import Webhook

_ROUNDS = 1000
"""Steps for what comes anew meanwhile, as in Queue."""


class Queue(BaseQueue[Job]):
    """`atomiq.Queue` for asyncio: same methods, awaited; what is a property there and asks the server is a method here.

    Args: as for `atomiq.Queue`, with a redis.asyncio connection, such as `atomiq.aio.connect()`.

    Raises:
        InvalidOption: a ValueError; is_async=False, which runs jobs in the calling thread, is `atomiq.Queue`'s alone.
    """

    job_class: type[Job] = Job
    _runs_jobs = False

    @cached_property
    def _store(self) -> AsyncStore:
        return AsyncStore.of(self.connection)

    # -- which queues there are ---------------------------------------------------------------------------------------

    @classmethod
    async def all(
        cls, connection: Any, job_class: Any = None, serializer: Any = None, death_penalty_class: Any = None
    ) -> list[Self]:
        """Every queue that was ever used and not deleted, by name."""
        store = AsyncStore.of(connection)
        names = await store.run(view_queue_names(store.keys))
        return [cls(name, connection, job_class=job_class, serializer=serializer) for name in names]

    @classmethod
    def from_queue_key(
        cls,
        queue_key: str,
        connection: Any,
        job_class: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = None,
    ) -> Self:
        """The queue of a key such as `rq:queue:default`. Raises ValueError for another key."""
        name = queue_name(AsyncStore.of(connection).keys, queue_key)
        return cls(name, connection, job_class=job_class, serializer=serializer)

    # -- enqueueing ---------------------------------------------------------------------------------------------------

    async def enqueue(self, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call: `await queue.enqueue(function, 1, key='value', job_timeout='5m')`. One round trip.

        Keywords, result and errors are those of `atomiq.Queue.enqueue`.
        """
        if self._hooks.replaced(self):
            return await self.enqueue_call(**self._parsed(f, args, kwargs))
        return await self._enqueue_args(parse_enqueue(f, args, kwargs), 0)

    async def enqueue_call(
        self,
        func: Callable[..., Any] | str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        timeout: Duration | None = None,
        result_ttl: Duration | None = None,
        ttl: Duration | None = None,
        failure_ttl: Duration | None = None,
        description: str | None = None,
        depends_on: DependsOn = None,
        job_id: str | None = None,
        at_front: bool = False,
        meta: dict[str, Any] | None = None,
        retry: Retry | None = None,
        repeat: Repeat | None = None,
        on_success: CallbackOption = None,
        on_failure: CallbackOption = None,
        on_stopped: CallbackOption = None,
        pipeline: Any = None,
        unique: bool = False,
        webhooks: Sequence[Webhook] | None = None,
        *,
        requires: RequiresOption = None,
    ) -> Job:
        """`enqueue` with everything explicit; the time limit is named `timeout` here."""
        given = EnqueueArgs(
            func, timeout, description, result_ttl, ttl, failure_ttl, depends_on, job_id, at_front, meta, retry, repeat,
            on_success, on_failure, on_stopped, pipeline, unique, call_args(args), call_kwargs(kwargs), webhooks,
        )  # fmt: skip
        if requires is not None:
            given = RequiringArgs.of(given, requires)
        if self._hooks.replaced(self):
            job: Job = self._created(given._asdict(), JobStatus.QUEUED)
            return await self.enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        return await self._enqueue_args(given, 0)

    async def enqueue_at(self, datetime: datetime, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call that runs not before a time. A naive datetime is local time."""
        if self._hooks.replaced_later(self):
            return await self._schedule_by_hooks(self._parsed(f, args, kwargs), datetime)
        return await self._enqueue_args(parse_enqueue(f, args, kwargs), check_due(datetime))

    async def enqueue_in(self, time_delta: timedelta, func: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call that runs not before a delay has passed."""
        if self._hooks.replaced_later(self):
            return await self.enqueue_at(datetime.now(UTC) + check_delay(time_delta), func, *args, **kwargs)
        return await self._enqueue_args(parse_enqueue(func, args, kwargs), due_in(time_delta))

    async def enqueue_job(self, job: Job, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Job:
        """Put a job into this queue, whatever it was before, except running."""
        return await self._send(job, self.adopt(job, at_front, 0, unique), pipeline, unique)

    async def schedule_job(self, job: Job, datetime: datetime, pipeline: Any = None, unique: bool = False) -> Job:
        """Let a job run not before a time. A naive datetime is local time."""
        return await self._send(job, self.adopt(job, False, check_due(datetime), unique), pipeline, unique)

    async def enqueue_many(
        self, job_datas: Iterable[EnqueueData], pipeline: Any = None, group_id: str | None = None
    ) -> list[Job]:
        """Enqueue calls made by `prepare_data`, 1,000 a round trip; each of these is all-or-nothing.

        All calls are checked before the first is sent. They may depend on each other, in any order. The order of the
        returned jobs, and the errors, are those of `atomiq.Queue.enqueue_many`.
        """
        batch = self._batch_of(job_datas, group_id)
        source = waits_for(self.on_commit)
        if source is not None and await self._all_held(source, batch, pipeline, group_id):
            return batch.returned()
        for jobs, news in batch.parts():
            answers = await self._store.send(enqueue(self._store.keys, jobs=news, group=group_id), pipeline)
            if answers is None:
                for job, new in zip(jobs, news, strict=True):
                    job.mark_expected(new)
                continue
            for job, done in zip(jobs, answers, strict=True):
                job.mark_enqueued(done.word, done.enqueued_at_ms)
        return batch.returned()

    async def _schedule_by_hooks(self, given: Mapping[str, Any], moment: datetime) -> Job:
        job: Job = self._created(given, JobStatus.SCHEDULED)
        if given["at_front"]:
            job.enqueue_at_front = True
        options = {"unique": True} if given["unique"] else {}
        return await self.schedule_job(job, moment, pipeline=given["pipeline"], **options)

    async def _enqueue_args(self, given: EnqueueArgs, due_ms: int) -> Job:
        job = self._job_of_args(given)
        new = job.to_new_job(at_front=bool(given.at_front), due_ms=due_ms)
        return await self._send(job, new, given.pipeline, given.unique)

    async def _send(self, job: Any, new: NewJob, pipeline: Any, unique: bool) -> Job:
        source = waits_for(self.on_commit)
        if source is not None and await self._held(source, [job], [new], pipeline, unique, job.group_id or None):
            held: Job = job
            return held
        store = self._store
        command = enqueue_one(store.keys, new, unique, job.group_id or None, pipeline is None and store.takes_ready)
        answers = await store.send(command, None if unique else pipeline)
        if answers is None:
            job.mark_expected(new)
        else:
            job.mark_enqueued(answers[0].word, answers[0].enqueued_at_ms)
        sent: Job = job
        return sent

    async def _held(
        self, source: CommitSource, jobs: list[Any], news: list[NewJob], pipeline: Any, unique: bool, group: str | None
    ) -> bool:
        """Whether a source keeps the jobs until its transaction commits."""
        check_no_pipeline(pipeline)
        held = Held(self._store, self, jobs, news, unique, group)
        return await source.ahold(held) and held.wait()

    async def _all_held(self, source: CommitSource, batch: Batch, pipeline: Any, group: str | None) -> bool:
        held = [await self._held(source, jobs, news, pipeline, False, group) for jobs, news in list(batch.parts())]
        return bool(held) and all(held)

    # -- looking ------------------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Key of the list of waiting ids."""
        return self._store.keys.queue(self.name)

    @property
    def intermediate_queue_key(self) -> str:
        """Key of the list that RQ's workers move ids through."""
        return self._store.keys.intermediate(self.name)

    @property
    def registry_cleaning_key(self) -> str:
        """Key of RQ's maintenance lock; never taken by atomiq."""
        return self._store.keys.cleaning(self.name)

    async def count(self) -> int:
        """Number of waiting jobs."""
        return await self._store.run(view_length(self._store.keys, queue=self.name))

    async def is_empty(self) -> bool:
        """Whether no job waits."""
        return await self.count() == 0

    async def counts(self) -> QueueCounts:
        """Sizes of the queue and of its registries at one instant."""
        return (await self._store.run(view_queues(self._store.keys, queues=[self.name])))[0]

    async def job_ids(self) -> list[str]:
        """Ids of the waiting jobs, next one first."""
        return await self.get_job_ids()

    async def get_job_ids(self, offset: int = 0, length: int = -1) -> list[str]:
        """Ids of `length` waiting jobs from a position; a negative length counts from the end. -1, and (0, 0): all."""
        end = offset + length - 1 if length >= 0 else length
        return await self._store.run(view_list(self._store.keys, queue=self.name, start=offset, end=end))

    async def jobs(self) -> list[Job]:
        """The waiting jobs, next one first."""
        return await self.get_jobs()

    async def get_jobs(self, offset: int = 0, length: int = -1) -> list[Job]:
        """`length` waiting jobs from a position. Ids whose job is gone are taken off the queue on the way."""
        ids = await self.get_job_ids(offset, length)
        jobs = await self.job_class.fetch_many(ids, connection=self.connection, serializer=self.serializer)
        gone = [job_id for job_id, job in zip(ids, jobs, strict=True) if job is None]
        if len(gone) > WORTH_COMPACTING:
            await self.compact()
        else:
            for job_id in gone:
                await self.remove(job_id)
        return [job for job in jobs if job is not None and job.origin == self.name]

    async def fetch_job(self, job_id: str) -> Job | None:
        """A job of this queue by its id, whatever its status; None if it is gone or of another queue."""
        job_id = parse_job_id(job_id)
        job: Job | None
        (job,) = await self.job_class.fetch_many([job_id], connection=self.connection, serializer=self.serializer)
        if job is None:
            await self.remove(job_id)
            return None
        return job if job.origin == self.name else None

    async def get_job_position(self, job_or_id: Job | str) -> int | None:
        """Place in the queue, 0 is next; None when it doesn't wait here. O(length of the queue)."""
        job_id = job_id_of(job_or_id)
        return await self._store.run(view_position(self._store.keys, queue=self.name, job_id=job_id))

    # -- taking away --------------------------------------------------------------------------------------------------

    async def empty(self) -> int:
        """Delete all waiting jobs. Returns how many."""
        return await self._empty(detach=False)

    async def _empty(self, detach: bool) -> int:
        emptying = empty_queue(self._store.keys, queue=self.name, detach=detach)
        total, left = await self._store.run(emptying)
        for _ in range(_ROUNDS + left // EMPTIED_AT_ONCE):
            if not left:
                break
            removed, left = await self._store.run(emptying)
            total += removed
        return total

    async def delete(self, delete_jobs: bool = True) -> None:
        """Forget the queue: its waiting jobs are deleted, or only taken off it with `delete_jobs=False`."""
        for _ in range(_ROUNDS):
            await self._empty(detach=not delete_jobs)
            if await self._store.run(delete_queue(self._store.keys, queue=self.name)) == "ok":
                return

    async def remove(self, job_or_id: Job | str, pipeline: Any = None) -> int:
        """Take a job off the queue without deleting it; it is then 'created', in no queue. Returns how many."""
        job_id = job_id_of(job_or_id)
        return (
            await self._store.send(remove_from_queue(self._store.keys, queue=self.name, job_id=job_id), pipeline) or 0
        )

    async def compact(self) -> None:
        """Take the ids off the queue whose job is gone. They would leave it when a worker meets them."""
        offset: int | None = 0
        while offset is not None:
            page = await self._store.run(compact_queue(self._store.keys, queue=self.name, offset=offset))
            offset = page.next_offset

    async def pause(self) -> None:
        """Let no worker take jobs of this queue. RQ's own workers don't know of it."""
        await self._store.run(pause_queue(self._store.keys, queue=self.name))

    async def resume(self) -> None:
        """Let workers take jobs of this queue again."""
        await self._store.run(pause_queue(self._store.keys, queue=self.name, paused=False))

    async def is_paused(self) -> bool:
        """Whether the queue is paused."""
        return (await self.counts()).paused

    # -- its registries ------------------------------------------------------------------------------------------------

    @property
    def started_job_registry(self) -> StartedJobRegistry:
        """StartedJobRegistry of this queue."""
        return StartedJobRegistry(queue=self)

    @property
    def finished_job_registry(self) -> FinishedJobRegistry:
        """FinishedJobRegistry of this queue."""
        return FinishedJobRegistry(queue=self)

    @property
    def failed_job_registry(self) -> FailedJobRegistry:
        """FailedJobRegistry of this queue."""
        return FailedJobRegistry(queue=self)

    @property
    def deferred_job_registry(self) -> DeferredJobRegistry:
        """DeferredJobRegistry of this queue."""
        return DeferredJobRegistry(queue=self)

    @property
    def scheduled_job_registry(self) -> ScheduledJobRegistry:
        """ScheduledJobRegistry of this queue."""
        return ScheduledJobRegistry(queue=self)

    @property
    def canceled_job_registry(self) -> CanceledJobRegistry:
        """CanceledJobRegistry of this queue."""
        return CanceledJobRegistry(queue=self)


Queue._hooks = Hooks(Queue)  # noqa: SLF001 - its own, once it is complete
