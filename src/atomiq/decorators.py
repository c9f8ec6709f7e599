"""`@job`: a function that knows its queue (RQ's rq.decorators)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from atomiq._core.callref import import_attribute
from atomiq._core.ids import validate_queue_name
from atomiq._core.options import check_executor
from atomiq._core.precondition import RequiresOption
from atomiq._core.settings import DEFAULT_RESULT_TTL
from atomiq._core.ttl import Duration
from atomiq._core.values import CallbackOption, DependsOn, Retry
from atomiq.job import Job
from atomiq.queue import Queue
from atomiq.queue.base import BaseQueue
from atomiq.webhook import Webhook

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")


class JobFunction(Protocol[P, R_co]):
    """A decorated function: still callable, and `delay` or `enqueue` with the same arguments make a job of the call."""

    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @property
    def enqueue(self) -> Enqueue[P]: ...

    @property
    def delay(self) -> Enqueue[P]: ...


class Enqueue(Generic[P]):
    """Enqueues one function with the options of its decorator."""

    def __init__(self, func: Callable[..., Any], options: job) -> None:
        functools.update_wrapper(self, func, updated=())
        self._func = func
        self._options = options

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Job: ...

    @overload
    def __call__(
        self, *args: Any, job_id: str, depends_on: DependsOn = ..., at_front: bool = ..., **kwargs: Any
    ) -> Job: ...

    @overload
    def __call__(self, *args: Any, depends_on: DependsOn, at_front: bool = ..., **kwargs: Any) -> Job: ...

    @overload
    def __call__(self, *args: Any, at_front: bool, **kwargs: Any) -> Job: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call. The keywords depends_on, job_id and at_front are kept from the function (RQ)."""
        return self._options.enqueue_call(self._func, args, kwargs)


class job:  # noqa: N801 - RQ's name
    """Decorator that gives a function `delay(...)` and `enqueue(...)` (RQ).

    Args:
        queue: a Queue, or the name of one.
        connection: used when `queue` is a name.
        timeout: seconds (or '1h') a job may run; the queue's if None.
        result_ttl: seconds the result is kept. Default 500.
        queue_class: class of the queue when `queue` is a name, or dotted name of it. Default: the class attribute.
        abandoned: 'retry' or 'fail', what becomes of a job when its worker goes away; the queue's if None.
        executor: how workers that have it run a job: 'thread', 'async' ...; the queue's if None.
        requires: what has to be true before a job runs; see `atomiq.requires`.

    The other options are those of `Queue.enqueue_call`.

    Raises:
        InvalidName: a ValueError; a bad name of a queue. Options are checked when a call is enqueued.
        TypeError: `queue` is neither a Queue nor a name.
    """

    queue_class: Any = Queue

    def __init__(
        self,
        queue: Queue | str,
        connection: Any,
        timeout: Duration | None = None,
        result_ttl: Duration | None = DEFAULT_RESULT_TTL,
        ttl: Duration | None = None,
        queue_class: Any = None,
        depends_on: DependsOn = None,
        at_front: bool = False,
        meta: dict[str, Any] | None = None,
        description: str | None = None,
        failure_ttl: Duration | None = None,
        retry: Retry | None = None,
        on_failure: CallbackOption = None,
        on_success: CallbackOption = None,
        on_stopped: CallbackOption = None,
        webhooks: Sequence[Webhook] | None = None,
        *,
        abandoned: str | None = None,
        executor: str | None = None,
        requires: RequiresOption = None,
    ) -> None:
        if not isinstance(queue, BaseQueue):
            validate_queue_name(queue)
        self.queue = queue
        self.connection = connection
        if queue_class is not None:
            self.queue_class = import_attribute(queue_class) if isinstance(queue_class, str) else queue_class
        self.depends_on = depends_on
        self.at_front = at_front
        self.abandoned = abandoned
        self.executor = None if executor is None else check_executor(executor)
        self._options: dict[str, Any] = {
            "timeout": timeout, "result_ttl": result_ttl, "ttl": ttl, "failure_ttl": failure_ttl,
            "description": description, "retry": retry, "on_success": on_success, "on_failure": on_failure,
            "on_stopped": on_stopped, "webhooks": webhooks,
        }  # fmt: skip
        if requires is not None:
            self._options["requires"] = requires
        self.meta = meta

    def __call__(self, func: Callable[P, R]) -> JobFunction[P, R]:
        enqueue: Enqueue[P] = Enqueue(func, self)
        decorated = cast("Any", func)
        decorated.enqueue = decorated.delay = enqueue
        return cast("JobFunction[P, R]", decorated)

    def enqueue_call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        """Enqueue a call of the decorated function."""
        depends_on = kwargs.pop("depends_on", None) or self.depends_on
        job_id = kwargs.pop("job_id", None)
        at_front = kwargs.pop("at_front", False) or self.at_front
        queue = self.queue
        if isinstance(queue, str):
            queue = self.queue_class(queue, connection=self.connection)
        meta = dict(self.meta) if self.meta else None
        if self.abandoned is None and self.executor is None:
            return queue.enqueue_call(
                func, args, kwargs, depends_on=depends_on, job_id=job_id, at_front=at_front, meta=meta, **self._options
            )
        made = queue.create_job(
            func, args, kwargs, depends_on=depends_on, job_id=job_id, abandoned=self.abandoned,
            executor=self.executor, meta=meta, **self._options,
        )  # fmt: skip
        return queue.enqueue_job(made, at_front=at_front)
