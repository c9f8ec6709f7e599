"""The small values that a user hands to enqueue: Retry, Repeat, Callback, Dependency, and prepared calls."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from atomiq._core.backoff import MOST_DELAYS, Backoff, check_backoff, whole_seconds
from atomiq._core.cadence import interval_after
from atomiq._core.callref import function_name, reference
from atomiq._core.errors import InvalidArguments, InvalidOption
from atomiq._core.ids import validate_job_id
from atomiq._core.raised import exception_names
from atomiq._core.settings import CALLBACK_TIMEOUT
from atomiq._core.ttl import Duration, check_length, check_timeout


@runtime_checkable
class HasId(Protocol):
    """Something with a job id, such as a Job."""

    @property
    def id(self) -> str: ...


JobOrId: TypeAlias = HasId | str
DependsOn: TypeAlias = "JobOrId | Dependency | Iterable[JobOrId | Dependency] | None"
CallbackOption: TypeAlias = "Callback | Callable[..., Any] | str | None"
"""What `on_success` and its like may be; a function or its name is deprecated (RQ)."""


def _whole_number(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArguments(f"{name} must be a whole number, not {type(value).__name__}: {value!r}")
    return value


def _intervals(interval: int | Iterable[int], name: str) -> list[int]:
    """Seconds between runs as a list that is never empty."""
    if isinstance(interval, Iterable) and not isinstance(interval, (str, bytes)):
        intervals = [_whole_number(each, f"{name}: each number of the list") for each in interval]
        if not intervals:
            raise InvalidOption(f"{name}: the list is empty; give seconds, or leave it out to run again at once")
    else:
        intervals = [_whole_number(interval, f"{name}: seconds, or a list of seconds; it")]
    for each in intervals:
        check_length(each, each, name)
    if any(each < 0 for each in intervals):
        raise InvalidOption(f"{name}: negative numbers are not allowed")
    return intervals


class Retry:
    """How often a job that fails is run again (RQ).

    Args:
        max: number of retries, at least 1.
        interval: seconds before each retry; a list is used in order and its last entry repeats. Default 0: at once.
        enqueue_at_front: put the retry at the front of its queue.
        backoff: a strategy of `atomiq.backoff`, or seconds, instead of `interval`. Jitter is drawn for each job.
        on: retry only these exceptions: classes or dotted names, one or several. Subclasses count. Default: all.
        unless: don't retry these; wins over `on`.

    RQ's workers keep to the delays, in whole seconds rounded up, and know neither `on` nor `unless`.

    Raises:
        InvalidOption: a ValueError; max below 1, a negative interval, an empty list, interval and backoff, more than
            1,000 retries with a backoff, an exception that can't be imported.
        InvalidArguments: a TypeError and ValueError; not whole numbers.
        InvalidTime: a ValueError; an interval longer than a thousand years.
    """

    __module__ = "atomiq.job"  # a returned Retry is pickled into the job's results under this name
    backoff: Backoff | None = None
    on: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def __init__(
        self,
        max: int,  # noqa: A002 - RQ's name
        interval: int | Iterable[int] = 0,
        enqueue_at_front: bool = False,
        *,
        backoff: Backoff | float | None = None,
        on: Any = (),
        unless: Any = (),
    ) -> None:
        if _whole_number(max, "max") < 1:
            raise InvalidOption("max: please enter a value greater than 0")
        self.max = max
        self.intervals = _intervals(interval, "interval")
        self.enqueue_at_front = enqueue_at_front
        if backoff is not None:
            if interval != 0:
                raise InvalidOption("interval and backoff both say how long to wait; give one of them")
            self.backoff = check_backoff(backoff, "backoff")
            self.intervals = whole_seconds([round(self.backoff.delay(n) * 1000) for n in range(self._bounded())])
        if on:
            self.on = exception_names(on, "on")
        if unless:
            self.unless = exception_names(unless, "unless")

    def _bounded(self) -> int:
        if self.max > MOST_DELAYS:
            raise InvalidOption(f"max: a Retry with a backoff has at most {MOST_DELAYS} retries, not {self.max}")
        return self.max

    def delays_ms(self) -> list[int] | None:
        """What one job waits before each of its retries, jitter included; None without a backoff: see `intervals`."""
        return None if self.backoff is None else self.backoff.delays_ms(self.max)

    def delay_ms(self, count: int) -> int:
        """Milliseconds before the retry that follows `count` retries, jitter included."""
        if self.backoff is None:
            return interval_after(self.intervals, count) * 1000
        return self.backoff.delay_ms(count)

    @classmethod
    def asked_for(cls, value: Any) -> Retry | None:
        """The retry that a function has asked for by returning it; its code may still import RQ's own class."""
        if isinstance(value, cls):
            return value
        theirs = getattr(sys.modules.get("rq.job"), "Retry", ())
        if not isinstance(value, theirs):
            return None
        return cls(value.max, value.intervals or 0, value.enqueue_at_front)

    @classmethod
    def get_interval(cls, count: int, intervals: int | Sequence[int] | None) -> int:
        """Seconds before the retry that follows `count` retries (RQ)."""
        return interval_after(intervals, count)

    def __repr__(self) -> str:
        own = "".join(f", {name}={value!r}" for name in ("backoff", "on", "unless") if (value := vars(self).get(name)))
        return f"Retry(max={self.max}, interval={self.intervals}, enqueue_at_front={self.enqueue_at_front}{own})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retry) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class Repeat:
    """How often a job that succeeded is run again (RQ): `times` more runs after the first.

    Args:
        times: number of further runs, at least 1.
        interval: seconds between runs; a list is used in order and its last entry repeats. Default 0: at once.

    Raises:
        InvalidOption: a ValueError; times below 1, a negative interval, an empty list.
        InvalidArguments: a TypeError and ValueError; not whole numbers.
        InvalidTime: a ValueError; an interval longer than a thousand years.
    """

    __module__ = "atomiq.repeat"

    def __init__(self, times: int, interval: int | Iterable[int] = 0) -> None:
        if _whole_number(times, "times") < 1:
            raise InvalidOption("times: please enter a value greater than 0")
        self.times = times
        self.intervals = _intervals(interval, "intervals")

    @classmethod
    def get_interval(cls, count: int, intervals: Sequence[int]) -> int:
        """Seconds before the repeat that follows `count` repeats."""
        return interval_after(intervals, count)

    def __repr__(self) -> str:
        return f"Repeat(times={self.times}, intervals={self.intervals})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Repeat) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class Callback:
    """A function that is called when a job succeeds, fails or is stopped (RQ).

    Args:
        func: a function of a module, a builtin, or a dotted name. It is stored by name and imported where it runs.
        timeout: seconds (or '1m') it may take. Default 60.

    Raises:
        InvalidFunction: a ValueError; a worker could not import it.
        TimeoutFormatError, InvalidTime: ValueErrors; a bad timeout.
    """

    __module__ = "atomiq.job"

    def __init__(self, func: str | Callable[..., Any], timeout: Duration | None = None) -> None:
        if isinstance(func, str):
            self._name = reference(func).name
        elif inspect.isfunction(func):
            self._name = function_name(func)
        elif inspect.isbuiltin(func):
            self._name = f"{func.__module__}.{func.__qualname__}"
        else:
            raise InvalidOption("Callback `func` must be a string or function")
        self.func = func
        self.timeout: int = (check_timeout(timeout, "timeout") if timeout else None) or CALLBACK_TIMEOUT

    @property
    def name(self) -> str:
        """Dotted name of the function."""
        return self._name

    def __repr__(self) -> str:
        return f"Callback({self._name!r}, timeout={self.timeout})"


class Dependency:
    """Jobs that must end before another may run (RQ).

    Args:
        jobs: a job, a job id, or an iterable of these.
        allow_failure: a failed dependency counts as done. Default False.
        enqueue_at_front: put the waiting job at the front of its queue when it may run.

    Raises:
        InvalidOption: a ValueError; no jobs, or something that is neither a job nor an id.
    """

    __module__ = "atomiq.job"

    def __init__(
        self, jobs: JobOrId | Iterable[JobOrId], allow_failure: bool = False, enqueue_at_front: bool = False
    ) -> None:
        listed: list[Any] = [jobs] if isinstance(jobs, (str, HasId)) or not isinstance(jobs, Iterable) else list(jobs)
        if not listed:
            raise InvalidOption("jobs: cannot be empty.")
        for each in listed:
            if not isinstance(each, (str, HasId)):
                raise InvalidOption("jobs: must contain objects of type Job and/or strings representing Job ids")
        self.dependencies: list[JobOrId] = listed
        self.allow_failure = allow_failure
        self.enqueue_at_front = enqueue_at_front

    def __repr__(self) -> str:
        ids = [each if isinstance(each, str) else each.id for each in self.dependencies]
        return f"Dependency({ids}, allow_failure={self.allow_failure}, enqueue_at_front={self.enqueue_at_front})"


class Dependencies(NamedTuple):
    """What `depends_on` comes down to. The flags are None unless a Dependency object was used (RQ)."""

    ids: list[str]
    allow_failure: bool | None = None
    at_front: bool | None = None
    jobs: tuple[HasId, ...] = ()


NO_DEPENDENCIES = Dependencies([])


def parse_depends_on(depends_on: DependsOn) -> Dependencies:
    """Ids and flags of anything `depends_on` may be, each id once, in order.

    Raises:
        InvalidOption: a ValueError; something that is neither a job, an id, a Dependency nor an iterable of these.
        InvalidName: a ValueError; not a job id.
    """
    if depends_on is None:
        return NO_DEPENDENCIES
    one = isinstance(depends_on, (str, bytes, HasId, Dependency)) or not isinstance(depends_on, Iterable)
    given: list[Any] = [depends_on] if one else list(depends_on)  # type: ignore[arg-type]
    allow_failure: bool | None = None
    at_front: bool | None = None
    found: dict[str, JobOrId] = {}
    for each in given:
        members: list[Any] = each.dependencies if isinstance(each, Dependency) else [each]
        if isinstance(each, Dependency):
            allow_failure = bool(allow_failure or each.allow_failure)
            at_front = bool(at_front or each.enqueue_at_front)
        for member in members:
            if not isinstance(member, (str, HasId)):
                raise InvalidOption(f"depends_on: expected a job, a job id or a Dependency, not {member!r}")
            job_id = member if isinstance(member, str) else member.id
            validate_job_id(job_id)
            found[job_id] = member
    jobs = tuple(each for each in found.values() if not isinstance(each, str))
    return Dependencies(list(found), allow_failure, at_front, jobs)


def call_args(args: Iterable[Any] | None) -> tuple[Any, ...]:
    """Positional arguments that were given as one value.

    Raises:
        InvalidArguments: a TypeError and ValueError; a text, a mapping, or nothing that could be a list of arguments.
    """
    if args is None:
        return ()
    if isinstance(args, (str, bytes, Mapping)) or not isinstance(args, Iterable):
        raise InvalidArguments(f"{args!r} is not a valid args list; give a tuple or list, such as ({args!r},)")
    return tuple(args)


def call_kwargs(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Keyword arguments that were given as one value.

    Raises:
        InvalidArguments: a TypeError and ValueError; no mapping, or a key that is no string.
    """
    if kwargs is None:
        return {}
    if not isinstance(kwargs, Mapping):
        raise InvalidArguments(f"{kwargs!r} is not a valid kwargs dict")
    for key in kwargs:
        if not isinstance(key, str):
            raise InvalidArguments(f"kwargs: {key!r} can't be the name of an argument, it is no string")
    return dict(kwargs)


class EnqueueData(NamedTuple):
    """One call for `enqueue_many`, made by `Queue.prepare_data` (RQ)."""

    func: Callable[..., Any] | str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    timeout: Duration | None
    result_ttl: Duration | None
    ttl: Duration | None
    failure_ttl: Duration | None
    description: str | None
    depends_on: Any
    job_id: str | None
    at_front: bool
    meta: dict[str, Any] | None
    retry: Retry | None
    on_success: Callback | None
    on_failure: Callback | None
    on_stopped: Callback | None
    repeat: Repeat | None
    webhooks: Any


class RequiringData(EnqueueData):
    """One that requires something as well: RQ's tuple has no place for it."""

    requires: Any = None


class EnqueueArgs(NamedTuple):
    """The keywords of `enqueue`, apart from those of the function (RQ)."""

    func: Callable[..., Any] | str
    timeout: Duration | None
    description: str | None
    result_ttl: Duration | None
    ttl: Duration | None
    failure_ttl: Duration | None
    depends_on: Any
    job_id: str | None
    at_front: bool
    meta: dict[str, Any] | None
    retry: Retry | None
    repeat: Repeat | None
    on_success: CallbackOption
    on_failure: CallbackOption
    on_stopped: CallbackOption
    pipeline: Any
    unique: bool
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    webhooks: Any


class RequiringArgs(EnqueueArgs):
    """Those that require something as well: RQ's tuple has no place for it."""

    requires: Any = None

    @classmethod
    def of(cls, given: EnqueueArgs, requires: Any) -> RequiringArgs:
        """The same, with what the job requires."""
        made = cls._make(given)
        made.requires = requires
        return made

    def _asdict(self) -> dict[str, Any]:
        return {**super()._asdict(), "requires": self.requires}
