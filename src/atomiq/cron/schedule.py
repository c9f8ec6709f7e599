"""The options that say when an entry runs, checked; and their text, by which processes agree on an entry's ticks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final

from atomiq._core.cadence import Cadence, Interval, Rule
from atomiq._core.errors import InvalidOption
from atomiq.cron.expression import CronExpression, zone_of

MISSED: Final = ("skip", "once", "all")
OVERLAP: Final = ("allow", "skip", "queue_one")


def rule_of(
    name: str,
    interval: float | None,
    cron: str | None,
    timezone: str | tzinfo,
    jitter: float,
    missed: str,
    overlap: str,
) -> Rule:
    """The rule that these options make. Seconds; an interval of 0 is none, as in RQ.

    Raises:
        InvalidOption: a ValueError; says which option, and what is wrong with it.
    """
    if interval and cron:
        raise InvalidOption("Cannot specify both interval and cron parameters")
    if not interval and not cron:
        raise InvalidOption("Must specify either interval or cron parameter")
    zone = zone_of(timezone)
    every = milliseconds("interval", interval) if interval else 0
    put_off = milliseconds("jitter", jitter) if jitter else 0
    if every and str(zone) != "UTC":
        raise InvalidOption(f"timezone={timezone!r} is for cron expressions; an interval counts real seconds")
    if every and put_off > every:
        raise InvalidOption(f"jitter={jitter!r} is longer than the interval of {interval!r} seconds")
    one_of("missed", missed, MISSED)
    one_of("overlap", overlap, OVERLAP)
    cadence: Cadence = Interval(every) if every else CronExpression(str(cron), zone, name)
    return Rule(name, cadence, put_off, missed)


def schedule_text(interval: float | None, cron: str | None, timezone: str | tzinfo) -> str:
    """What the ticks of an entry follow from, the same text for the same ticks."""
    said: dict[str, Any] = (
        {"interval": float(interval)} if interval else {"cron": " ".join(str(cron).split()), "timezone": str(timezone)}
    )
    return json.dumps(said, sort_keys=True)


def milliseconds(option: str, seconds: Any) -> int:
    """A number of seconds above 0, in milliseconds.

    Raises:
        InvalidOption: a ValueError.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.001 <= seconds < 1e10:
        raise InvalidOption(f"{option}={seconds!r} must be a number of seconds above 0")
    return round(seconds * 1000)


def one_of(option: str, value: str, known: Sequence[str]) -> None:
    """Refuse a word that an option doesn't have. Raises InvalidOption, a ValueError."""
    if value not in known:
        raise InvalidOption(f"{option}={value!r} must be one of {', '.join(map(repr, known))}")
