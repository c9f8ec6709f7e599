"""Telling workers what to do (RQ's `rq.command`).

Shutdown and kill-horse are messages on the worker's channel: heard by a worker that listens, or not at all. The wish to
stop a job is kept with its execution as well: a worker whose channel is broken learns of it with its next sign of life.
"""

from __future__ import annotations

import json
from typing import Any

from atomiq._commands.base import Command, plain
from atomiq._commands.change import Changed, stop
from atomiq._core.errors import InvalidJobOperation, NoSuchJobError
from atomiq._core.keys import Keys
from atomiq._wire.sync import Store

PUBSUB_CHANNEL_TEMPLATE = Keys().pubsub("%s")


def command_message(keys: Keys, worker_name: str, command: str, **kwargs: Any) -> Command[int]:
    """The message to one worker; the reply is how many heard it."""
    payload = json.dumps({"command": command, **kwargs})
    return plain("PUBLISH", (keys.pubsub(worker_name), payload), int, safe_to_repeat=True)


def send_command(connection: Any, worker_name: str, command: str, **kwargs: Any) -> None:
    """Send a command with its arguments to the worker of this name. Nobody answers (RQ)."""
    store = Store.of(connection)
    store.run(command_message(store.keys, worker_name, command, **kwargs))


def send_shutdown_command(connection: Any, worker_name: str) -> None:
    """Ask a worker to end once its running jobs have ended."""
    send_command(connection, worker_name, "shutdown")


def send_kill_horse_command(connection: Any, worker_name: str) -> None:
    """Ask a worker to kill the process that runs its job; the job fails, or is retried if it has retries left."""
    send_command(connection, worker_name, "kill-horse")


def send_stop_job_command(connection: Any, job_id: str, serializer: Any = None) -> None:
    """Stop a running job: it becomes `stopped` and is not retried. `serializer` is RQ's and not needed.

    Raises:
        NoSuchJobError: no job with this id.
        InvalidJobOperation: it isn't running.
    """
    store = Store.of(connection)
    check_stopped(job_id, store.run(stop(store.keys, job_id=job_id)))


def check_stopped(job_id: str, changed: Changed) -> None:
    """Raise what a refused stop means."""
    if changed.word == "gone":
        raise NoSuchJobError(f"No such job: {job_id}")
    if changed.word == "not_running":
        raise InvalidJobOperation(f"Job is not currently executing: {job_id} is {changed.was}")


def parse_payload(payload: Any) -> dict[str, Any]:
    """The command in a message: bytes, text, or redis-py's message mapping (RQ).

    Raises:
        ValueError: not a JSON object with a `command`.
    """
    data = payload.get("data") if isinstance(payload, dict) else payload
    text = data.decode() if isinstance(data, bytes) else str(data)
    parsed = json.loads(text)
    if not isinstance(parsed, dict) or not isinstance(parsed.get("command"), str):
        raise ValueError(f"not a command: {text!r}")
    return parsed
