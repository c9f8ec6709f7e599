"""The enqueue of a plain job is made from a template: its bytes must be those of the command, whatever the job says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import redis
from tests.tasks import nothing

from atomiq import Job, Queue
from atomiq._commands import enqueue as commands
from atomiq._commands import enqueue_template
from atomiq._commands.base import Command
from atomiq._commands.enqueue import enqueue
from atomiq._commands.enqueue_template import plain_enqueue
from atomiq._core.keys import Keys
from atomiq._core.record import NewJob
from atomiq._wire.packed import packed
from atomiq._wire.sync import Store

FIELDS: dict[str, Any] = {
    "created_at": "2026-11-21T23:04:44.326642Z",
    "data": b"\x80\x05(\x8c\x03\xff\x00\r\n",
    "last_heartbeat": "",
    "origin": "default",
    "description": "tests.tasks.nothing()",
    "timeout": 180,
}
PLAIN = NewJob("a-job", "default", FIELDS)


@pytest.fixture(autouse=True)
def one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (commands, enqueue_template):
        monkeypatch.setattr(module, "time", lambda: 1_795_225_028.574)


def saying(**fields: Any) -> NewJob:
    return replace(PLAIN, fields={**FIELDS, **fields})


@pytest.mark.parametrize(
    "new",
    [
        PLAIN,
        replace(PLAIN, id="b" * 200),
        replace(PLAIN, queue="with blanks: *$", fields={**FIELDS, "origin": "with blanks: *$"}),
        saying(data=b""),
        saying(data=b"\x00" * 100_000),
        saying(description=""),
        saying(description="f('\r\n$3\r\n')"),
        saying(timeout=-1),
        saying(created_at="2026-11-21T23:04:44Z"),
    ],
)
@pytest.mark.parametrize("prefix", ["rq:", "other:"])
def test_the_bytes_are_those_of_the_command(new: NewJob, prefix: str) -> None:
    expected = enqueue(Keys(prefix), jobs=[new])
    command = plain_enqueue(Keys(prefix), new)
    assert command is not None
    assert packed(command) == packed(expected)
    assert packed(command, whole=True) == packed(expected, whole=True)
    assert command.decode(5) == expected.decode(5)
    assert command.decode([b"ok", 5, b"already"]) == expected.decode([b"ok", 5, b"already"])


@pytest.mark.parametrize(
    "new",
    [
        replace(PLAIN, call="again"),
        replace(PLAIN, at_front=True),
        replace(PLAIN, due_ms=1),
        replace(PLAIN, ttl=5),
        replace(PLAIN, after="a-group"),
        replace(PLAIN, depends_on=["another"]),
        replace(PLAIN, allow_failure=True),
        replace(PLAIN, id="j\u00f6b"),
        replace(PLAIN, queue="another"),
        replace(PLAIN, queue="K\u00fcche", fields={**FIELDS, "origin": "K\u00fcche"}),
        saying(description="tests.tasks.nothing('\u00e4')"),
        saying(description="no-utf-8-\udcff"),
        saying(description=5),
        saying(data=bytearray(b"x")),
        saying(data="text"),
        saying(timeout=1.5),
        saying(timeout=True),
        saying(last_heartbeat="2026-11-21T23:04:44.326642Z"),
        saying(group_id="g"),
        replace(PLAIN, fields=dict(reversed(FIELDS.items()))),
    ],
)
def test_what_does_not_fit(new: NewJob) -> None:
    assert plain_enqueue(Keys(), new) is None


def test_a_prefix_that_is_no_ascii() -> None:
    assert plain_enqueue(Keys("\u00fc:"), PLAIN) is None


class Noting(Job):
    def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**super().to_dict(*args, **kwargs), "noted": "1"}


class Other(redis.Redis):
    def execute_command(self, *args: Any, **options: Any) -> Any:
        return super().execute_command(*args, **options)


@pytest.mark.parametrize(
    ("client", "queue", "options", "is_ready"),
    [
        ({}, {}, {}, True),
        ({"protocol": 3}, {}, {}, True),
        ({"decode_responses": True}, {}, {}, True),
        ({}, {"serializer": "json"}, {}, True),
        ({}, {"job_class": Noting}, {}, False),
        ({}, {"executor": "thread"}, {}, False),
        ({}, {}, {"meta": {"a": 1}}, False),
        ({}, {}, {"job_id": "mine"}, False),
        ({}, {}, {"job_id": "mine", "unique": True}, False),
    ],
    ids=str,
)
def test_which_calls_are_plain(
    redis_url: str,
    redis_connection: redis.Redis,
    client: dict[str, Any],
    queue: dict[str, Any],
    options: dict[str, Any],
    is_ready: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Command[Any]] = []
    run = Store.run
    monkeypatch.setattr(Store, "run", lambda store, command: (sent.append(command), run(store, command))[1])
    with redis.Redis.from_url(redis_url, **client) as connection:
        job = Queue("q", connection=connection, **queue).enqueue(nothing, **options)
    assert [command.ready is not None for command in sent] == [is_ready]
    assert redis_connection.hget(f"rq:job:{job.id}", "status") == b"queued"
    assert redis_connection.lrange("rq:queue:q", 0, -1) == [job.id.encode()]


def test_a_client_that_looks_at_each_command(redis_url: str, redis_connection: redis.Redis) -> None:
    with Other.from_url(redis_url) as connection:
        job = Queue("q", connection=connection).enqueue(nothing)
    assert redis_connection.lrange("rq:queue:q", 0, -1) == [job.id.encode()]
