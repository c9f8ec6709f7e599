"""An ACL user with exactly what docs/scripts.md and docs/operations.md name can enqueue, work and look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests import tasks
from tests.cli.conftest import run_atomiq
from tests.helpers import throwaway_server

from atomiq import Queue

PAGE = Path(__file__).parents[2] / "docs" / "scripts.md"


def documented_commands() -> list[str]:
    section = PAGE.read_text().partition("## Commands")[2]
    return re.findall(r"`(\w+)`", section)


@pytest.fixture(params=[(), ("info", "client")], ids=["all", "neither info nor client"])
def limited_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a user who may do no more. Without CLIENT no worker could start: they name their connections."""
    with throwaway_server() as (path, _pid):
        admin = redis.Redis.from_url(f"unix://{path}")
        rules = [f"+{name}" for name in documented_commands() if name not in request.param]
        admin.execute_command(
            "ACL",
            "SETUSER",
            "app",
            "on",
            ">secret",
            "resetkeys",
            "~rq:*",
            "resetchannels",
            "&rq:pubsub:*",
            "-@all",
            *rules,
        )
        yield f"unix://app:secret@{path}?db=3"
        log = admin.acl_log()
        admin.connection_pool.disconnect()
        assert {entry["object"].partition("|")[0] for entry in log} <= set(request.param)


def test_what_is_documented_is_enough(limited_url: str) -> None:
    connection = redis.Redis.from_url(limited_url)
    queue = Queue(connection=connection)
    job, bad = queue.enqueue(tasks.add, 1, 2), queue.enqueue(tasks.boom)
    later = queue.enqueue(tasks.echo, "later", depends_on=job)
    for words in (("worker", "--burst"), ("info",), ("requeue", "--queue", "default", bad.id), ("empty", "--all")):
        done = run_atomiq(words[0], "--url", limited_url, *words[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    assert (job.return_value(), later.return_value()) == (3, "later")
    assert queue.is_empty()
    connection.connection_pool.disconnect()
