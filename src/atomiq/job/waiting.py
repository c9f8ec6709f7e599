"""When a job runs again, and what it waits for before it runs at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from atomiq._core.backoff import whole_seconds
from atomiq._core.callref import import_attribute
from atomiq._core.precondition import Requirement, Waits, as_precondition
from atomiq._core.serial import load_call
from atomiq._core.timestamp import from_ms
from atomiq._core.values import Retry
from atomiq.job.call import JobCall


class Wait(NamedTuple):
    """One time that a job was put back into its schedule, as what it requires was not there.

    `at`: when, by the server's clock; `seconds`: for how long; `error`: what looking for it has raised, None if it was
    plainly not there.
    """

    at: datetime
    seconds: float
    error: str | None


class WaitingJob(JobCall):
    """A job's Retry and its precondition."""

    def _take_retry(self, retry: Retry) -> None:
        self.retries_left = retry.max
        self.enqueue_at_front_on_retry = retry.enqueue_at_front
        delays = retry.delays_ms()
        self.retry_intervals = retry.intervals if delays is None else whole_seconds(delays)
        mine = self.__dict__
        for name, value in (("retry_ms", delays), ("retry_on", retry.on), ("retry_unless", retry.unless)):
            if value:
                mine[name] = list(value)
            elif name in mine or self.raw.get(name.encode()):
                mine[name] = None

    def require(self, requires: Any) -> None:
        """Have it wait for something each time before it runs; to be called before it is enqueued.

        Args:
            requires: one of `atomiq.requires`, a function, or its dotted name.

        Raises:
            InvalidInput: a ValueError; it can't be used, the message says why.
        """
        self._requires, self._requires_call = as_precondition(requires).fields(self.serializer)

    @property
    def requires(self) -> str | None:
        """What it waits for before it runs, in words; None for nothing. Raises DeserializationError."""
        stored = self._requires
        return None if not stored else Requirement.read(stored).what

    def required_call(self) -> tuple[Callable[..., Any], Sequence[Any], Mapping[str, Any]]:
        """The check of what it requires, imported, and what it is to be called with.

        Raises:
            DeserializationError: it can't be read. InvalidFunction: a ValueError; it can't be imported here.
        """
        name, _, args, kwargs = load_call(self.serializer, self._requires_call or b"")
        return import_attribute(name), args, kwargs

    @property
    def waits(self) -> list[Wait]:
        """How often it was put back, as what it requires was not there: the newest 50, oldest first."""
        return [
            Wait(from_ms(at), delay / 1000, error or None) for at, delay, error in Waits.read(self._waits or None).log
        ]
