"""Messages to workers: what they say, and what a worker of this process does about them (RQ's rq.command)."""

from __future__ import annotations

import json
import logging
import os
import signal
from typing import Any

import pytest

from atomiq.command import BadCommand, RemoteCommand, handle_command, parse_command, parse_payload


class Worker:
    """As far as a command needs one."""

    name = "w"
    log = logging.getLogger("atomiq.worker")

    def __init__(self, horse_pid: int = 5) -> None:
        self.horse_pid = horse_pid
        self._stopped_job_id: str | None = None
        self.killed = 0

    def get_current_job_id(self) -> str:
        return "mine"

    def kill_horse(self) -> None:
        self.killed += 1


@pytest.mark.parametrize("form", ["bytes", "text", "message"])
def test_what_a_message_says(form: str) -> None:
    said = {"command": "stop-job", "job_id": "j"}
    text = json.dumps(said)
    payload: Any = {"bytes": text.encode(), "text": text, "message": {"type": "message", "data": text.encode()}}[form]
    assert parse_payload(payload) == said
    assert parse_command(payload) == RemoteCommand("stop-job", "j")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nope", "not JSON"),
        ("[1]", "not an object"),
        ('{"a": 1}', "not an object with a command"),
        ('{"command": "dance"}', "unknown"),
        ('{"command": ["shutdown"]}', "unknown"),
        ('{"command": "stop-job"}', "without a job id"),
        ("\udcff", "not JSON"),
    ],
)
def test_a_message_that_is_no_command(text: str, why: str) -> None:
    with pytest.raises(BadCommand, match=why):
        parse_command(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("said", "killed", "stopped"),
    [
        ({"command": "kill-horse"}, 1, None),
        ({"command": "stop-job", "job_id": "mine"}, 1, "mine"),
        ({"command": "stop-job", "job_id": "another"}, 0, None),
        ({"command": "stop-job"}, 0, None),
        ({"command": "unknown"}, 0, None),
    ],
)
def test_what_a_worker_does(said: dict[str, str], killed: int, stopped: str | None) -> None:
    worker = Worker()
    handle_command(worker, said)
    assert (worker.killed, worker._stopped_job_id) == (killed, stopped)


def test_nothing_is_killed_when_idle() -> None:
    worker = Worker(horse_pid=0)
    handle_command(worker, {"command": "kill-horse"})
    assert worker.killed == 0


def test_a_shutdown_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    handle_command(Worker(), {"command": "shutdown"})
    assert sent == [(os.getpid(), signal.SIGINT)]


def test_no_command_at_all() -> None:
    with pytest.raises(KeyError):
        handle_command(Worker(), {})
