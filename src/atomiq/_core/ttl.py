"""Durations: RQ's timeout grammar, and which lifetimes make sense."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TypeAlias

from atomiq._core.errors import InvalidTime, TimeoutFormatError

Duration: TypeAlias = int | float | str | timedelta
"""Seconds, numeric text, `'90s'` `'5m'` `'2h'` `'1d'`, or a timedelta."""

_UNIT_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_WITH_UNIT = re.compile(r"([+-]?\d+)([dhms])\Z", re.IGNORECASE)
FOREVER = -1


def parse_timeout(timeout: Duration | None) -> int | None:
    """Whole seconds of a duration, or None for None (RQ). Fractions are cut off.

    Raises:
        TimeoutFormatError: a ValueError; none of the forms of `Duration`.
    """
    if timeout is None or type(timeout) is int:
        return timeout
    if isinstance(timeout, timedelta):
        return int(timeout.total_seconds())
    if isinstance(timeout, str):
        return _parse_text(timeout)
    try:
        return int(timeout)
    except (TypeError, ValueError, OverflowError) as error:
        raise _format_error(timeout) from error


def _parse_text(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        match = _WITH_UNIT.match(text)
        if match is None:
            raise _format_error(text) from None
        return int(match[1]) * _UNIT_SECONDS[match[2].lower()]


def _format_error(timeout: object) -> TimeoutFormatError:
    return TimeoutFormatError(
        f"{timeout!r} is not a duration: give whole seconds, or a text such as '90s', '5m', '2h' or '1d'"
    )


def check_timeout(timeout: Duration | None, name: str = "job_timeout") -> int | None:
    """Seconds a job may run; -1 = no limit; None = not given.

    Raises:
        TimeoutFormatError: not a duration.
        InvalidTime: a ValueError; zero, less than a second, or negative but not -1.
    """
    seconds = parse_timeout(timeout)
    if seconds is None or seconds > 0 or seconds == FOREVER:
        return seconds
    if seconds == 0:
        raise InvalidTime(f"{name}={timeout!r} is less than one second; -1 means no limit")
    raise InvalidTime(f"{name}={timeout!r} is negative; only -1 (no limit) is allowed below zero")


def check_ttl(ttl: Duration | None, name: str = "ttl") -> int | None:
    """Seconds a job may wait in all; None = for ever.

    Raises:
        TimeoutFormatError: not a duration.
        InvalidTime: a ValueError; zero or negative.
    """
    seconds = parse_timeout(ttl)
    if seconds is not None and seconds <= 0:
        raise InvalidTime(f"{name}={ttl!r} must be greater than 0; leave it out for no limit")
    return seconds


def check_keep(ttl: Duration | None, name: str) -> int | None:
    """Seconds to keep a result or a failure; 0 = not at all, -1 = for ever, None = the default.

    Raises:
        TimeoutFormatError: not a duration.
        InvalidTime: a ValueError; negative but not -1.
    """
    seconds = parse_timeout(ttl)
    if seconds is not None and seconds < FOREVER:
        raise InvalidTime(f"{name}={ttl!r} is negative; only -1 (for ever) is allowed below zero")
    return seconds
