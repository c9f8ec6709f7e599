"""Puts jobs into a queue through one peer's own client, and says what it took.

    python producer.py MODULE fill PLAN        PLAN: noop:0:100,slow:100:1 (function, first number, how many)
    python producer.py MODULE one PLAN         one call a job
    python producer.py MODULE many PLAN        the peer's bulk call, 1,000 jobs at a time
    python producer.py MODULE paced PLAN GAP   one call a job, GAP to 1.5 GAP milliseconds apart

All but `fill` send a warm-up first (numbers below zero), say `ready`, and begin when a line arrives.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from record import ENQUEUED, record

BATCH = 1000
WARM_UP = 20


def read_plan(text: str) -> list[tuple[str, range]]:
    """[(function, numbers)]."""
    parts = [part.split(":") for part in text.split(",")]
    return [(function, range(int(first), int(first) + int(count))) for function, first, count in parts]


async def one_by_one(producer: Any, plan: list[tuple[str, range]]) -> None:
    for function, numbers in plan:
        for number in numbers:
            await producer.one(function, number)


async def in_bulk(producer: Any, plan: list[tuple[str, range]]) -> None:
    for function, numbers in plan:
        for first in range(0, len(numbers), BATCH):
            await producer.many(function, list(numbers[first : first + BATCH]))


async def paced(producer: Any, plan: list[tuple[str, range]], gap_ms: float) -> None:
    for function, numbers in plan:
        for number in numbers:
            # Not on a grid: a worker that polls must not fall into step with it.
            time.sleep(gap_ms * random.uniform(1, 1.5) / 1000)  # noqa: ASYNC251 (nothing else runs on this loop)
            record(number, ENQUEUED)
            await producer.one(function, number)


async def timed(action: Callable[[], Awaitable[None]]) -> dict[str, float]:
    print("ready", flush=True)
    sys.stdin.readline()
    started, cpu = time.perf_counter(), time.process_time()
    await action()
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}


async def main() -> None:
    """One action, then the end."""
    module, action, plan = sys.argv[1], sys.argv[2], read_plan(sys.argv[3])
    async with importlib.import_module(module).producer() as producer:
        bulk = hasattr(producer, "many")
        if action == "fill":
            await (in_bulk if bulk else one_by_one)(producer, plan)
            print("{}")
            return
        warm_up = [(plan[0][0], range(-WARM_UP if action != "paced" else -1, 0))]
        if action == "many":
            if not bulk:
                print("ready", flush=True)
                sys.stdin.readline()
                print(json.dumps({"no_bulk": True}), flush=True)
                return
            await in_bulk(producer, warm_up)
            figures = await timed(lambda: in_bulk(producer, plan))
        elif action == "one":
            await one_by_one(producer, warm_up)
            figures = await timed(lambda: one_by_one(producer, plan))
        else:
            await one_by_one(producer, warm_up)
            figures = await timed(lambda: paced(producer, plan, float(sys.argv[4])))
        print(json.dumps(figures), flush=True)
        # What the account of the server is read for comes before the goodbyes on its connections.
        sys.stdin.readline()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(main())
    except ImportError:
        asyncio.run(main())
