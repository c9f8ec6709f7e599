"""Times: RQ's text form in hashes, milliseconds inside.

A naive datetime that a user passes as a due time is local time, with the zone's rules at that date. A naive datetime in
a job's fields is UTC, as RQ writes it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from atomiq._core.errors import InvalidTime, InvalidTimeType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utcformat(moment: datetime) -> str:
    """`YYYY-MM-DDTHH:MM:SS.ffffffZ`; an aware time is converted to UTC, a naive one is taken as UTC."""
    if moment.tzinfo is not None and moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat("T", "microseconds")[:26] + "Z"


def utcparse(text: str | bytes) -> datetime:
    """Aware UTC time of RQ's text form, with or without fraction.

    Raises:
        ValueError: not a time.
    """
    moment = datetime.fromisoformat(text.decode() if isinstance(text, bytes) else text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_ms(milliseconds: int) -> str:
    """RQ's text form of a server clock value."""
    return utcformat(from_ms(milliseconds))


@lru_cache(16)
def text_of_second(second: int) -> str:
    """A second since 1970 in RQ's form, up to the fraction."""
    return format_ms(second * 1000)[:20]


def from_ms(milliseconds: int) -> datetime:
    """Aware UTC time of integer milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def from_unix(seconds: float) -> datetime:
    """Aware UTC time of seconds since 1970."""
    return EPOCH + timedelta(seconds=seconds)


def to_ms(moment: datetime) -> int:
    """Integer milliseconds since 1970 of an aware time, or of a naive one in local time."""
    return (moment.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)


def check_due(moment: datetime, name: str = "datetime") -> int:
    """Milliseconds since 1970 at which a job is due; never 0, which means at once.

    Raises:
        InvalidTime: a ValueError; not a datetime, or out of the range of times.
    """
    if not isinstance(moment, datetime):
        raise InvalidTimeType(f"{name} must be a datetime.datetime, not {type(moment).__name__}: {moment!r}")
    try:
        return max(to_ms(moment), 1)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidTime(f"{name}={moment!r} is out of range") from error


def check_delay(delay: timedelta, name: str = "time_delta") -> timedelta:
    """A delay that can be added to a time of today; a negative one means at once.

    Raises:
        InvalidTime: a ValueError; not a timedelta, or longer than times can express.
    """
    if not isinstance(delay, timedelta):
        raise InvalidTimeType(f"{name} must be a datetime.timedelta, not {type(delay).__name__}: {delay!r}")
    if delay > _LONGEST_DELAY:
        raise InvalidTime(f"{name}={delay!r} is longer than {_LONGEST_DELAY.days // 365} years")
    return max(delay, timedelta(0))


def due_in(delay: timedelta) -> int:
    """A delay as the due time of a NewJob: the server counts it from when it takes the job, so that this machine's
    clock doesn't matter. -1 minus the milliseconds: below 0 for any.

    Raises:
        InvalidTime: a ValueError; not a timedelta, or longer than times can express.
    """
    return -1 - check_delay(delay) // timedelta(milliseconds=1)


def settled_due(due_ms: int, now: datetime) -> int:
    """A due time that doesn't depend on when the server takes the job: a delay (see `due_in`) counts from `now`."""
    return due_ms if due_ms >= 0 else check_due(now) - due_ms - 1


_LONGEST_DELAY = timedelta(days=365 * 1000)
