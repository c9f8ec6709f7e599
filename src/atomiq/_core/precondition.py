"""What has to be true before a job's function is called: how it is given, how it is stored with the job, and what
becomes of a job for which it isn't true yet. Pure.

In the job's hash: `requires` says in JSON what is waited for and how long to wait each time, `requires_call` is the
call of the check in the job's serializer, `waits` is the record of what came of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple, Self, TypeAlias

from atomiq._core.backoff import Backoff, Fibonacci, check_backoff, seconds_of
from atomiq._core.callref import call_string, check_call, check_dotted, function_name, import_attribute
from atomiq._core.errors import DeserializationError, InvalidArguments, InvalidFunction, InvalidOption
from atomiq._core.serial import Serializer, dump_call
from atomiq._core.ttl import Duration, check_timeout

TRIES: Final = 5
ERROR_RETRIES: Final = 5
BACKOFF: Final = Fibonacci(0.5)
TIMEOUT: Final = 30.0
MOST_LOOKS: Final = 1000
MOST_WAITS: Final = 50
"""Waits that are remembered with a job: the newest ones."""
LONGEST_ERROR: Final = 200


class Precondition:
    """What a job requires: a check that a worker calls before the job's function. As long as it says False the job
    waits in the schedule, and holds no worker.

    Args:
        check: a function of a module, or its name: 'myapp.ready.order_is_there' or 'myapp.ready:order_is_there'. It may
            be a coroutine function. `get_current_job()` tells it which job it is for.
        args, kwargs: what it is called with.
        what: what is waited for, in words, for logs and errors. Default: the call.
        tries: how often it is looked at most, the first time included. Default 5.
        backoff: a strategy of `atomiq.backoff`, or seconds, between two looks. Default Fibonacci(0.5).
        error_retries: how often it is looked again after the check has raised. Default 5.
        error_backoff: the delays between these. Default: as `backoff`.
        timeout: seconds (or '1m') that one look may take. Default 30.

    Raises:
        InvalidFunction: a ValueError; no function that a worker could import.
        InvalidArguments: a TypeError and ValueError; the check can't be called with these, or a number is none.
        InvalidOption: a ValueError; a number that makes no sense.
    """

    def __init__(
        self,
        check: Callable[..., Any] | str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        what: str | None = None,
        tries: int = TRIES,
        backoff: Backoff | float = BACKOFF,
        error_retries: int = ERROR_RETRIES,
        error_backoff: Backoff | float | None = None,
        timeout: Duration = TIMEOUT,
    ) -> None:
        self.check, function = _resolved(check)
        self.args, self.kwargs = tuple(args), dict(kwargs or {})
        check_call(function, self.args, self.kwargs)
        self.what = str(what) if what is not None else str(call_string(self.check, self.args, self.kwargs))
        self.tries = _count(tries, "tries", 1)
        self.backoff = check_backoff(backoff, "backoff")
        self.error_retries = _count(error_retries, "error_retries", 0)
        self.error_backoff = self.backoff if error_backoff is None else check_backoff(error_backoff, "error_backoff")
        self.timeout = _seconds(timeout)

    def fields(self, serializer: Serializer) -> tuple[str, bytes]:
        """`requires` and `requires_call` of one job; jitter is drawn here.

        Raises:
            UnserializableArguments: a ValueError; what the check is to be called with can't be serialised.
        """
        rule = {
            "what": self.what,
            "waits": self.backoff.delays_ms(self.tries - 1),
            "errors": self.error_backoff.delays_ms(self.error_retries),
            "timeout": self.timeout,
        }
        return json.dumps(rule), dump_call(serializer, self.check, None, self.args, self.kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.what!r}, tries={self.tries}, backoff={self.backoff!r})"


RequiresOption: TypeAlias = Precondition | Callable[..., Any] | str | None
"""What `requires=` of enqueue may be."""


def as_precondition(value: Any) -> Precondition:
    """What `requires=` of enqueue may be.

    Raises:
        InvalidOption: a ValueError; neither a precondition nor a function or its name.
        InvalidFunction: a ValueError; a worker could not import it.
    """
    if isinstance(value, Precondition):
        return value
    if isinstance(value, str) or callable(value):
        return Precondition(value)
    raise InvalidOption(
        "requires must be a function, its dotted name, or one of atomiq.requires, such as Ready or RowExists, not "
        f"{type(value).__name__}: {value!r}"
    )


def _resolved(check: Any) -> tuple[str, Callable[..., Any]]:
    """Dotted name of a check, and the check itself."""
    if isinstance(check, str):
        name = check.replace(":", ".", 1)
        check_dotted(name)
        check = import_attribute(name)
        if isinstance(check, type) or not callable(check):
            raise InvalidFunction(f"requires: {name} is no function: {check!r}")
        return name, check
    if isinstance(check, FunctionType):
        return function_name(check), check
    if isinstance(check, MethodType) and isinstance(check.__self__, type):
        owner = check.__self__
        return _resolved(f"{owner.__module__}.{owner.__qualname__}.{check.__name__}")
    if isinstance(check, type):
        raise InvalidFunction(f"requires: a class is no check, what it makes is always true: {check!r}")
    raise InvalidFunction(
        f"requires: a worker must be able to import the check by a name: give a function of a module, or the dotted "
        f"name, not {type(check).__name__}: {check!r}"
    )


def _count(value: object, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArguments(f"{name} must be a whole number, not {type(value).__name__}: {value!r}")
    if not least <= value <= MOST_LOOKS:
        raise InvalidOption(f"{name} must be from {least} to {MOST_LOOKS}, not {value}")
    return value


def _seconds(timeout: Any) -> float:
    plain = check_timeout(timeout, "timeout") if isinstance(timeout, (str, timedelta)) else timeout
    seconds = seconds_of(plain, "timeout")
    if not seconds:
        raise InvalidOption("timeout: a look needs some time; the default is 30 seconds")
    return seconds


class Wait(NamedTuple):
    """One time that a job was put back, at `at_ms` of the server's clock, for `delay_ms`. `error`: what the check has
    raised; empty if it said that it is not true yet."""

    at_ms: int
    delay_ms: int
    error: str


@dataclass(slots=True)
class Waits:
    """The record of a job's waits. `absent` and `errors` count those since `since_ms`, which belong to run number
    `attempt`: looks before a run that did take place don't count for the next. `log`: the newest MOST_WAITS."""

    attempt: int = 0
    since_ms: int = 0
    absent: int = 0
    errors: int = 0
    log: list[Wait] = field(default_factory=list)

    @classmethod
    def read(cls, raw: bytes | None, attempt: int | None = None) -> Self:
        """As stored; nonsense counts as none. `attempt`: the run that is to follow."""
        waits = cls()
        try:
            found = json.loads(raw or b"[]")
            if found:
                numbers, log = found
                run, since, absent, errors = map(int, numbers)
                said = [Wait(int(at), int(delay), str(error)) for at, delay, error in log]
                waits = cls(run, since, absent, errors, said)
        except (ValueError, TypeError):
            waits = cls()
        if attempt is not None and waits.attempt != attempt:
            waits.attempt, waits.since_ms, waits.absent, waits.errors = attempt, 0, 0, 0
        return waits

    def stored(self) -> bytes:
        numbers = (self.attempt, self.since_ms, self.absent, self.errors)
        return json.dumps((numbers, self.log[-MOST_WAITS:]), separators=(",", ":")).encode()

    @property
    def looks(self) -> int:
        return self.absent + self.errors

    def add(self, delay_ms: int, error: str = "") -> None:
        """One more, the time of which is not known yet."""
        self.log.append(Wait(0, delay_ms, error))


def stamped(record: bytes | None, now_ms: int) -> bytes:
    """A record whose last wait begins now."""
    waits = Waits.read(record)
    if waits.log:
        waits.log[-1] = waits.log[-1]._replace(at_ms=now_ms)
        waits.since_ms = waits.since_ms or now_ms
    return waits.stored()


@dataclass(frozen=True, slots=True)
class Requirement:
    """A precondition as a worker has it. `waits`, `errors`: ms before each further look."""

    what: str
    waits: tuple[int, ...]
    errors: tuple[int, ...]
    timeout: float

    @classmethod
    def read(cls, raw: bytes | str) -> Self:
        """Raises DeserializationError for nonsense."""
        try:
            rule = json.loads(raw)
            waits, errors = tuple(map(int, rule["waits"])), tuple(map(int, rule["errors"]))
            return cls(str(rule["what"]), waits, errors, float(rule["timeout"]))
        except (ValueError, TypeError, KeyError) as error:
            raise DeserializationError(f"job field requires holds {raw[:80]!r}: {error!r}") from error


def error_text(error: BaseException) -> str:
    """An exception in one short line."""
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  an exception is user code too
        text = f"{type(error).__name__}: <this exception can't be shown>"
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    return text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]}..."
