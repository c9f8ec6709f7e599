"""Telling workers what to do, with asyncio."""

from __future__ import annotations

from typing import Any

from atomiq._commands.change import stop
from atomiq._wire.aio import AsyncStore
from atomiq.command import check_stopped, command_message


async def send_command(connection: Any, worker_name: str, command: str, **kwargs: Any) -> None:
    """Send a command with its arguments to the worker of this name. Nobody answers."""
    store = AsyncStore.of(connection)
    await store.run(command_message(store.keys, worker_name, command, **kwargs))


async def send_shutdown_command(connection: Any, worker_name: str) -> None:
    """Ask a worker to end once its running jobs have ended."""
    await send_command(connection, worker_name, "shutdown")


async def send_kill_horse_command(connection: Any, worker_name: str) -> None:
    """Ask a worker to kill the process that runs its job; the job fails, or is retried if it has retries left."""
    await send_command(connection, worker_name, "kill-horse")


async def send_stop_job_command(connection: Any, job_id: str, serializer: Any = None) -> None:
    """Stop a running job. Raises NoSuchJobError, or InvalidJobOperation: it isn't running."""
    store = AsyncStore.of(connection)
    check_stopped(job_id, await store.run(stop(store.keys, job_id=job_id)))
