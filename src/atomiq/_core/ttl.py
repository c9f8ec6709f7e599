"""Durations: RQ's timeout grammar, and which lifetimes make sense."""

from __future__ import annotations

import re
from datetime import timedelta
from math import isnan
from typing import Any, TypeAlias

from atomiq._core.errors import InvalidTime, TimeoutFormatError, TimeoutTypeError

Duration: TypeAlias = int | float | str | timedelta
"""Seconds, numeric text, `'90s'` `'5m'` `'2h'` `'1d'`, or a timedelta."""

_UNIT_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_WITH_UNIT = re.compile(r"([+-]?\d+)\s*([dhms])\Z", re.IGNORECASE)
FOREVER = -1
LONGEST_SECONDS = 1000 * 365 * 86400
"""A thousand years. A server can't count much further: its EXPIRE would break off a script half way."""


def parse_timeout(timeout: Duration | None) -> int | None:
    """Whole seconds of a duration, or None for None (RQ). Fractions are cut off.

    No limit is set here; the checks below refuse what is longer than a thousand years.

    Raises:
        TimeoutFormatError: a ValueError; none of the forms of `Duration`. Of a wrong type it is a TypeError too.
    """
    if timeout is None or type(timeout) is int:
        return timeout
    if isinstance(timeout, timedelta):
        return int(timeout.total_seconds())
    if isinstance(timeout, str):
        return _parse_text(timeout)
    try:
        return int(timeout)
    except (ValueError, OverflowError) as error:
        raise _format_error(timeout) from error
    except TypeError as error:
        raise TimeoutTypeError(_format_text(timeout)) from error


def _parse_text(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        match = _WITH_UNIT.match(text)
        if match is None:
            raise _format_error(text) from None
        return int(match[1]) * _UNIT_SECONDS[match[2].lower()]


def _format_error(timeout: object) -> TimeoutFormatError:
    return TimeoutFormatError(_format_text(timeout))


def _format_text(timeout: object) -> str:
    return f"{timeout!r} is not a duration: give whole seconds, or a text such as '90s', '5m', '2h' or '1d'"


def check_timeout(timeout: Duration | None, name: str = "job_timeout") -> int | None:
    """Seconds a job may run; -1 = no limit; None = not given.

    Raises:
        TimeoutFormatError: not a duration.
        InvalidTime: a ValueError; zero, less than a second, longer than a thousand years, or negative but not -1.
    """
    seconds = parse_timeout(timeout)
    check_length(seconds, timeout, name)
    if seconds is None or seconds > 0 or seconds == FOREVER:
        return seconds
    if seconds == 0:
        raise InvalidTime(f"{name}={timeout!r} is less than one second; -1 means no limit")
    raise InvalidTime(f"{name}={timeout!r} is negative; only -1 (no limit) is allowed below zero")


def check_ttl(ttl: Duration | None, name: str = "ttl") -> int | None:
    """Seconds a job may wait in all; None = for ever.

    Raises:
        TimeoutFormatError: not a duration.
        InvalidTime: a ValueError; zero, negative or longer than a thousand years.
    """
    seconds = parse_timeout(ttl)
    check_length(seconds, ttl, name)
    if seconds is not None and seconds <= 0:
        raise InvalidTime(f"{name}={ttl!r} must be greater than 0; leave it out for no limit")
    return seconds


def check_keep(ttl: Duration | None, name: str) -> int | None:
    """Seconds to keep a result or a failure; 0 = not at all, -1 = for ever, None = the default.

    Raises:
        TimeoutFormatError: not a duration.
        InvalidTime: a ValueError; negative but not -1, or longer than a thousand years.
    """
    seconds = parse_timeout(ttl)
    check_length(seconds, ttl, name)
    if seconds is not None and seconds < FOREVER:
        raise InvalidTime(f"{name}={ttl!r} is negative; only -1 (for ever) is allowed below zero")
    return seconds


def check_length(seconds: int | None, given: object, name: str) -> None:
    """Refuse what no server can count.

    Raises:
        InvalidTime: a ValueError; longer than a thousand years.
    """
    if seconds is not None and seconds > LONGEST_SECONDS:
        raise InvalidTime(f"{name}={given!r} is longer than a thousand years")


def check_wait(timeout: Any, name: str = "timeout") -> float:
    """Seconds to wait for something, given as a number or a timedelta; None and negative ones are no wait.

    Raises:
        InvalidTime: a ValueError; neither a number nor a timedelta.
    """
    if timeout is None:
        return 0.0
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if not isinstance(timeout, (int, float)) or isnan(timeout):
        raise InvalidTime(f"{name} must be a number of seconds, not {type(timeout).__name__}: {timeout!r}")
    return max(float(timeout), 0.0)
