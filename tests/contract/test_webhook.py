"""Webhook: what it takes, how it is stored, what it says; sending is tested with the executors."""

from __future__ import annotations

import json
import logging
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
import rq
import rq.job
from tests.contract.jobs import add
from tests.executors.receiver import receiver

import atomiq.webhook as sending
from atomiq import Job, JobStatus, Queue, Webhook
from atomiq.exceptions import InvalidOption

URL = "https://example.com/x"
ENUM: Any = JobStatus.FINISHED
BAD: list[dict[str, Any]] = [
    {"url": "ftp://x"},
    {"url": "http://"},
    {"url": "http://[/"},
    {"url": 5},
    {"job_status": "stopped"},
    {"method": "get"},
    {"method": "PUT"},
    {"headers": ["a"]},
    {"timeout": 0},
    {"timeout": 1.5},
    {"timeout": "5"},
    {"timeout": None},
]


@pytest.fixture
def queue(redis_connection: redis.Redis) -> Queue:
    return Queue(connection=redis_connection)


@pytest.mark.parametrize("given", BAD, ids=str)
def test_what_is_no_webhook(given: dict[str, Any]) -> None:
    """RQ refuses the same, with the same types of exceptions."""
    arguments = {"url": URL, "job_status": "finished", **given}
    with pytest.raises((ValueError, TypeError)) as theirs:
        rq.Webhook(**arguments)
    with pytest.raises(theirs.type):
        Webhook(**arguments)


def test_as_it_is_stored() -> None:
    webhook = Webhook(URL, "failed", method="POST", headers={"X-A": "b"}, timeout=5)
    theirs = rq.Webhook(URL, "failed", method="POST", headers={"X-A": "b"}, timeout=5)
    assert webhook.to_dict() == theirs.to_dict()
    assert repr(webhook) == repr(theirs)
    assert Webhook.from_dict(webhook.to_dict()) == webhook
    assert Webhook.from_dict({"url": URL, "job_status": "finished"}) == Webhook(URL, "finished")
    assert Webhook(URL, ENUM).job_status == "finished"
    with pytest.raises(KeyError):
        Webhook.from_dict({"url": URL})


def test_of_a_stored_job(queue: Queue) -> None:
    """Either side reads what the other has written."""
    webhooks = [Webhook(URL, "finished", timeout=3), Webhook(URL, "failed", method="POST")]
    ours = queue.enqueue(add, 1, webhooks=webhooks)
    assert ours.webhooks == webhooks
    assert Job.fetch(ours.id, queue.connection).webhooks == webhooks
    read = rq.job.Job.fetch(ours.id, queue.connection)
    assert [each.to_dict() for each in read.webhooks] == [each.to_dict() for each in webhooks]
    theirs = rq.Queue(connection=queue.connection).enqueue(add, 1, webhooks=[rq.Webhook(URL, "finished")])
    assert Job.fetch(theirs.id, queue.connection).webhooks == [Webhook(URL, "finished")]
    assert queue.enqueue(add, 1, webhooks=[rq.Webhook(URL, "finished")]).webhooks == [Webhook(URL, "finished")]


def test_saving_a_job_leaves_its_webhooks_as_they_are(queue: Queue) -> None:
    job = Job.fetch(queue.enqueue(add, 1, webhooks=[Webhook(URL, "finished")]).id, queue.connection)
    assert job.webhooks
    assert "webhooks" not in job.changed_fields(True, True)
    job.webhooks = [Webhook(URL, "failed")]
    job.save()
    assert json.loads(queue.connection.hget(job.key, "webhooks"))[0]["job_status"] == "failed"


@pytest.mark.parametrize("stored", ["zzz", "5", "[5]", '[{"url": "x", "job_status": "finished"}]', "[{}]"])
def test_what_can_not_be_read(queue: Queue, stored: str, caplog: pytest.LogCaptureFixture) -> None:
    job = queue.enqueue(add, 1)
    queue.connection.hset(job.key, "webhooks", stored)
    with caplog.at_level(logging.WARNING, "atomiq.webhook"):
        assert Job.fetch(job.id, queue.connection).webhooks == []
    assert f"Job {job.id}: its webhooks can't be read" in caplog.text


@pytest.mark.parametrize("given", ["x", Webhook(URL, "finished"), [{"url": URL, "job_status": "finished"}], [5], 5])
def test_what_enqueue_does_not_take(queue: Queue, given: Any) -> None:
    with pytest.raises(TypeError, match="webhooks must be"):
        queue.enqueue(add, 1, webhooks=given)


def test_what_it_says(queue: Queue) -> None:
    job = queue.enqueue(add, 1, job_id="mine")
    job.enqueued_at = datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)
    said = {"job_id": "mine", "func_name": "tests.contract.jobs.add", "enqueued_at": "2026-11-21T01:02:03+00:00"}
    finished = {**said, "status": "finished", "ended_at": None}
    assert Webhook(URL, "finished").get_payload(job) == finished
    assert Webhook(URL, ENUM).get_payload(job, exc_string="x") == finished
    assert Webhook(URL, "failed").get_payload(job) == {**finished, "status": "failed", "exc_info": None}
    assert Webhook(URL, "failed").get_payload(job, exc_string="Boom")["exc_info"] == "Boom"


def test_the_arguments_are_not_loaded_for_it(queue: Queue) -> None:
    """The supervisor runs no user code, and the arguments may be what can't be loaded."""
    job = queue.enqueue("no_such_module.f", 1)
    stored = Job.fetch(job.id, queue.connection)
    assert Webhook(URL, "failed").get_payload(stored)["func_name"] == "no_such_module.f"
    assert "_call" not in stored.__dict__
    queue.connection.hset(job.key, "data", "rubbish")
    assert Webhook(URL, "failed").get_payload(Job.fetch(job.id, queue.connection))["func_name"] is None
    written_in_json = Queue(connection=queue.connection, serializer="json").enqueue(add, 1)
    read = Job.fetch(written_in_json.id, queue.connection, serializer="json")
    assert Webhook(URL, "failed").get_payload(read)["func_name"] == "tests.contract.jobs.add"


def test_sending_one(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    job = queue.enqueue(add, 1)
    with receiver() as there:
        Webhook(f"{there.url}/a", "finished", method="POST", headers={"content-type": "text/x"}).send(job)
        (got,) = there.got
        assert (got.said["job_id"], got.headers["Content-Type"]) == (job.id, "text/x")
        job.webhooks = [Webhook(f"{there.url}/b", "finished"), Webhook(f"{there.url}/c", "failed", method="POST")]
        job.send_webhooks(JobStatus.FAILED, exc_string="Boom")
        assert there.paths() == ["/a", "/c"]
        job.send_webhooks("finished")
        assert there.paths() == ["/a", "/b", "/c"]
        assert not caplog.records
        Webhook(f"{there.url}/hold", "finished", timeout=1).send(job)
    assert f"Job {job.id}: the webhook to {there.url}/hold could not be sent: TimeoutError" in caplog.text


def test_it_is_refused_early() -> None:
    with pytest.raises(InvalidOption, match="http"):
        Webhook("example.com", "finished")


@contextmanager
def trickle(head: bytes) -> Iterator[str]:
    """The URL of a server that answers so, and then a letter now and then for ten seconds."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                client.recv(65536)
                client.sendall(head)
                for _ in range(1000):
                    if over.wait(0.01):
                        break
                    client.sendall(b"a")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


@pytest.fixture(params=["nothing", "urlopen was called", "an opener of the user's"])
def user_opener(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What urllib has installed: urlopen leaves an opener behind, too."""
    made = None if request.param == "nothing" else urllib.request.build_opener()
    if made is not None and request.param != "urlopen was called":
        made.addheaders = [("X-Whose", "the user's")]
    monkeypatch.setattr(urllib.request, "_opener", made)


@pytest.mark.usefixtures("user_opener")
@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n"]
)
def test_a_server_that_never_ends(
    queue: Queue, head: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A timeout is for silence. A server that went on for ever, a letter now and then, held the thread that sent: four
    of them, and no webhook left that process any more; the body of a redirect was kept in memory besides."""
    monkeypatch.setattr(sending, "LONGEST_WAY", 0.2)
    job = queue.enqueue(add, 1)
    before = set(threading.enumerate())
    with trickle(head) as url:
        Webhook(url, "finished", timeout=1).send(job)
        assert "TimeoutError: not through within 1 s" in caplog.text
    assert set(threading.enumerate()) <= before


def test_the_opener_that_the_user_installed(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its headers, proxies and certificates; and nothing of it is changed."""
    opener = urllib.request.build_opener()
    opener.addheaders = [("X-Whose", "theirs")]
    monkeypatch.setattr(urllib.request, "_opener", opener)
    job = queue.enqueue(add, 1)
    with receiver() as received:
        Webhook(received.url, "finished").send(job)
        (request,) = received.got
    assert request.headers["X-Whose"] == "theirs"
    assert {getattr(handler, "parent", opener) for handler in opener.handlers} == {opener}
