"""The jobs, as plain functions and as coroutine functions. Each returns its number: the result to be stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from record import ENDED, STARTED, record

NAP = 0.001
SLOW = 10.0
HELD = 5.0


def noop(number: int) -> int:
    """Nothing but the record."""
    record(number)
    return number


def nap(number: int) -> int:
    """Sleeps a millisecond."""
    time.sleep(NAP)
    record(number)
    return number


def slow(number: int) -> int:
    """The one that others must not wait for."""
    record(number, STARTED)
    time.sleep(SLOW)
    record(number, ENDED)
    return number


def held(number: int) -> int:
    """The one whose worker is killed."""
    record(number, STARTED)
    time.sleep(HELD)
    record(number, ENDED)
    return number


async def noop_coroutine(number: int) -> int:
    """As noop."""
    record(number)
    return number


async def nap_coroutine(number: int) -> int:
    """As nap."""
    await asyncio.sleep(NAP)
    record(number)
    return number


async def slow_coroutine(number: int) -> int:
    """As slow."""
    record(number, STARTED)
    await asyncio.sleep(SLOW)
    record(number, ENDED)
    return number


async def held_coroutine(number: int) -> int:
    """As held."""
    record(number, STARTED)
    await asyncio.sleep(HELD)
    record(number, ENDED)
    return number


PLAIN: dict[str, Callable[[int], int]] = {"noop": noop, "nap": nap, "slow": slow, "held": held}
COROUTINES: dict[str, Callable[[int], Awaitable[int]]] = {
    "noop": noop_coroutine,
    "nap": nap_coroutine,
    "slow": slow_coroutine,
    "held": held_coroutine,
}
