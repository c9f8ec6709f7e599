"""Telling workers what to do (RQ's `rq.command`).

Shutdown and kill-horse are messages on the worker's channel: heard by a worker that listens, or not at all. The wish to
stop a job is kept with its execution as well: a worker whose channel is broken learns of it with its next sign of life.
"""

from __future__ import annotations

import json
import os
import signal
from typing import Any, Literal, NamedTuple

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


def parse_payload(payload: Any) -> Any:
    """What a message says: bytes, text, or redis-py's message mapping (RQ). Nothing is checked; see `parse_command`.

    Raises:
        ValueError: not JSON.
    """
    data = payload.get("data") if isinstance(payload, dict) else payload
    return json.loads(data.decode() if isinstance(data, bytes) else str(data))


class RemoteCommand(NamedTuple):
    """What a worker is told. `job_id` is empty except for stop-job."""

    name: Literal["shutdown", "kill-horse", "stop-job"]
    job_id: str = ""


class BadCommand(ValueError):
    """A message that is no command; the text says why."""


def parse_command(payload: Any) -> RemoteCommand:
    """The command in a message, checked: what a worker does about it is its own affair.

    Raises:
        BadCommand: a ValueError; no command, an unknown one, or stop-job without a job id.
    """
    try:
        message = parse_payload(payload)
    except ValueError as error:
        raise BadCommand(f"not JSON: {payload!r:.100}") from error
    if not isinstance(message, dict) or "command" not in message:
        raise BadCommand(f"not an object with a command: {payload!r:.100}")
    name = message["command"]
    if name not in ("shutdown", "kill-horse", "stop-job"):
        raise BadCommand(f"unknown command {name!r}")
    job_id = message.get("job_id", "") if name == "stop-job" else ""
    if name == "stop-job" and not (isinstance(job_id, str) and job_id):
        raise BadCommand("stop-job without a job id")
    return RemoteCommand(name, job_id)


def handle_command(worker: Any, payload: dict[str, Any]) -> None:
    """Let a worker of this process do what a parsed message says (RQ), for who writes a loop of his own. An unknown
    command is ignored.

    Raises:
        KeyError: there is no `command` in it.
    """
    name = payload["command"]
    if name == "stop-job":
        handle_stop_job_command(worker, payload)
    elif name == "shutdown":
        handle_shutdown_command(worker)
    elif name == "kill-horse":
        handle_kill_worker_command(worker, payload)


def handle_shutdown_command(worker: Any) -> None:
    """Warm shutdown (RQ): SIGINT to this process."""
    worker.log.info("Worker %s: received the command to shut down", worker.name)
    os.kill(os.getpid(), signal.SIGINT)


def handle_kill_worker_command(worker: Any, payload: dict[str, Any]) -> None:
    """Kill the process that runs the worker's job (RQ); nothing if there is none."""
    worker.log.info("Worker %s: received the command to kill its work horse", worker.name)
    if worker.horse_pid:
        worker.kill_horse()
    else:
        worker.log.info("Worker %s: it has none, command ignored", worker.name)


def handle_stop_job_command(worker: Any, payload: dict[str, Any]) -> None:
    """Stop the job that a message names (RQ); nothing if the worker doesn't run it."""
    job_id = payload.get("job_id")
    if job_id and worker.get_current_job_id() == job_id:
        worker._stopped_job_id = job_id  # noqa: SLF001 - RQ's sign, read when the work horse has gone
        worker.kill_horse()
    else:
        worker.log.info("Worker %s: not working on job %s, command ignored", worker.name, job_id)
