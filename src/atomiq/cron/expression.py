"""Cron expressions in a time zone.

What an expression says is local time. Where the clocks are put forward, a time that doesn't exist stands for the first
instant after the gap; where they are put back, a time that there is twice stands for the first of the two. Both would
be wrong for an expression that is meant for every hour (`*` in the hours): that one goes by real time, so that
`*/10 * * * *` is never silent for an hour.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from croniter.croniter import CroniterBadCronError, CroniterBadDateError, CroniterError

from atomiq._core.errors import InvalidOption
from atomiq._core.timestamp import from_ms, to_ms
from atomiq._core.wallclock import instant_of, repetition_ahead, wall_of

NEVER: Final = to_ms(datetime(9000, 1, 1, tzinfo=UTC))
"""The tick after the last one of an expression that names years; the longest jitter leads to no year above 9999."""
_SECOND = timedelta(seconds=1)
_RANDOM = re.compile(r"(^|[\s,])R", re.IGNORECASE)
_HASHED = re.compile(r"(^|[\s,])H", re.IGNORECASE)


class InvalidCron(InvalidOption, CroniterBadCronError):  # type: ignore[misc] # croniter is untyped
    """Not a cron expression, or one that never comes true. A ValueError, and what RQ raises too."""


class CronExpression:
    """A cron expression in croniter's dialect, which is RQ's: five fields, a sixth for seconds, a seventh for years.

    Args:
        text: such as '*/5 * * * *'.
        zone: whose clocks it goes by.
        name: of the entry; what `H` in the expression is computed from.

    Raises:
        InvalidCron: a ValueError; says what is wrong with it.
    """

    def __init__(self, text: str, zone: tzinfo, name: str) -> None:
        if not isinstance(text, str):
            raise InvalidCron(f"cron={text!r}: a cron expression is a string such as '*/5 * * * *'")
        if _RANDOM.search(text):
            raise InvalidCron(
                f"cron={text!r}: R is random, so each process would have other times. H is as good as random and the "
                "same everywhere; or use jitter="
            )
        self.text = text
        self.zone = zone
        self._hash_id = name.encode() if _HASHED.search(text) else None
        try:
            found = self._from(datetime.now(UTC))
        except (CroniterError, KeyError, TypeError, AttributeError) as error:
            raise InvalidCron(f"cron={text!r}: {error}") from error
        self._every_hour = found.expanded[1] == ["*"]
        self._walls = found
        if self._next_wall(datetime.now(UTC)) is None:
            raise InvalidCron(f"cron={text!r} never comes true from now on")

    def after(self, base: int, anchor: int = 0) -> int:
        """The first tick later than `base`; NEVER when there is none."""
        instant = from_ms(base // 1000 * 1000)
        found = self._every_hour_after(instant) if self._every_hour else self._fixed_after(instant)
        return NEVER if found is None else to_ms(found)

    def latest(self, now: int, anchor: int = 0) -> int:
        """The last tick not later than `now`; 0 when there was none."""
        wall: datetime | None = wall_of(from_ms(now // 1000 * 1000), self.zone)
        while wall is not None and (wall := self._last_wall(wall)) is not None:
            instant = instant_of(wall, self.zone)
            if not self._every_hour or wall_of(instant, self.zone) == wall:
                break
            wall = wall_of(instant - _SECOND, self.zone)  # within a gap, where real time has no tick: go on before it
        if wall is None:
            return 0
        tick = to_ms(instant)
        while (following := self.after(tick)) <= now:
            tick = following
        return tick

    def _fixed_after(self, instant: datetime) -> datetime | None:
        wall: datetime | None = wall_of(instant, self.zone)
        while wall is not None and (wall := self._next_wall(wall)) is not None:
            found = instant_of(wall, self.zone)
            if found > instant:
                return found
        return None

    def _every_hour_after(self, instant: datetime) -> datetime | None:
        following = self._existing_after(instant)
        repeated = repetition_ahead(instant, self.zone)
        if repeated is not None:
            again = wall_of(repeated, self.zone)
            wall = self._next_wall(again - _SECOND)
            if wall is not None and wall <= wall_of(instant, self.zone):
                second = repeated + (wall - again)
                return second if following is None else min(second, following)
        return following

    def _existing_after(self, instant: datetime) -> datetime | None:
        """The first time later than `instant` that a clock shows, of two alike the earlier one that is later."""
        wall: datetime | None = wall_of(instant, self.zone)
        while wall is not None and (wall := self._next_wall(wall)) is not None:
            both = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
            found = [each for each in both if each > instant and wall_of(each, self.zone) == wall]
            if found:
                return min(found)
        return None

    def _next_wall(self, wall: datetime) -> datetime | None:
        self._walls.set_current(wall.replace(tzinfo=UTC), force=True)
        try:
            found: datetime = self._walls.get_next(datetime)
        except (CroniterBadDateError, OverflowError):
            return None
        return found.replace(tzinfo=None, fold=0)  # croniter may set fold, even in UTC

    def _last_wall(self, wall: datetime) -> datetime | None:
        """The last time that a clock may show, `wall` included."""
        self._walls.set_current((wall + _SECOND).replace(tzinfo=UTC), force=True)
        try:
            found: datetime = self._walls.get_prev(datetime)
        except CroniterBadDateError:
            return None
        return found.replace(tzinfo=None, fold=0)

    def _from(self, wall: datetime) -> croniter:
        return croniter(self.text, wall.replace(tzinfo=UTC), hash_id=self._hash_id)


def zone_of(given: str | tzinfo) -> tzinfo:
    """The time zone of a name such as 'Europe/Berlin'; also of a zone object, if every process can find it by its name.

    Raises:
        InvalidOption: a ValueError; there is no such zone.
    """
    try:
        return UTC if str(given) == "UTC" else ZoneInfo(str(given) if isinstance(given, tzinfo) else given)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise InvalidOption(
            f"timezone={given!r}: there is no such time zone. Names are such as 'Europe/Berlin'; a machine that has "
            "none gets them with the package tzdata"
        ) from error
