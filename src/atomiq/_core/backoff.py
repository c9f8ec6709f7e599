"""Back-off strategies: how long to wait before each next try. Pure; whoever uses one says how often."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from atomiq._core.errors import InvalidArguments, InvalidOption

MOST_DELAYS: Final = 1000
"""The delays of one job are stored with it as a list; no longer one than this."""
LONGEST: Final = 1000 * 365 * 86400.0
"""Seconds. What a strategy would make longer is this."""


class Source(Protocol):
    """Where random numbers come from, such as `random.Random(7)`."""

    def random(self) -> float: ...


def seconds_of(value: object, name: str) -> float:
    """A number of seconds, from 0 on.

    Raises:
        InvalidArguments: a TypeError and ValueError; no number. InvalidOption: a ValueError; negative, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidArguments(f"{name} must be a number of seconds, not {type(value).__name__}: {value!r}")
    if not 0 <= value <= LONGEST:
        raise InvalidOption(f"{name} must be from 0 to a thousand years in seconds, not {value!r}")
    return float(value)


@dataclass(frozen=True)
class Backoff:
    """Base of the strategies.

    Args:
        max: seconds that no delay is longer than. Default: no limit.
        jitter: the part of each delay that is left to chance, from 0 to 1: a delay of 10 s with jitter 0.5 becomes 5 to
            10 s. True is 0.5, False (default) is 0. A delay is never made longer than it was.

    Raises:
        InvalidOption: a ValueError; a negative number, a jitter outside of 0 to 1.
        InvalidArguments: a TypeError and ValueError; no number.
    """

    max: float | None = field(default=None, kw_only=True)
    jitter: bool | float = field(default=False, kw_only=True)

    _counts: ClassVar[tuple[str, ...]] = ()
    """Fields that are seconds."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        for each in (*self._counts, *(() if self.max is None else ("max",))):
            seconds_of(getattr(self, each), f"{name}: {each}")
        if not isinstance(self.jitter, (bool, int, float)):
            raise InvalidArguments(f"{name}: jitter must be True, False or a number, not {self.jitter!r}")
        if not 0 <= self.jitter <= 1:
            raise InvalidOption(f"{name}: jitter must be from 0 to 1, not {self.jitter!r}")

    def delay(self, count: int) -> float:
        """Seconds before the try that follows `count` others (0: the first one that is made again), without jitter."""
        try:
            seconds = self._delay(count)
        except OverflowError:
            seconds = LONGEST
        return min(seconds, LONGEST if self.max is None else self.max, LONGEST)

    def _delay(self, count: int) -> float:
        raise NotImplementedError

    def delay_ms(self, count: int, source: Source | None = None) -> int:
        """The same in milliseconds, with jitter. `source`: of chance; by default Python's own."""
        seconds = self.delay(count)
        part = 0.5 if self.jitter is True else float(self.jitter)
        if part:
            seconds *= 1 - part * (source or random).random()
        return round(seconds * 1000)

    def delays_ms(self, count: int, source: Source | None = None) -> list[int]:
        """The first `count` of these.

        Raises:
            InvalidOption: a ValueError; more than MOST_DELAYS.
        """
        if count > MOST_DELAYS:
            raise InvalidOption(f"with a back-off there are at most {MOST_DELAYS} tries, as each has a delay: {count}")
        return [self.delay_ms(number, source) for number in range(count)]


@dataclass(frozen=True)
class Constant(Backoff):
    """The same delay every time: `Constant(5)` is 5, 5, 5 s ..."""

    seconds: float = 1.0
    _counts: ClassVar[tuple[str, ...]] = ("seconds",)

    def _delay(self, count: int) -> float:
        return float(self.seconds)


@dataclass(frozen=True)
class Linear(Backoff):
    """Longer by the same amount every time: `Linear(2)` is 2, 4, 6 s ..., `Linear(2, step=1)` is 2, 3, 4 s ..."""

    first: float = 1.0
    step: float | None = None
    _counts: ClassVar[tuple[str, ...]] = ("first",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step is not None:
            seconds_of(self.step, "Linear: step")

    def _delay(self, count: int) -> float:
        return self.first + (self.first if self.step is None else self.step) * count


@dataclass(frozen=True)
class Exponential(Backoff):
    """Multiplied every time: `Exponential(1)` is 1, 2, 4, 8 s ..., `Exponential(1, factor=3)` is 1, 3, 9 s ..."""

    first: float = 1.0
    factor: float = 2.0
    _counts: ClassVar[tuple[str, ...]] = ("first",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.factor, bool) or not isinstance(self.factor, (int, float)):
            raise InvalidArguments(f"Exponential: factor must be a number, not {self.factor!r}")
        if not (self.factor >= 1 and math.isfinite(self.factor)):
            raise InvalidOption(f"Exponential: factor must be at least 1, not {self.factor!r}")

    def _delay(self, count: int) -> float:
        return float(self.first * self.factor**count) if self.first else 0.0


@dataclass(frozen=True)
class Fibonacci(Backoff):
    """The sum of the last two every time: `Fibonacci(0.5)` is 0.5, 0.5, 1, 1.5, 2.5, 4 s ..."""

    first: float = 1.0
    _counts: ClassVar[tuple[str, ...]] = ("first",)

    def _delay(self, count: int) -> float:
        before, now = 0, 1
        for _ in range(count):
            before, now = now, before + now
        return self.first * now


for _kind in (Backoff, Constant, Linear, Exponential, Fibonacci):
    _kind.__module__ = "atomiq.backoff"  # a returned Retry is pickled with one of them


def check_backoff(value: Any, name: str) -> Backoff:
    """A strategy; a number of seconds is a constant one.

    Raises:
        InvalidOption: a ValueError; neither.
    """
    if isinstance(value, Backoff):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Constant(value)
    raise InvalidOption(
        f"{name} must be a back-off such as atomiq.backoff.Exponential(1), or seconds, not {type(value).__name__}: "
        f"{value!r}"
    )


def whole_seconds(delays_ms: list[int]) -> list[int]:
    """Milliseconds as RQ counts: whole seconds, rounded up."""
    return [-(-delay // 1000) for delay in delays_ms]
