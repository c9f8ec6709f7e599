"""What the bench tells a worker or producer, by its environment."""

from __future__ import annotations

import asyncio
import os

URL = os.environ["BENCH_URL"]
QUEUES = os.environ.get("BENCH_QUEUES", "bench").split(",")
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "1"))
COROUTINES = os.environ.get("BENCH_COROUTINES") == "1"
FAST = os.environ.get("BENCH_FAST") == "1"


def quicker_loop() -> None:
    """uvloop for the event loops that are made from here on, where the mode wants it."""
    if FAST:
        import uvloop  # noqa: PLC0415 (not every environment has it)

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
