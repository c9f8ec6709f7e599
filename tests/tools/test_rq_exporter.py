"""rq-exporter: what Prometheus reads is what is there."""

from __future__ import annotations

import re

import redis
from tests.tools.programs import Programs, free_port
from tests.tools.states import idle_worker, one_of_each

COUNTS = {"queued": 2, "started": 1, "finished": 1, "failed": 2, "deferred": 1, "scheduled": 1}


def samples(text: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Labels, sorted, and value of each sample of a metric."""
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return {tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels))): float(value) for labels, value in found}


def test_metrics(programs: Programs, connection: redis.Redis) -> None:
    one_of_each(connection)
    idle_worker(programs, connection, "meter")
    port = free_port()
    command = ("rq-exporter", "--host", "127.0.0.1", "--port", str(port), "--redis-url", programs.url)
    text = programs.serve(*command, port=port).get("/metrics")
    jobs = samples(text, "rq_jobs")
    assert {dict(labels)["status"]: count for labels, count in jobs.items() if ("queue", "mail") in labels} == COUNTS
    assert samples(text, "rq_workers") == {(("name", "meter"), ("queues", "other"), ("state", "idle")): 1.0}
    for metric in ("success_total", "failed_total", "working_time_total"):
        assert samples(text, f"rq_workers_{metric}") == {(("name", "meter"), ("queues", "other")): 0.0}
    assert "rq_request_processing_seconds" in text
    assert connection.zcard("rq:wip:mail") == 1, "reading has changed nothing"
