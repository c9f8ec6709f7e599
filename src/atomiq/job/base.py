"""A job without its server: its options and fields, and how it is sent. `Job` and `aio.Job` add reading and writing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, ClassVar, Final, Self

from atomiq._commands.base import text
from atomiq._core.cadence import interval_after
from atomiq._core.callref import call_string, check_call, reference
from atomiq._core.errors import (
    DeserializationError,
    InvalidJobDependency,
    InvalidJobOperation,
    InvalidOption,
    NoSuchJobError,
)
from atomiq._core.ids import new_call_token, validate_job_id
from atomiq._core.keys import DEFAULT_PREFIX
from atomiq._core.log import get_logger
from atomiq._core.options import NO_OPTIONS, JobOptions, check_options
from atomiq._core.precondition import RequiresOption
from atomiq._core.record import NewJob, Value
from atomiq._core.serial import resolve_serializer
from atomiq._core.states import JobStatus
from atomiq._core.timestamp import from_ms
from atomiq._core.ttl import Duration
from atomiq._core.values import CallbackOption, Dependencies, DependsOn, Retry, parse_depends_on
from atomiq._core.written import OF_ONE_RUN, without_state, write_fields, write_new, write_plain
from atomiq.job.registries import RegisteredJob
from atomiq.job.telling import webhook_of
from atomiq.webhook import Webhook


class BaseJob(RegisteredJob):
    """What `Job` and `aio.Job` have in common."""

    redis_job_namespace_prefix: ClassVar[str] = f"{DEFAULT_PREFIX}job:"
    redis_server_version: tuple[int, int, int] | None = None
    """Of RQ; nothing here depends on it, so nobody asks the server."""
    log: ClassVar[logging.Logger] = get_logger("job")
    _plain: ClassVar[bool] = True
    """The class adds nothing to the fields that are stored."""

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - RQ's name
        connection: Any = None,
        serializer: Any = None,
    ) -> None:
        if connection is None:
            raise TypeError("a job needs a connection: Job(id, connection=...)")
        if id:
            validate_job_id(id)
            self._id = id
        self.connection = connection
        self.serializer = resolve_serializer(serializer)
        self.__dict__["created_at"] = datetime.now(UTC)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._plain = cls.to_dict is BaseJob.to_dict

    # -- making one ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        func: Callable[..., Any] | str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        connection: Any = None,
        result_ttl: Duration | None = None,
        ttl: Duration | None = None,
        status: JobStatus | None = None,
        description: str | None = None,
        depends_on: DependsOn = None,
        timeout: Duration | None = None,
        retry: Retry | None = None,
        id: str | None = None,  # noqa: A002 - RQ's name
        origin: str = "",
        meta: dict[str, Any] | None = None,
        failure_ttl: Duration | None = None,
        serializer: Any = None,
        group_id: str | None = None,
        *,
        on_success: CallbackOption = None,
        on_failure: CallbackOption = None,
        on_stopped: CallbackOption = None,
        webhooks: Sequence[Webhook] | None = None,
        requires: RequiresOption = None,
    ) -> Self:
        """A job that is not stored yet (RQ). Status 'created' unless given; times in seconds or '1h'.

        Raises:
            InvalidInput: a ValueError; the function, its arguments or an option can't be used, the message says why.
            TypeError: a class instead of a function, an id that is no string, no connection.
        """
        options = check_options({
            "timeout": timeout, "result_ttl": result_ttl, "ttl": ttl, "failure_ttl": failure_ttl,
            "description": description, "depends_on": depends_on, "job_id": id, "meta": meta, "retry": retry,
            "on_success": on_success, "on_failure": on_failure, "on_stopped": on_stopped, "webhooks": webhooks,
            "group_id": group_id, "requires": requires,
        })  # fmt: skip
        if args is not None and not isinstance(args, (tuple, list)):
            raise TypeError(f"{args!r} is not a valid args list")
        if kwargs is not None and not isinstance(kwargs, dict):
            raise TypeError(f"{kwargs!r} is not a valid kwargs dict")
        return cls.assemble(
            func, args or (), kwargs or {}, options, connection, serializer, origin, status or JobStatus.CREATED
        )

    @classmethod
    def assemble(
        cls,
        func: Callable[..., Any] | str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: JobOptions,
        connection: Any,
        serializer: Any,
        origin: str,
        status: JobStatus,
    ) -> Self:
        """A job of checked options. Raises what `create` raises for the function and its arguments."""
        name, instance = reference(func)
        check_call(func, args, kwargs)
        job = cls(options.job_id, connection, serializer)
        mine = job.__dict__
        mine["_call"] = (name, instance, args, kwargs)
        mine["origin"] = origin
        mine["description"] = options.description or call_string(name, args, kwargs)
        mine["_status"] = status
        if options is NO_OPTIONS:
            return job
        for name in ("timeout", "result_ttl", "ttl", "failure_ttl", "group_id"):
            value = getattr(options, name)
            if value is not None:
                mine[name] = value
        job._take_options(options)
        return job

    def _take_options(self, options: JobOptions) -> None:
        if options.meta:
            self.meta = options.meta
        if options.dependencies.ids:
            self._take_dependencies(options.dependencies)
        if options.retry is not None:
            self._take_retry(options.retry)
        if options.repeat is not None:
            self.repeats_left = options.repeat.times
            self.repeat_intervals = options.repeat.intervals
        if options.on_success is not None:
            self.success_callback_name = options.on_success.name
            self.success_callback_timeout = options.on_success.timeout
        if options.on_failure is not None:
            self.failure_callback_name = options.on_failure.name
            self.failure_callback_timeout = options.on_failure.timeout
        if options.on_stopped is not None:
            self.stopped_callback_name = options.on_stopped.name
            self.stopped_callback_timeout = options.on_stopped.timeout
        if options.webhooks:
            self.webhooks = [webhook_of(each) for each in options.webhooks]
        if options.abandoned is not None:
            self.on_abandoned = options.abandoned
        if options.executor is not None:
            self.executor = options.executor
        if options.requires is not None:
            self.require(options.requires)

    def _take_dependencies(self, dependencies: Dependencies) -> None:
        if self._id is not None and self._id in dependencies.ids:
            raise InvalidJobDependency(f"job {self._id} can't depend on itself")
        self._dependency_ids = dependencies.ids
        self.allow_dependency_failures = dependencies.allow_failure
        self.enqueue_at_front = dependencies.at_front

    # -- to and from the server ---------------------------------------------------------------------------------------

    def to_new_job(self, *, at_front: bool = False, due_ms: int = 0, call: str | None = None) -> NewJob:
        """The job as the enqueue command takes it. `due_ms` 0 means now; `call` names the enqueue call, by default
        one of its own.

        Raises:
            UnserializableArguments: a ValueError; the arguments or meta can't be serialised.
        """
        token = "" if self._id is None else call or new_call_token()
        self.data  # noqa: B018 - serialises the call, if it is not yet
        job_id = self.id
        plain = write_plain(self) if self._plain and not due_ms else None
        if plain is not None:
            self.__dict__["_sent"] = plain
            return NewJob(job_id, self.origin, plain, at_front=at_front, call=token)
        depends_on = self._dependency_ids or []
        if at_front and (due_ms or depends_on):
            self.enqueue_at_front = True
        self.__dict__.pop("_saved", None)
        fields = self.__dict__["_sent"] = write_new(self) if self._plain else without_state(self.to_dict())
        return NewJob(
            id=job_id,
            queue=self.origin,
            fields=fields,
            depends_on=depends_on,
            allow_failure=bool(self.allow_dependency_failures),
            at_front=at_front or bool(self.enqueue_at_front),
            due_ms=due_ms,
            ttl=self.ttl,
            call=token,
        )

    def mark_enqueued(self, word: str, enqueued_at_ms: int) -> None:
        """Remember what the enqueue command said became of the job; `already` says nothing new."""
        if word == "already":
            self._status = self._status or JobStatus.QUEUED
            return
        mine = self.__dict__
        mine["_status"] = _STATUS_OF[word]
        if word == "queued":
            mine["enqueued_at"] = _moment(enqueued_at_ms)

    def mark_expected(self, new: NewJob) -> None:
        """Assume what becomes of a job whose enqueue command is still in a pipeline."""
        if new.depends_on or new.after:
            self._status = JobStatus.DEFERRED
        elif new.due_ms:
            self._status = JobStatus.SCHEDULED
        else:
            self._status = JobStatus.QUEUED
            self.enqueued_at = datetime.now(UTC)

    def remember_status(self, status: JobStatus) -> None:
        """Set the status last seen; nothing is written."""
        self._status = status

    def take_status(self, status: str | None) -> JobStatus:
        """Remember the status just read. Raises InvalidJobOperation when there is none: what was known stays."""
        if status is None:
            raise InvalidJobOperation(f"Failed to retrieve status for job: {self.id}")
        self._status = status
        return self.known_status

    def restore(self, raw_data: Mapping[Any, Any]) -> None:
        """Take over a job hash as read from the server (RQ).

        Raises:
            NoSuchJobError: the hash has no `data`, so it is no job's.
        """
        if not all(type(key) is bytes for key in raw_data):
            raw_data = {_as_bytes(key): _as_bytes(value) for key, value in raw_data.items()}
        if b"data" not in raw_data:
            raise NoSuchJobError(f"Unexpected job format: {dict(raw_data)!r}"[:500])
        self.load_fields(raw_data)
        self.__dict__.pop("_call", None)
        if not raw_data.get(b"created_at"):
            self.created_at = datetime.now(UTC)

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[str, Value]:
        """The fields of the job hash (RQ)."""
        self.data  # noqa: B018 - serialises the call, if it is not yet
        fields = write_fields(self)
        status = fields.get("status") or JobStatus.CREATED
        fields["status"] = status.value if isinstance(status, JobStatus) else status
        for name, wanted in (("meta", include_meta), ("result", include_result), ("exc_info", include_result)):
            if not wanted:
                fields.pop(name, None)
        return fields

    def changed_fields(self, include_meta: bool, include_result: bool) -> dict[str, Value]:
        """What `save` has to write: fields that differ from what this object last read or sent, and never the state.

        All of them for a job that was neither read nor sent.
        """
        fields = self.to_dict(include_meta, include_result)
        known: Mapping[Any, Any] = self.raw or self.__dict__.get("_sent", {})
        seen: dict[str, bytes | None] = {text(name): _as_bytes(value) for name, value in known.items()}
        # A new job is not sent what is empty, and an absent field reads as an empty one.
        absent = b"" if seen else None
        seen |= self.__dict__.get("_saved", {})
        return {
            name: value
            for name, value in fields.items()
            if name not in OF_ONE_RUN and seen.get(name, absent) != _as_bytes(value)
        }

    def note_saved(self, fields: Mapping[str, Value], pipeline: Any) -> None:
        """Remember what was written into these fields, for `changed_fields`; whether a pipeline is ever carried out is
        not known, so what went into one counts as changed."""
        saved = {name: _as_bytes(value) if pipeline is None else None for name, value in fields.items()}
        self.__dict__["_saved"] = {**self.__dict__.get("_saved", {}), **saved}

    def was_stored(self) -> bool:
        """Whether this object was read from the server, or sent to it."""
        return bool(self.raw) or "_sent" in self.__dict__

    @property
    def known_status(self) -> JobStatus:
        """The status last seen; nobody is asked. Raises InvalidJobOperation when there is none."""
        status = self._status
        if not status:
            raise InvalidJobOperation(f"Failed to retrieve status for job: {self.id}")
        try:
            return JobStatus(status)
        except ValueError as error:
            raise InvalidJobOperation(f"job {self.id} has the unknown status {status!r}") from error

    # -- rules --------------------------------------------------------------------------------------------------------

    @property
    def _dependency_id(self) -> str | None:
        """The first of its dependencies; the name that RQ's users know it by."""
        return next(iter(self._dependency_ids), None)

    @_dependency_id.setter
    def _dependency_id(self, job_id: str | None) -> None:
        self._dependency_ids = [job_id] if job_id else []

    def process_dependencies(self, depends_on: Any) -> None:
        """Take what `depends_on` of enqueue may be; nothing is stored yet (RQ).

        Raises:
            InvalidOption: a ValueError; neither a job, an id, a Dependency nor several of these.
            InvalidJobDependency: the job itself is among them.
        """
        if depends_on is None:
            raise InvalidOption("depends_on: expected a job, a job id or a Dependency, not None")
        self._take_dependencies(parse_depends_on(depends_on))

    @property
    def has_dependencies(self) -> bool:
        """Whether it was made to wait for other jobs."""
        return bool(self._dependency_ids)

    @property
    def should_retry(self) -> bool:
        """Whether a failure would be retried (RQ)."""
        return bool(self.retries_left and self.retries_left > 0)

    def get_retry_interval(self) -> int:
        """Seconds before the next retry; intervals are used in forward order and the last one repeats."""
        return interval_after(self.retry_intervals, self.retries_done)

    def should_enqueue_at_front(self) -> bool:
        """Whether the job goes to the front when it is due (RQ)."""
        if self.enqueue_at_front_on_retry and self.ended_at:
            return True
        return bool(self.enqueue_at_front)

    def get_ttl(self, default_ttl: int | None = None) -> int | None:
        """How long the job may wait (RQ)."""
        return default_ttl if self.ttl is None else self.ttl

    def get_result_ttl(self, default_ttl: int) -> int:
        """How long its result is kept (RQ)."""
        return default_ttl if self.result_ttl is None else self.result_ttl

    # -- names and comparison -----------------------------------------------------------------------------------------

    @classmethod
    def key_for(cls, job_id: str) -> str:
        """RQ's key of the job hash, under RQ's prefix."""
        return f"{cls.redis_job_namespace_prefix}{job_id}"

    @classmethod
    def dependents_key_for(cls, job_id: str) -> str:
        """RQ's key of the set of dependents, under RQ's prefix."""
        return f"{cls.redis_job_namespace_prefix}{job_id}:dependents"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.__class__) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        try:
            enqueued_at = self.enqueued_at
        except DeserializationError:
            enqueued_at = None
        return f"{self.__class__.__name__}({self.id!r}, enqueued_at={enqueued_at!r})"

    def __str__(self) -> str:
        return f"<{self.__class__.__name__} {self.id}: {self.description}>"


_STATUS_OF: Final = {status.value: status for status in JobStatus}
_moment = lru_cache(maxsize=16)(from_ms)
"""Jobs that were enqueued by one command share the time."""


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
