"""Queue: where calls are enqueued and waiting jobs are looked at (RQ's API)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Self

from atomiq._commands.base import Command
from atomiq._commands.enqueue import Enqueued, enqueue
from atomiq._commands.enqueue_template import enqueue_one
from atomiq._commands.raw import push_job_id
from atomiq._commands.views import view_queue_names
from atomiq._core.options import NO_OPTIONS, parse_enqueue
from atomiq._core.precondition import RequiresOption
from atomiq._core.record import NewJob
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import check_delay, check_due, due_in, utcformat
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
from atomiq._wire.sync import Store
from atomiq.job import Job
from atomiq.on_commit import CommitSource, Held, check_no_pipeline, waits_for
from atomiq.queue.batch import Batch
from atomiq.queue.hooks import Hooks
from atomiq.queue.raw import RawQueue, penalty_of
from atomiq.queue.sync_run import run_in_this_thread, run_job_here
from atomiq.scripts import BEGINS_WITHIN
from atomiq.webhook import Webhook


class Queue(RawQueue):
    """A named queue on a server.

    Args:
        name: without comma or control characters. Default 'default'.
        connection: a redis client, such as `atomiq.connect()`.
        default_timeout: seconds (or '1h') a job may run. Default 180.
        is_async: False runs jobs in the calling thread. Default True.
        job_class: class of its jobs, or dotted name of it. Default `Job`.
        serializer: 'pickle', 'json', a dotted name, or an object with dumps and loads. Default pickle.
        death_penalty_class: RQ's, an object or dotted name; in the calling thread no time limits are set.
        abandoned: 'retry' or 'fail', what becomes of its jobs when their worker goes away. Default: the worker's rule.
        executor: how workers that have it run its jobs: 'thread', 'async' ... Default: the worker's first executor.
        on_commit: 'django', 'django:alias', or a SQLAlchemy session: jobs are sent when its transaction commits.

    Raises:
        InvalidName, InvalidOption, InvalidTime: ValueErrors.
        TypeError: no connection, or a name that is no string.
    """

    # -- which queues there are ---------------------------------------------------------------------------------------

    @classmethod
    def all(
        cls, connection: Any, job_class: Any = None, serializer: Any = None, death_penalty_class: Any = None
    ) -> list[Self]:
        """Every queue that was ever used and not deleted, sorted by name (RQ)."""
        store = Store.of(connection)
        return [
            cls(name, connection, job_class=job_class, serializer=serializer, **penalty_of(death_penalty_class))
            for name in store.run(view_queue_names(store.keys))
        ]

    # -- enqueueing ---------------------------------------------------------------------------------------------------

    def enqueue(self, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call: `queue.enqueue(function, 1, key='value', job_timeout='5m')` (RQ). One round trip.

        Keywords kept by the queue, all optional: job_timeout, result_ttl, ttl, failure_ttl, description, depends_on,
        job_id, at_front, meta, retry, repeat, on_success, on_failure, on_stopped, pipeline, unique, webhooks, requires
        (see `atomiq.requires`); args and kwargs give the arguments explicitly. All others go to the function.

        Returns:
            The Job, as it is on the server now: queued, or deferred while a dependency is open.

        Raises:
            InvalidFunction, InvalidArguments, UnserializableArguments, InvalidOption, InvalidTime, InvalidName:
                ValueErrors; nothing is written.
            DuplicateJobError: `unique=True` and the id exists; JobIsRunning: a job of this id runs now.
            ServerError: the server can't be reached, or takes no writes.
        """
        if self._hooks.replaced(self):
            return self.enqueue_call(**self._parsed(f, args, kwargs))
        if not kwargs:
            job: Job = self._assemble(f, args, kwargs, NO_OPTIONS, JobStatus.QUEUED)
            return self._send(job, job.to_new_job(), None, False)
        return self._enqueue_args(parse_enqueue(f, args, kwargs), 0)

    def enqueue_call(
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
        """`enqueue` with everything explicit; the time limit is named `timeout` here (RQ). Raises the same."""
        given = EnqueueArgs(
            func, timeout, description, result_ttl, ttl, failure_ttl, depends_on, job_id, at_front, meta, retry, repeat,
            on_success, on_failure, on_stopped, pipeline, unique, call_args(args), call_kwargs(kwargs), webhooks,
        )  # fmt: skip
        if requires is not None:
            given = RequiringArgs.of(given, requires)
        if self._hooks.replaced(self):
            job: Job = self._created(given._asdict(), JobStatus.QUEUED)
            return self.enqueue_job(job, pipeline=pipeline, at_front=at_front, unique=unique)
        return self._enqueue_args(given, 0)

    def enqueue_at(self, datetime: datetime, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call that runs not before a time (RQ). A naive datetime is local time. Keywords as `enqueue`.

        Raises:
            InvalidTime: a ValueError; not a datetime. Otherwise what `enqueue` raises.
        """
        if self._hooks.replaced_later(self):
            return self._schedule_by_hooks(self._parsed(f, args, kwargs), datetime)
        return self._enqueue_args(parse_enqueue(f, args, kwargs), check_due(datetime))

    def enqueue_in(self, time_delta: timedelta, func: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call that runs not before a delay has passed (RQ). Keywords as `enqueue`.

        Raises:
            InvalidTime: a ValueError; not a timedelta. Otherwise what `enqueue` raises.
        """
        if self._hooks.replaced_later(self):
            return self.enqueue_at(datetime.now(UTC) + check_delay(time_delta), func, *args, **kwargs)
        return self._enqueue_args(parse_enqueue(func, args, kwargs), due_in(time_delta))

    def enqueue_job(self, job: Job, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Job:
        """Put a job into this queue, whatever it was before, except running (RQ). Raises what `enqueue` raises."""
        if self._hooks.replaced(self):
            return self._enqueue_by_hooks(job, pipeline, at_front, unique)
        return self._send(job, self.adopt(job, at_front, 0, unique), pipeline, unique)

    def _enqueue_job(self, job: Job, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Job:
        """`enqueue_job`, whatever the job depends on: RQ's name, which django-rq calls."""
        new = self.adopt(job, at_front, 0, unique)
        new.depends_on = []
        return self._send(job, new, pipeline, unique)

    def schedule_job(self, job: Job, datetime: datetime, pipeline: Any = None, unique: bool = False) -> Job:
        """Let a job run not before a time (RQ). A naive datetime is local time. Raises what `enqueue_at` raises."""
        return self._send(job, self.adopt(job, False, check_due(datetime), unique), pipeline, unique)

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
        if self._all_held(batch, pipeline, group_id):
            return batch.returned()
        if not self._is_async:
            return [self._run_one(job, new) for part in batch.parts() for job, new in zip(*part, strict=True)]
        if not self._hooks.is_ours(self, "push_job_id"):
            self._enqueue_many_pushed(batch, pipeline, group_id)
        elif pipeline is not None:
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
        source = waits_for(self.on_commit)
        if source is not None and self._held(source, [job], [new], pipeline, unique, job.group_id or None):
            return job
        return self._send_now(job, new, pipeline, unique)

    def _send_now(self, job: Job, new: NewJob, pipeline: Any, unique: bool) -> Job:
        if not self._is_async and not new.due_ms and job.dependencies_are_met():
            return self._run_here(job, new, unique)
        return self._send_to(job, new, None if unique else pipeline, job.group_id or None, unique)

    def _send_to(self, job: Job, new: NewJob, pipeline: Any, group: str | None, unique: bool = False) -> Job:
        store = self._store
        command = enqueue_one(store.keys, new, unique, group, pipeline is None and store.takes_ready)
        if pipeline is not None:
            store.queue_in(pipeline, command)
            job.mark_expected(new)
        else:
            done = store.run(command)[0]
            job.mark_enqueued(done.word, done.enqueued_at_ms)
        return job

    # -- when a transaction commits ------------------------------------------------------------------------------------

    def _held(
        self, source: CommitSource, jobs: list[Job], news: list[NewJob], pipeline: Any, unique: bool, group: str | None
    ) -> bool:
        """Whether a source keeps the jobs until its transaction commits."""
        check_no_pipeline(pipeline)
        alone: Callable[[], object] | None = None
        if not self._is_async:
            alone = partial(self._send_each, jobs, news, unique)
        elif not self._hooks.is_ours(self, "push_job_id") and not unique and not any(new.depends_on for new in news):
            alone = partial(self._enqueue_pushed, jobs, news, None, group)
        held = Held(self._store, self, jobs, news, unique, group, alone)
        return source.hold(held) and held.wait()

    def _all_held(self, batch: Batch, pipeline: Any, group: str | None) -> bool:
        source = waits_for(self.on_commit)
        if source is None:
            return False
        held = [self._held(source, jobs, news, pipeline, False, group) for jobs, news in list(batch.parts())]
        return bool(held) and all(held)

    def _send_each(self, jobs: list[Job], news: list[NewJob], unique: bool) -> None:
        for job, new in zip(jobs, news, strict=True):
            if new.after:
                self._run_one(job, new)
            else:
                self._send_now(job, new, None, unique)

    # -- by way of who has replaced a hook ----------------------------------------------------------------------------

    def _enqueue_by_hooks(self, job: Job, pipeline: Any, at_front: bool, unique: bool) -> Job:
        # It stores a job that has to wait, which a job whose transaction is open must not be.
        if waits_for(self.on_commit) is None and not self._hooks.is_ours(self, "setup_dependencies"):
            job.origin, before = self.name, job.enqueued_at
            if job._status is JobStatus.DEFERRED:  # noqa: SLF001 - of an earlier look, which would seem to be the hook's word
                job.remember_status(JobStatus.QUEUED)
            job = self.setup_dependencies(job, pipeline=pipeline)
            if job.known_status is JobStatus.DEFERRED or job.enqueued_at != before:
                return job
        pushed = self._is_async and not unique and not self._hooks.is_ours(self, "push_job_id")
        if pushed and job.dependencies_are_met():
            source, news = waits_for(self.on_commit), [self.adopt(job, at_front, 0, False)]
            if source is not None and self._held(source, [job], news, pipeline, False, job.group_id or None):
                return job
            return self._enqueue_pushed([job], news, pipeline, job.group_id)[0]
        return self._send(job, self.adopt(job, at_front, 0, unique), pipeline, unique)

    def _schedule_by_hooks(self, given: Mapping[str, Any], moment: datetime) -> Job:
        job: Job = self._created(given, JobStatus.SCHEDULED)
        if given["at_front"]:
            job.enqueue_at_front = True
        options = {"unique": True} if given["unique"] else {}
        return self.schedule_job(job, moment, pipeline=given["pipeline"], **options)

    def _enqueue_pushed(self, jobs: list[Job], news: list[NewJob], pipeline: Any, group: str | None) -> list[Job]:
        """Enqueue by the hook `push_job_id`, all in one transaction: stored out of the workers' reach, then pushed."""
        keys, own = self._store.keys, self.connection.pipeline() if pipeline is None else pipeline
        due_ms, fronts = due_in(BEGINS_WITHIN), [new.at_front for new in news]
        for new in news:
            new.due_ms, new.depends_on, new.at_front = due_ms, [], False
        stored = enqueue(keys, jobs=news, group=group or None)
        self._store.queue_in(own, stored)
        for job, at_front in zip(jobs, fronts, strict=True):
            self.push_job_id(job.id, pipeline=own, at_front=at_front)
            self._store.queue_in(own, push_job_id(keys, queue=self.name, job_id=job.id, push=False))
        if pipeline is None:
            stored.decode(self._store.execute(own)[0])
        for job, new in zip(jobs, news, strict=True):
            new.due_ms = 0
            job.mark_expected(new)
        return jobs

    def _enqueue_many_pushed(self, batch: Batch, pipeline: Any, group: str | None) -> None:
        for jobs, news in batch.parts():
            pairs = list(zip(jobs, news, strict=True))
            free = [(job, new) for job, new in pairs if not new.depends_on and not new.after]
            if free:
                self._enqueue_pushed([job for job, _ in free], [new for _, new in free], pipeline, group)
            for job, new in pairs:
                if new.depends_on or new.after:
                    self._send_to(job, new, pipeline, group)

    def setup_dependencies(self, job: Job, pipeline: Any = None) -> Job:
        """Defer a job while what it depends on is open; otherwise it stays as it is, to be enqueued (RQ)."""
        if not job.has_dependencies or job.dependencies_are_met():
            return job
        job.origin = self.name
        self._take_defaults(job)
        job.register_dependency(pipeline=pipeline)
        return job

    # -- is_async=False -----------------------------------------------------------------------------------------------

    def run_sync(self, job: Job) -> Job:
        """Run a stored job in the calling thread by `run_job`, record its end and call its callbacks (RQ). What it
        raises is recorded, not raised, but for KeyboardInterrupt, SystemExit and, within another job, the end of that
        one's time; its retries are made at once."""
        run_in_this_thread(self, self._store, job)
        return job

    def run_job(self, job: Job) -> Job:
        """Run a stored job in the calling thread and record its end (RQ). Raises what the job raises."""
        run_job_here(self._store, job)
        return job

    def _run_one(self, job: Job, new: NewJob) -> Job:
        if not new.after:
            return self._send(job, new, None, False)
        done = self._store.run(enqueue(self._store.keys, jobs=(new,)))[0]
        job.mark_enqueued(done.word, done.enqueued_at_ms)
        return self.run_sync(job) if done.word == "queued" else job

    def _run_here(self, job: Job, new: NewJob, unique: bool) -> Job:
        # First into the schedule: stored by the command that checks for existing and running jobs, out of the workers'
        # reach, and not lost if this process ends before it has begun.
        new.due_ms = due_in(BEGINS_WITHIN)
        new.depends_on = []
        job.enqueued_at = datetime.now(UTC)
        new.fields["enqueued_at"] = utcformat(job.enqueued_at)
        for name in ("repeats_left", "repeat_intervals"):
            new.fields.pop(name, None)
        self._store.run(enqueue(self._store.keys, jobs=(new,), unique=unique, group=job.group_id or None))
        return self.run_sync(job)


Queue._hooks = Hooks(Queue)  # noqa: SLF001 - its own, once it is complete
