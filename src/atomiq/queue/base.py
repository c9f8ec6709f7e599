"""A queue without its server: names, defaults, and turning calls into jobs. `Queue` and `aio.Queue` add the sending."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from atomiq._core.callref import import_attribute
from atomiq._core.errors import InvalidOption
from atomiq._core.ids import new_call_token, validate_group_name, validate_queue_name
from atomiq._core.keys import DEFAULT_PREFIX
from atomiq._core.log import get_logger
from atomiq._core.options import (
    NO_OPTIONS,
    NOTHING_GIVEN,
    JobOptions,
    as_callback,
    check_abandoned,
    check_executor,
    check_options,
    check_unique,
    meant_option,
    parse_enqueue,
    take_requires,
)
from atomiq._core.precondition import RequiresOption
from atomiq._core.record import NewJob
from atomiq._core.serial import resolve_serializer
from atomiq._core.settings import DEFAULT_TIMEOUT
from atomiq._core.states import JobStatus
from atomiq._core.ttl import Duration, check_timeout
from atomiq._core.values import (
    CallbackOption,
    DependsOn,
    EnqueueArgs,
    EnqueueData,
    HasId,
    Repeat,
    RequiringArgs,
    RequiringData,
    Retry,
    call_args,
    call_kwargs,
)
from atomiq.job.base import BaseJob
from atomiq.on_commit import WaitsForCommit, source_of
from atomiq.queue.batch import Batch, Follower
from atomiq.queue.hooks import Hooks
from atomiq.queue.names import NamedQueue
from atomiq.timeouts import UnixSignalDeathPenalty
from atomiq.webhook import Webhook

J = TypeVar("J", bound=BaseJob)

_OPTIONS_OF_ARGS = tuple(name for name in EnqueueArgs._fields if name not in
                         ("func", "args", "kwargs", "pipeline", "unique", "at_front"))  # fmt: skip
_NOT_OF_CREATE = ("func", "at_front", "pipeline", "unique")
_UNKNOWN_TO_CREATE = ("repeat", "abandoned", "executor", "requires")
_NO_OPTIONS_OF_DATA = tuple(False if name == "at_front" else None for name in EnqueueData._fields[3:])
_OPTIONS_OF_DATA = tuple(name for name in EnqueueData._fields if name not in ("func", "args", "kwargs", "at_front"))


class BaseQueue(NamedQueue, WaitsForCommit, Generic[J]):
    """What `Queue` and `aio.Queue` have in common."""

    job_class: Any
    death_penalty_class: Any = UnixSignalDeathPenalty
    DEFAULT_TIMEOUT: ClassVar[int] = DEFAULT_TIMEOUT
    redis_queue_namespace_prefix: ClassVar[str] = f"{DEFAULT_PREFIX}queue:"
    redis_queues_keys: ClassVar[str] = f"{DEFAULT_PREFIX}queues"
    redis_server_version: tuple[int, int, int] | None = None
    log: ClassVar[logging.Logger] = get_logger("queue")
    _hooks: ClassVar[Hooks]
    _runs_jobs: ClassVar[bool] = True
    """Whether it can do so itself: is_async=False."""

    def __init__(
        self,
        name: str = "default",
        connection: Any = None,
        default_timeout: Duration | None = None,
        is_async: bool = True,
        job_class: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = UnixSignalDeathPenalty,
        *,
        abandoned: str | None = None,
        executor: str | None = None,
        on_commit: Any = None,
        **kwargs: Any,
    ) -> None:
        if not connection:
            raise TypeError("a queue needs a connection: Queue(name, connection=...)")
        validate_queue_name(name)
        self.name = name
        self.connection = connection
        self._default_timeout = (check_timeout(default_timeout, "default_timeout") if default_timeout else None) or (
            self.DEFAULT_TIMEOUT
        )
        self._is_async = _async_of(kwargs, is_async)
        if not (self._is_async or self._runs_jobs):
            raise InvalidOption("is_async=False runs jobs in the calling thread; use atomiq.Queue for that")
        if job_class is not None:
            self.job_class = import_attribute(job_class) if isinstance(job_class, str) else job_class
            if not hasattr(self.job_class, "assemble"):
                raise InvalidOption(f"job_class: {job_class!r} is not a Job class")
        self.serializer = resolve_serializer(serializer)
        if death_penalty_class is not None:
            named = isinstance(death_penalty_class, str)
            self.death_penalty_class = import_attribute(death_penalty_class) if named else death_penalty_class
        self.abandoned = None if abandoned is None else check_abandoned(abandoned)
        self.executor = None if executor is None else check_executor(executor)
        self.on_commit = None if on_commit is None else source_of(on_commit)

    # -- calls into jobs ----------------------------------------------------------------------------------------------

    @classmethod
    def parse_args(cls, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> EnqueueArgs:
        """Split what `enqueue` was given into the options of the job and the arguments of the function (RQ).

        Raises:
            InvalidOption: a ValueError; an unknown keyword looks like a misspelt option.
        """
        return parse_enqueue(f, args, kwargs)

    @staticmethod
    def prepare_data(
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
        on_success: CallbackOption = None,
        on_failure: CallbackOption = None,
        on_stopped: CallbackOption = None,
        repeat: Repeat | None = None,
        webhooks: Sequence[Webhook] | None = None,
        *,
        requires: RequiresOption = None,
    ) -> EnqueueData:
        """One call for `enqueue_many` (RQ). Options are checked when it is enqueued."""
        made = (EnqueueData if requires is None else RequiringData)(
            func, call_args(args), call_kwargs(kwargs), timeout, result_ttl, ttl, failure_ttl, description, depends_on,
            job_id, at_front, meta, retry, as_callback(on_success, "on_success"), as_callback(on_failure, "on_failure"),
            as_callback(on_stopped, "on_stopped"), repeat, webhooks,
        )  # fmt: skip
        if requires is not None:
            made.requires = requires  # type: ignore[attr-defined]
        return made

    def create_job(
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
        meta: dict[str, Any] | None = None,
        status: JobStatus = JobStatus.QUEUED,
        retry: Retry | None = None,
        repeat: Repeat | None = None,
        *,
        on_success: CallbackOption = None,
        on_failure: CallbackOption = None,
        on_stopped: CallbackOption = None,
        webhooks: Sequence[Webhook] | None = None,
        group_id: str | None = None,
        abandoned: str | None = None,
        executor: str | None = None,
        requires: RequiresOption = None,
    ) -> J:
        """A checked job of this queue, not stored yet (RQ). `abandoned` is 'retry' or 'fail', `executor` how workers
        that have it run the job ('thread', 'async' ...); the queue's if None. `requires`: what has to be true first.

        Raises:
            InvalidInput: a ValueError; the function, its arguments or an option can't be used, the message says why.
        """
        if not self._hooks.creates(self.job_class):
            return self._create_by_hook(
                func, args, kwargs, timeout, status, (repeat, abandoned, executor, requires), ttl=ttl,
                result_ttl=result_ttl, failure_ttl=failure_ttl, description=description, depends_on=depends_on,
                id=job_id, meta=meta, retry=retry, on_success=on_success, on_failure=on_failure,
                on_stopped=on_stopped, webhooks=webhooks, group_id=group_id,
            )  # fmt: skip
        options = check_options({
            "timeout": timeout, "result_ttl": result_ttl, "ttl": ttl, "failure_ttl": failure_ttl,
            "description": description, "depends_on": depends_on, "job_id": job_id, "meta": meta, "retry": retry,
            "repeat": repeat, "on_success": on_success, "on_failure": on_failure, "on_stopped": on_stopped,
            "webhooks": webhooks, "group_id": group_id, "abandoned": abandoned, "executor": executor,
            "requires": requires,
        })  # fmt: skip
        return self._assemble(func, call_args(args), call_kwargs(kwargs), options, status)

    def _create_by_hook(
        self, func: Any, args: Any, kwargs: Any, timeout: Any, status: JobStatus, unknown: Sequence[Any], **options: Any
    ) -> J:
        """A job by way of the job class' own `create`, which knows no Repeat and nothing that is ours (RQ)."""
        own = check_options(dict(zip(_UNKNOWN_TO_CREATE, unknown, strict=True)) | {"ttl": options["ttl"]})
        job: J = self.job_class.create(
            func, args=args, kwargs=kwargs, connection=self.connection, timeout=timeout, status=status,
            origin=self.name, serializer=self.serializer, **options,
        )  # fmt: skip
        if own.repeat is not None:
            job.repeats_left, job.repeat_intervals = own.repeat.times, own.repeat.intervals
        if own.requires is not None:
            job.require(own.requires)
        job.on_abandoned, job.executor = own.abandoned or job.on_abandoned, own.executor or job.executor
        self._take_defaults(job)
        return job

    def _parsed(self, f: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        """What `enqueue` was given, as `enqueue_call` takes it, by way of the hook `parse_args`."""
        kwargs, requires = take_requires(f, kwargs) if "requires" in kwargs else (kwargs, None)
        given = EnqueueArgs._make(self.parse_args(f, *args, **kwargs))._asdict()
        return given if requires is None else {**given, "requires": requires}

    def _created(self, given: Mapping[str, Any], status: JobStatus) -> J:
        """A job by way of the hook `create_job`."""
        check_unique(given["unique"], given["job_id"], given["depends_on"])
        func, options = given["func"], {name: given[name] for name in given if name not in _NOT_OF_CREATE}
        return self.create_job(func, status=status, **options)

    def _created_of_data(self, data: EnqueueData, group_id: str | None) -> J:
        options = {name: getattr(data, name) for name in EnqueueData._fields if name not in _NOT_OF_CREATE}
        if (requires := getattr(data, "requires", None)) is not None:
            options["requires"] = requires
        status = JobStatus.DEFERRED if data.depends_on else JobStatus.QUEUED
        group = None if isinstance(data, Follower) else group_id
        return self.create_job(func=data.func, status=status, group_id=group, **options)

    def _job_of_args(self, given: EnqueueArgs) -> J:
        options = NO_OPTIONS
        if type(given) is not EnqueueArgs or given[1:-3] != NOTHING_GIVEN or given.webhooks is not None:
            asked = {name: value for name in _OPTIONS_OF_ARGS if (value := getattr(given, name)) is not None}
            if isinstance(given, RequiringArgs):
                asked["requires"] = given.requires
            check_unique(given.unique, given.job_id, given.depends_on)
            options = check_options(asked)
        return self._assemble(given.func, given.args, given.kwargs, options, JobStatus.QUEUED)

    def _job_of_data(self, data: EnqueueData, group_id: str | None) -> J:
        asked = {name: value for name in _OPTIONS_OF_DATA if (value := getattr(data, name)) is not None}
        if group_id is not None:
            asked["group_id"] = group_id
        asked["requires"] = getattr(data, "requires", None)
        args, kwargs = call_args(data.args), call_kwargs(data.kwargs)
        return self._assemble(data.func, args, kwargs, check_options(asked), JobStatus.QUEUED)

    def _assemble(
        self,
        func: Callable[..., Any] | str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: JobOptions,
        status: JobStatus,
    ) -> J:
        job: J = self.job_class.assemble(
            func, args, kwargs, options, self.connection, self.serializer, self.name, status
        )
        if options.timeout is None:
            job.timeout = self._default_timeout
        if self.abandoned is not None and options.abandoned is None:
            job.on_abandoned = self.abandoned
        if self.executor is not None and options.executor is None:
            job.executor = self.executor
        return job

    def _take_defaults(self, job: Any) -> None:
        if job.timeout is None:
            job.timeout = self._default_timeout
        if self.abandoned is not None and job.on_abandoned is None:
            job.on_abandoned = self.abandoned
        if self.executor is not None and job.executor is None:
            job.executor = self.executor

    def adopt(self, job: Any, at_front: bool, due_ms: int, unique: bool) -> NewJob:
        """A job that somebody made, as one of this queue."""
        if unique:
            check_unique(unique, job.id, job.has_dependencies)
        job.origin = self.name
        self._take_defaults(job)
        made: NewJob = job.to_new_job(at_front=bool(at_front), due_ms=due_ms)
        return made

    def _batch_of(self, job_datas: Iterable[EnqueueData], group_id: str | None) -> Batch:
        """Every call checked and serialised. Raises what `enqueue_many` raises before anything is sent."""
        if group_id is not None:
            validate_group_name(group_id)
        call = new_call_token()
        jobs: list[Any] = []
        news: list[NewJob | None] = []
        by_hook = not (self._hooks.is_ours(self, "create_job") and self._hooks.creates(self.job_class))
        for data in job_datas:
            if by_hook and isinstance(data, EnqueueData):
                job, later = self._created_of_data(data, group_id), False
            elif group_id is None and type(data) is EnqueueData and data[3:] == _NO_OPTIONS_OF_DATA:
                job = self._assemble(data.func, data.args or (), data.kwargs or {}, NO_OPTIONS, JobStatus.QUEUED)
                job.data  # noqa: B018 - serialises the call
                later = "meta" not in job.__dict__
            elif isinstance(data, Follower):
                job, later = self._job_of_data(data, None), False
            elif hasattr(data, "on_success"):
                job, later = self._job_of_data(data, group_id), False
            else:
                kind = type(data).__name__
                raise InvalidOption(f"enqueue_many takes a list of what Queue.prepare_data makes, not {kind}: {data!r}")
            new = None if later else job.to_new_job(at_front=bool(data.at_front), call=call)
            if new is not None and isinstance(data, Follower):
                new.after, new.when = group_id or "", data.when
            jobs.append(job)
            news.append(new)
        return Batch(jobs, news, call)

    @property
    def is_async(self) -> bool:
        """False: enqueue runs the job in the calling thread (RQ)."""
        return self._is_async


def _async_of(extra: Mapping[str, Any], is_async: bool) -> bool:
    """RQ ignores keywords it doesn't know; one that looks like a misspelling is refused here."""
    for name in extra:
        if name == "async":
            warnings.warn("the keyword `async` is deprecated, use `is_async`", DeprecationWarning, stacklevel=3)
            is_async = bool(extra[name])
        elif (meant := meant_option(name, _QUEUE_OPTIONS)) is not None:
            raise InvalidOption(f"Queue has no option {name!r}: did you mean {meant}?")
    return is_async


_QUEUE_OPTIONS = ("connection", "default_timeout", "is_async", "job_class", "serializer", "death_penalty_class",
                  "abandoned", "executor", "on_commit")  # fmt: skip


def job_id_of(job_or_id: HasId | str) -> str:
    """The id of a job or of an id. Raises TypeError: neither."""
    if isinstance(job_or_id, str):
        return job_or_id
    if not isinstance(job_or_id, HasId):
        raise TypeError(f"expected a job or its id, not {type(job_or_id).__name__}: {job_or_id!r}")
    return job_or_id.id
