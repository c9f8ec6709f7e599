"""Sending a command now, or with a caller's asyncio pipeline."""

from __future__ import annotations

from typing import TypeVar

from atomiq._commands.base import Command
from atomiq._wire.aio import AsyncStore

R = TypeVar("R")


async def send(store: AsyncStore, command: Command[R], pipeline: object = None) -> R | None:
    """The command's answer; None when it only went into a caller's pipeline."""
    if pipeline is None:
        return await store.run(command)
    store.queue_in(pipeline, command)
    return None
