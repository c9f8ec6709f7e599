"""Sentry's RQ integration: events and traces of jobs arrive at a server, whichever way the jobs are run."""

from __future__ import annotations

import gzip
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from tests.helpers import wait_until
from tests.tools.programs import REFERENCE, Programs

from atomiq import Job

KINDS = ["default"] if REFERENCE else ["process", "fork", "inline"]


class Receiver:
    """What a Sentry server would have got: (kind of item, payload)."""

    def __init__(self) -> None:
        self.items: list[tuple[str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Not to stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.block_on_close = True
        self.dsn = f"http://key@127.0.0.1:{self.server.server_port}/1"

    def take(self, envelope: bytes) -> None:
        lines = envelope.split(b"\n")[1:]
        for header, payload in zip(lines[::2], lines[1::2], strict=False):
            kind = json.loads(header)["type"]
            if kind in ("event", "transaction"):
                self.items.append((kind, json.loads(payload)))

    def of(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Events of the job of this id, or transactions of the function of this name."""
        if kind == "event":
            return [item for found, item in self.items if found == kind and job_data(item).get("job_id") == name]
        return [item for found, item in self.items if found == kind and item["transaction"] == name]


def job_data(item: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = item.get("extra", {}).get("rq-job", {})
    return data


def crumbs(event: dict[str, Any]) -> list[str]:
    return [str(crumb.get("message")) for crumb in event["breadcrumbs"]["values"]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def said(
    request: pytest.FixtureRequest, programs: Programs, receiver: Receiver, connection: redis.Redis
) -> dict[str, str]:
    """What the program of one kind has printed, when it has ended."""
    shutil.copy(Path(__file__).with_name("sentry_worker.py"), programs.folder)
    text = programs.run("sentry_worker.py", request.param, DSN=receiver.dsn)
    return dict(line.split() for line in text.splitlines() if line.startswith(("trace ", "pid ")))


@pytest.mark.parametrize("said", KINDS, indirect=True)
def test_events_and_traces(said: dict[str, str], receiver: Receiver, connection: redis.Redis) -> None:
    """Sent before the child that had them is gone: it ends without the interpreter's own clean-up."""
    wait_until(lambda: receiver.of("event", "twice"), within=20, what="the last event has arrived")
    (event,) = receiver.of("event", "alone")
    assert [error["value"] for error in event["exception"]["values"]] == ["alone"]
    assert event["exception"]["values"][0]["mechanism"] == {"type": "rq", "handled": False}
    assert event["transaction"] == "tool_jobs.boom"
    data = job_data(event)
    assert (data["func"], data["description"]) == ("tool_jobs.boom", "tool_jobs.boom('alone')")
    assert data["started_at"] >= data["enqueued_at"]
    assert [crumb for crumb in crumbs(event) if crumb.startswith("before")] == ["before alone"]
    assert event["tags"]["word"] == "alone"

    (twice,) = receiver.of("event", "twice")
    assert [crumb for crumb in crumbs(twice) if crumb.startswith("before")] == ["before twice"], "and of its own only"
    assert job_data(twice)["started_at"] > data["started_at"], "only when it is not run again"
    everything = [item for kind, item in receiver.items if kind == "event"]
    assert len(everything) == 2, "what the worker logs of it is not reported a second time"

    (traced,) = receiver.of("transaction", "tool_jobs.traced")
    assert "word" not in traced.get("tags", {}), "what earlier jobs said of themselves ended with them"
    assert traced["contexts"]["trace"]["op"] == "queue.task.rq"
    assert traced["contexts"]["trace"]["trace_id"] == said["trace"]
    assert "inner" in [span["description"] for span in traced["spans"]]
    assert Job.fetch("traced", connection=connection).return_value() == said["trace"]
    assert len(receiver.of("transaction", "tool_jobs.boom")) == 3
