"""Remote commands as RQ publishes them on a worker's channel: JSON objects with a `command`."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

COMMANDS = ("shutdown", "kill-horse", "stop-job")


class RemoteCommand(NamedTuple):
    """`job_id` is empty except for stop-job."""

    name: Literal["shutdown", "kill-horse", "stop-job"]
    job_id: str = ""


class BadCommand(ValueError):
    """A message that is no command; the text says why."""


def parse_command(payload: bytes) -> RemoteCommand:
    """The command in a message.

    Raises:
        BadCommand: not JSON, not an object, no command, an unknown one, or stop-job without a job id.
    """
    try:
        message = json.loads(payload)
    except ValueError as error:
        raise BadCommand(f"not JSON: {payload[:100]!r}") from error
    if not isinstance(message, dict) or "command" not in message:
        raise BadCommand(f"not an object with a command: {payload[:100]!r}")
    name = message["command"]
    if name not in COMMANDS:
        raise BadCommand(f"unknown command {name!r}")
    job_id = message.get("job_id", "") if name == "stop-job" else ""
    if name == "stop-job" and not (isinstance(job_id, str) and job_id):
        raise BadCommand("stop-job without a job id")
    return RemoteCommand(name, job_id)
