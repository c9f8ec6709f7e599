"""Waiting for a result, asyncio."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import redis.exceptions as redis_errors

from atomiq._wire.aio import AsyncStore, cancellations
from atomiq._wire.aio_packed import lost_with_uvloop
from atomiq._wire.siblings import address_of, single_connection
from atomiq._wire.translate import translated
from atomiq._wire.wait import ANSWER_MARGIN, LONGEST_BLOCK


async def wait_result(store: AsyncStore, job_id: str, after_id: str = "0-0", timeout_s: float = 60.0) -> bool:
    """Wait until the result stream of a job has an entry after `after_id`. Cancelling closes the connection it waits
    on."""
    connection = single_connection(store.connection, socket_timeout=LONGEST_BLOCK + ANSWER_MARGIN)
    deadline = time.monotonic() + timeout_s
    before = cancellations()

    async def ask() -> Any:
        key = store.keys.results(job_id)
        try:
            await connection.connect()
            block_ms = max(1, int(min(deadline - time.monotonic(), LONGEST_BLOCK) * 1000))
            await connection.send_command("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", key, after_id)
        except RuntimeError as error:
            raise lost_with_uvloop(error) from error
        if cancellations() > before:  # see AsyncStore.run
            raise asyncio.CancelledError
        return await connection.read_response(disable_decoding=True)

    async def lose(_: Exception) -> None:
        await connection.disconnect(nowait=True)

    try:
        while time.monotonic() < deadline:
            if await connection.retry.call_with_retry(ask, lose):
                return True
        return False
    except redis_errors.RedisError as error:
        raise translated(error, "XREAD", address_of(store.connection)) from error
    finally:
        await connection.disconnect(nowait=True)
