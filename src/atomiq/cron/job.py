"""CronJob: one entry, that is a call and when to enqueue it (RQ's API)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Self

from atomiq._commands.cron import cron_run, view_cron_history
from atomiq._core.cadence import Rule
from atomiq._core.callref import check_call, reference
from atomiq._core.choices import CHOICES
from atomiq._core.ids import validate_cron_name
from atomiq._core.keys import Keys
from atomiq._core.precondition import RequiresOption
from atomiq._core.record import NewJob
from atomiq._core.settings import DEFAULT_RESULT_TTL
from atomiq._core.timestamp import from_ms, to_ms, utcformat, utcparse
from atomiq._core.ttl import Duration
from atomiq._core.values import Retry
from atomiq._wire.sync import Store
from atomiq.cron.schedule import rule_of, schedule_text
from atomiq.job import Job
from atomiq.queue import Queue
from atomiq.utils import NOT_JSON_SERIALIZABLE, safe_json_dumps
from atomiq.webhook import Webhook, restore_webhooks

OPTIONS = ("job_timeout", "result_ttl", "ttl", "failure_ttl", "meta", "webhooks")
OWN = {"timezone": "UTC", "jitter": 0, "missed": "once", "overlap": "allow"}
"""What RQ doesn't have; shown only where it is not the default, so that RQ's own tools read what they know."""


class CronJob:
    """A call and when to enqueue it.

    Args:
        queue_name: where its jobs go.
        func: the function, or its dotted name. `func_name` alone makes an entry to look at, which can't enqueue (RQ).
        args, kwargs: of the call.
        interval: seconds between two ticks; a fraction is possible.
        cron: an expression such as '*/5 * * * *'; a sixth field is for seconds.
        job_timeout, result_ttl, ttl, failure_ttl, meta, webhooks: as for `Queue.enqueue`.
        name: of the entry; one name, one entry. Default: the function's dotted name.
        timezone: whose clocks the expression goes by, such as 'Europe/Berlin'.
        jitter: seconds within which a tick is put off, by an amount that is the same in every process.
        missed: what becomes of ticks that nobody was there for, for more than a minute: 'skip' them, make up for all of
            them 'once', or for 'all' (the newest 1,000). Default: 'once'; under the alias 'skip', as RQ does.
        overlap: what becomes of a tick whose predecessor's job still waits or runs: 'allow', 'skip' it, or
            'queue_one': enqueue it when that job has ended, at most one.
        retry, requires: as for `Queue.enqueue`.

    Raises:
        InvalidInput: a ValueError; the message says which argument, and what is wrong with it.
    """

    queue_class: Any = Queue
    job_class: Any = None
    serializer: Any = None

    def __init__(
        self,
        queue_name: str,
        func: Callable[..., Any] | str | None = None,
        func_name: str | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        interval: float | None = None,
        cron: str | None = None,
        job_timeout: Duration | None = None,
        result_ttl: Duration | None = DEFAULT_RESULT_TTL,
        ttl: Duration | None = None,
        failure_ttl: Duration | None = None,
        meta: dict[str, Any] | None = None,
        webhooks: Sequence[Webhook] | None = None,
        name: str = "",
        *,
        timezone: str | tzinfo = "UTC",
        jitter: float = 0,
        missed: str | None = None,
        overlap: str = "allow",
        retry: Retry | None = None,
        requires: RequiresOption = None,
    ) -> None:
        if not func and not func_name:
            raise ValueError("Either func or func_name must be provided")
        if func:
            reference(func)
        self.func = func
        self.func_name = dotted(func) if func else str(func_name)
        self.name = name or self.func_name
        validate_cron_name(self.name)
        self.args: Any = tuple(args or ())
        self.kwargs: Any = kwargs or {}
        if func:
            check_call(func, self.args, self.kwargs)
        self.queue_name = queue_name
        self.interval = interval or None
        self.cron = cron or None
        self.timezone, self.jitter, self.overlap = timezone, jitter, overlap
        self.missed = CHOICES.missed if missed is None else missed
        self.rule: Rule | None = rule_of(self.name, self.interval, self.cron, timezone, jitter, self.missed, overlap)
        self.schedule = schedule_text(self.interval, self.cron, timezone)
        given: tuple[Any, ...] = (job_timeout, result_ttl, ttl, failure_ttl, meta, webhooks)
        self.job_options = {option: value for option, value in zip(OPTIONS, given, strict=True) if value is not None}
        own = {"retry": retry, "requires": requires}
        self.own_options = {option: value for option, value in own.items() if value is not None}
        self.latest_enqueue_time: datetime | None = None
        self.next_enqueue_time: datetime | None = None
        if self.cron:
            self.next_enqueue_time = self._time_after(datetime.now(UTC))

    # -- when ---------------------------------------------------------------------------------------------------------

    def should_run(self) -> bool:
        """Whether its next tick has come, by what this object knows and by this machine's clock (RQ)."""
        return self.next_enqueue_time is None or datetime.now(UTC) >= self.next_enqueue_time

    def get_next_enqueue_time(self) -> datetime:
        """When its next tick is, aware, by what this object knows (RQ). Now, for an interval that has had none."""
        return self.next_enqueue_time or datetime.now(UTC)

    def set_enqueue_time(self, time: datetime) -> None:
        """Remember when it was enqueued last, and compute the next tick from it (RQ). Nothing is written."""
        self.latest_enqueue_time = time
        self.next_enqueue_time = self._time_after(time)

    def set_times(self, latest_ms: int | None, next_ms: int) -> None:
        """Remember what a scheduler has learnt from the server."""
        self.latest_enqueue_time = None if latest_ms is None else from_ms(latest_ms)
        self.next_enqueue_time = from_ms(next_ms)

    def _time_after(self, time: datetime) -> datetime:
        if self.interval:
            return time + timedelta(seconds=self.interval)
        rule = self.checked_rule()
        return from_ms(rule.due(rule.cadence.after(to_ms(time), 0)))

    def checked_rule(self) -> Rule:
        """The rule of its ticks. Raises InvalidOption, a ValueError, for an entry that was read and makes no sense."""
        return self.rule or rule_of(
            self.name, self.interval, self.cron, self.timezone, self.jitter, self.missed, self.overlap
        )

    # -- enqueuing ----------------------------------------------------------------------------------------------------

    def enqueue(self, connection: Any) -> Job:
        """Enqueue a job of it now, whatever its schedule says, and note it in the history: one step (RQ).

        Raises:
            ValueError: it has no function; it was read from the server, to be looked at.
            InvalidInput: a ValueError; the arguments can't be serialised.
        """
        job, new = self.make_job(connection)
        store = Store.of(connection)
        job.mark_enqueued("queued", store.run(cron_run(store.keys, name=self.name, job=new)))
        return job

    def make_job(self, connection: Any) -> tuple[Job, NewJob]:
        """A new job of it, and how it is sent. Raises what `enqueue` raises."""
        if not self.func:
            raise ValueError("CronJob has no function to enqueue. It may have been created for monitoring purposes.")
        queue = self.queue_class(
            self.queue_name, connection=connection, job_class=self.job_class, serializer=self.serializer
        )
        options = {**self.job_options, **self.own_options}
        timeout = options.pop("job_timeout", None)
        job: Job = queue.create_job(self.func, args=self.args, kwargs=self.kwargs, timeout=timeout, **options)
        return job, job.to_new_job()

    def get_job_ids(self, connection: Any, start: int = 0, end: int = -1) -> list[str]:
        """Ids of the jobs that came of it, newest first; the last position is included (RQ)."""
        return get_cron_job_ids(self.name, connection, start, end)

    @property
    def job_history_key(self) -> str:
        """Key of the list of these ids, under RQ's prefix (RQ)."""
        return get_cron_job_history_key(self.name)

    # -- to and from text ---------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """What RQ's tools show of it (RQ). What has no JSON form is replaced by a text that says so."""
        shown: dict[str, Any] = {
            "func_name": self.func_name,
            "name": self.name,
            "queue_name": self.queue_name,
            "args": as_json(self.args),
            "kwargs": as_json(self.kwargs),
            "interval": self.interval,
            "cron": self.cron,
            "latest_enqueue_time": as_time(self.latest_enqueue_time),
            "next_enqueue_time": as_time(self.next_enqueue_time),
        }
        for option, value in self.job_options.items():
            if option == "webhooks":
                value = [each.to_dict() for each in value]
            shown[option] = safe_json_dumps(value) if option in ("meta", "webhooks") else value
        own = {name: getattr(self, name) for name in OWN}
        own["timezone"] = str(self.timezone)
        own |= {option: repr(value) for option, value in self.own_options.items()}
        return shown | {name: value for name, value in own.items() if value != OWN.get(name)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """An entry as `to_dict` shows it, to look at: it can't enqueue (RQ)."""
        entry = cls.__new__(cls)  # whatever RQ has accepted can be looked at
        entry.func, entry.func_name, entry.rule = None, data["func_name"], None
        entry.name, entry.queue_name = data.get("name") or entry.func_name, data["queue_name"]
        args = from_json(data.get("args"))
        entry.args = tuple(args) if isinstance(args, list) else args or ()
        entry.kwargs = from_json(data.get("kwargs")) or {}
        entry.interval, entry.cron = data.get("interval"), data.get("cron")
        for name, default in OWN.items():
            setattr(entry, name, data.get(name, default))
        entry.schedule, entry.own_options = "", {}
        entry.job_options = {option: data[option] for option in OPTIONS if data.get(option) is not None}
        if "meta" in entry.job_options:
            entry.job_options["meta"] = from_json(entry.job_options["meta"])
        if "webhooks" in entry.job_options:
            stored = entry.job_options["webhooks"]
            entry.job_options["webhooks"] = restore_webhooks(stored, entry.name, "Cron entry")
        for name in ("latest_enqueue_time", "next_enqueue_time"):
            setattr(entry, name, utcparse(data[name]) if data.get(name) else None)
        return entry

    def definition(self, connection: Any) -> bytes:
        """All that is needed to enqueue a job of it from anywhere: what `to_dict` says, and the job's hash."""
        _, new = self.make_job(connection)
        fields = {name: encoded(value) for name, value in new.fields.items() if name != "created_at"}
        shown = {name: value for name, value in self.to_dict().items() if not name.endswith("_enqueue_time")}
        return json.dumps({**shown, "ttl": new.ttl, "job": fields}).encode()

    def describe(self) -> str:
        """When, where and what, for messages."""
        when = f"every {self.interval} seconds" if self.interval else f"with cron schedule '{self.cron}'"
        return f"{self.func_name} on {self.queue_name} {when}"


def get_cron_job_history_key(name: str) -> str:
    """Key of the list of jobs that came of an entry, under RQ's prefix (RQ)."""
    return Keys().cron_history(name)


def get_cron_job_ids(name: str, connection: Any, start: int = 0, end: int = -1) -> list[str]:
    """Ids of the jobs that came of an entry, newest first; the last position is included (RQ). At most 1,000 are
    remembered, for a year after the last one."""
    store = Store.of(connection)
    return store.run(view_cron_history(store.keys, name=name, start=start, end=end))


def dotted(func: Callable[..., Any] | str) -> str:
    """RQ's name of a function."""
    return func if isinstance(func, str) else f"{func.__module__}.{getattr(func, '__name__', type(func).__name__)}"


def as_json(value: Any) -> str | None:
    return safe_json_dumps(value) if value else None


def from_json(value: Any) -> Any:
    """What `as_json` made a text of; any other value as it is."""
    if not isinstance(value, str) or value == NOT_JSON_SERIALIZABLE:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def as_time(moment: datetime | None) -> str | None:
    return None if moment is None else utcformat(moment)


def encoded(value: Any) -> str:
    """A field of a job hash as text that JSON can hold."""
    return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()


def decoded(text: str) -> bytes:
    """What `encoded` made a text of."""
    return base64.b64decode(text)
