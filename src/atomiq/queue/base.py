"""A queue without its server: names, defaults, and turning calls into jobs. `Queue` and `aio.Queue` add the sending."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NoReturn

from atomiq._core.callref import import_attribute
from atomiq._core.errors import InvalidOption
from atomiq._core.ids import new_call_token, validate_queue_name
from atomiq._core.keys import DEFAULT_PREFIX
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
)
from atomiq._core.record import NewJob
from atomiq._core.serial import resolve_serializer
from atomiq._core.settings import DEFAULT_TIMEOUT
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import check_delay, check_due
from atomiq._core.ttl import check_timeout
from atomiq._core.values import EnqueueArgs, EnqueueData, call_args, call_kwargs
from atomiq.queue.batch import Batch
from atomiq.timeouts import UnixSignalDeathPenalty

_OPTIONS_OF_ARGS = tuple(name for name in EnqueueArgs._fields if name not in
                         ("func", "args", "kwargs", "pipeline", "unique", "at_front"))  # fmt: skip
_NO_OPTIONS_OF_DATA = tuple(False if name == "at_front" else None for name in EnqueueData._fields[3:])
_OPTIONS_OF_DATA = tuple(name for name in EnqueueData._fields if name not in ("func", "args", "kwargs", "at_front"))


class BaseQueue:
    """What `Queue` and `aio.Queue` have in common."""

    job_class: Any
    DEFAULT_TIMEOUT: ClassVar[int] = DEFAULT_TIMEOUT
    redis_queue_namespace_prefix: ClassVar[str] = f"{DEFAULT_PREFIX}queue:"
    redis_queues_keys: ClassVar[str] = f"{DEFAULT_PREFIX}queues"

    def __init__(
        self,
        name: str = "default",
        connection: Any = None,
        default_timeout: Any = None,
        is_async: bool = True,
        job_class: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = UnixSignalDeathPenalty,
        *,
        abandoned: str | None = None,
        executor: str | None = None,
        **kwargs: Any,
    ) -> None:
        if connection is None:
            raise TypeError("a queue needs a connection: Queue(name, connection=...)")
        validate_queue_name(name)
        self.name = name
        self.connection = connection
        self._default_timeout = (check_timeout(default_timeout, "default_timeout") if default_timeout else None) or (
            self.DEFAULT_TIMEOUT
        )
        self._is_async = _async_of(kwargs, is_async)
        if job_class is not None:
            self.job_class = import_attribute(job_class) if isinstance(job_class, str) else job_class
            if not hasattr(self.job_class, "assemble"):
                raise InvalidOption(f"job_class: {job_class!r} is not a Job class")
        self.serializer = resolve_serializer(serializer)
        self.death_penalty_class = death_penalty_class
        self.abandoned = None if abandoned is None else check_abandoned(abandoned)
        self.executor = None if executor is None else check_executor(executor)

    # -- upward, by name -----------------------------------------------------------------------------------------------

    @property
    def started_job_registry(self) -> Any:
        """StartedJobRegistry of this queue (RQ)."""
        return self._registry("StartedJobRegistry")

    @property
    def finished_job_registry(self) -> Any:
        """FinishedJobRegistry of this queue (RQ)."""
        return self._registry("FinishedJobRegistry")

    @property
    def failed_job_registry(self) -> Any:
        """FailedJobRegistry of this queue (RQ)."""
        return self._registry("FailedJobRegistry")

    @property
    def deferred_job_registry(self) -> Any:
        """DeferredJobRegistry of this queue (RQ)."""
        return self._registry("DeferredJobRegistry")

    @property
    def scheduled_job_registry(self) -> Any:
        """ScheduledJobRegistry of this queue (RQ)."""
        return self._registry("ScheduledJobRegistry")

    @property
    def canceled_job_registry(self) -> Any:
        """CanceledJobRegistry of this queue (RQ)."""
        return self._registry("CanceledJobRegistry")

    def _registry(self, name: str) -> Any:
        """The registry of this class name, sync or asyncio as the queue is."""
        raise NotImplementedError

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
        on_success: Any = None,
        on_failure: Any = None,
        on_stopped: Any = None,
        repeat: Any = None,
        webhooks: Any = None,
    ) -> EnqueueData:
        """One call for `enqueue_many` (RQ). Options are checked when it is enqueued."""
        return EnqueueData(
            func, call_args(args), call_kwargs(kwargs), timeout, result_ttl, ttl, failure_ttl, description, depends_on,
            job_id, at_front, meta, retry, as_callback(on_success, "on_success"), as_callback(on_failure, "on_failure"),
            as_callback(on_stopped, "on_stopped"), repeat, webhooks,
        )  # fmt: skip

    def create_job(
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
        meta: dict[str, Any] | None = None,
        status: JobStatus = JobStatus.QUEUED,
        retry: Any = None,
        repeat: Any = None,
        *,
        on_success: Any = None,
        on_failure: Any = None,
        on_stopped: Any = None,
        webhooks: Any = None,
        group_id: str | None = None,
        abandoned: str | None = None,
        executor: str | None = None,
    ) -> Any:
        """A checked job of this queue, not stored yet (RQ). `abandoned` is 'retry' or 'fail', `executor` how workers
        that have it run the job ('thread', 'async' ...); the queue's if None.

        Raises:
            InvalidInput: a ValueError; the function, its arguments or an option can't be used, the message says why.
        """
        options = check_options({
            "timeout": timeout, "result_ttl": result_ttl, "ttl": ttl, "failure_ttl": failure_ttl,
            "description": description, "depends_on": depends_on, "job_id": job_id, "meta": meta, "retry": retry,
            "repeat": repeat, "on_success": on_success, "on_failure": on_failure, "on_stopped": on_stopped,
            "webhooks": webhooks, "group_id": group_id, "abandoned": abandoned, "executor": executor,
        })  # fmt: skip
        return self._assemble(func, call_args(args), call_kwargs(kwargs), options, status)

    def _job_of_args(self, given: EnqueueArgs) -> Any:
        options = NO_OPTIONS
        if given[1:-3] != NOTHING_GIVEN or given.webhooks is not None:
            asked = {name: value for name in _OPTIONS_OF_ARGS if (value := getattr(given, name)) is not None}
            check_unique(given.unique, given.job_id, given.depends_on)
            options = check_options(asked)
        return self._assemble(given.func, given.args, given.kwargs, options, JobStatus.QUEUED)

    def _job_of_data(self, data: EnqueueData, group_id: str | None) -> Any:
        asked = {name: value for name in _OPTIONS_OF_DATA if (value := getattr(data, name)) is not None}
        if group_id is not None:
            asked["group_id"] = group_id
        return self._assemble(data.func, data.args, data.kwargs, check_options(asked), JobStatus.QUEUED)

    def _assemble(
        self,
        func: Callable[..., Any] | str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: JobOptions,
        status: JobStatus,
    ) -> Any:
        job = self.job_class.assemble(func, args, kwargs, options, self.connection, self.serializer, self.name, status)
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

    def _adopt(self, job: Any, at_front: bool, due_ms: int, unique: bool) -> NewJob:
        """A job that somebody made, as one of this queue."""
        if unique:
            check_unique(unique, job.id, job.has_dependencies)
        job.origin = self.name
        self._take_defaults(job)
        made: NewJob = job.to_new_job(at_front=bool(at_front), due_ms=due_ms)
        return made

    def _batch_of(self, job_datas: Iterable[EnqueueData], group_id: str | None) -> Batch:
        """Every call checked and serialised. Raises what `enqueue_many` raises before anything is sent."""
        call = new_call_token()
        jobs: list[Any] = []
        news: list[NewJob | None] = []
        for data in job_datas:
            if group_id is None and type(data) is EnqueueData and data[3:] == _NO_OPTIONS_OF_DATA:
                job = self._assemble(data.func, data.args, data.kwargs, NO_OPTIONS, JobStatus.QUEUED)
                job.data  # noqa: B018 - serialises the call
                later = "meta" not in job.__dict__
            elif hasattr(data, "on_success"):
                job, later = self._job_of_data(data, group_id), False
            else:
                kind = type(data).__name__
                raise InvalidOption(f"enqueue_many takes a list of what Queue.prepare_data makes, not {kind}: {data!r}")
            jobs.append(job)
            news.append(None if later else job.to_new_job(at_front=bool(data.at_front), call=call))
        return Batch(jobs, news, call)

    @staticmethod
    def _due_at(moment: datetime) -> int:
        return check_due(moment)

    @staticmethod
    def _due_in(delay: timedelta) -> int:
        return check_due(datetime.now(UTC) + check_delay(delay))

    # -- names and comparison -----------------------------------------------------------------------------------------

    @property
    def is_async(self) -> bool:
        """False: enqueue runs the job in the calling thread (RQ)."""
        return self._is_async

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, BaseQueue) else _not_a_queue(other)

    def __lt__(self, other: object) -> bool:
        return self.name < other.name if isinstance(other, BaseQueue) else _not_a_queue(other)

    def __le__(self, other: object) -> bool:
        return self.name <= other.name if isinstance(other, BaseQueue) else _not_a_queue(other)

    def __gt__(self, other: object) -> bool:
        return self.name > other.name if isinstance(other, BaseQueue) else _not_a_queue(other)

    def __ge__(self, other: object) -> bool:
        return self.name >= other.name if isinstance(other, BaseQueue) else _not_a_queue(other)

    def __hash__(self) -> int:
        return hash(self.name)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({self.name!r})"

    def __str__(self) -> str:
        return f"<{self.__class__.__name__} {self.name}>"


def _not_a_queue(other: object) -> NoReturn:
    raise TypeError(f"a queue can't be compared with {type(other).__name__}")


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
                  "abandoned")  # fmt: skip
