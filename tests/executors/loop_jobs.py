"""Coroutines that do something to the loop that they share, or leave something on it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from atomiq import get_current_job

_KEPT: list[Any] = []
_READY, _CUT = asyncio.Event(), asyncio.Event()


async def child_exits() -> None:
    async def leave() -> None:
        sys.exit(3)

    await asyncio.create_task(leave())


async def child_interrupts() -> None:
    async def leave() -> None:
        raise KeyboardInterrupt

    async with asyncio.TaskGroup() as group:
        group.create_task(leave())
        group.create_task(asyncio.sleep(60))


async def stop_loop() -> str:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)
    return "stopped"


async def leave_as_a_generator() -> None:
    raise GeneratorExit


async def cancel_all_others() -> str:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0.01)
    return "cancelled"


async def leave_a_thread() -> None:
    """As `asyncio.wait_for(asyncio.to_thread(...), timeout)` does."""
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 20)


async def leave_a_deaf_task() -> None:
    async def deaf() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(20)

    _KEPT.append(asyncio.create_task(deaf()))
    await asyncio.sleep(0)


async def leave_a_generator() -> None:
    async def lines() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(20)

    generator = lines()
    _KEPT.append(generator)
    await anext(generator)


async def cut_all_connections() -> None:
    """Those of this worker, and let `open_many` go on, in the same round of the loop."""
    job = get_current_job()
    assert job is not None
    await _READY.wait()
    while not job.connection.info("clients")["blocked_clients"]:  # noqa: ASYNC110  the child waits for the bell
        await asyncio.sleep(0.001)
    job.connection.client_kill_filter(_type="normal", skipme=True)
    _CUT.set()


async def open_many(count: int) -> list[bytes]:
    """Open so many connections, which get the lowest numbers that are free, and hear something on each."""
    _READY.set()
    await _CUT.wait()
    pairs = [socket.socketpair() for _ in range(count)]
    heard = []
    for here, there in pairs:
        reader, writer = await asyncio.open_connection(sock=here)
        await asyncio.sleep(0.01)  # the station goes on meanwhile
        there.sendall(b"heard\n")
        heard.append(await reader.readline())
        writer.close()
        there.close()
    return heard
