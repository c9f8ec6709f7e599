"""rq-dashboard, served: its pages, its data and what its buttons do."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from tests.tools.programs import Programs, Site, free_port
from tests.tools.states import idle_worker, one_of_each

from atomiq import Job, Queue

IDS = {
    "queued": ["queued", "queued2"],
    "started": ["started"],
    "finished": ["finished"],
    "failed": ["failed", "failed2"],
    "deferred": ["deferred"],
    "scheduled": ["scheduled"],
    "canceled": ["canceled"],
}
COUNTS = {f"{state}_job_registry_count": len(ids) for state, ids in IDS.items() if state != "queued"}


@pytest.fixture
def mail(connection: redis.Redis) -> Queue:
    return one_of_each(connection)


@pytest.fixture
def site(programs: Programs, mail: Queue) -> Site:
    port = free_port()
    command = ("rq-dashboard", "--bind", "127.0.0.1", "--port", str(port), "--redis-url", programs.url)
    return programs.serve(*command, port=port)


def jobs_of(site: Site, registry: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.json(f"/0/data/jobs/mail/{registry}/10/asc/1.json")["jobs"]
    return found


def test_what_it_shows(site: Site, programs: Programs, connection: redis.Redis) -> None:
    idle_worker(programs, connection, "shown")
    for page in ("/", "/0/view/workers", "/0/view/jobs", "/0/view/job/failed"):
        assert "<html" in site.get(page)
    (mail,) = [queue for queue in site.json("/0/data/queues.json")["queues"] if queue["name"] == "mail"]
    assert {name: mail[name] for name in ("count", *COUNTS)} == {"count": 2, **COUNTS}
    assert {state: [job["id"] for job in jobs_of(site, state)] for state in IDS} == IDS
    failed = site.json("/0/data/job/failed.json")
    assert failed["status"] == "failed"
    assert failed["description"] == "tool_jobs.add(1, 2)"
    assert "ValueError: Boom" in failed["exc_info"]
    assert site.json("/0/data/job/finished.json")["result"] == 3
    (worker,) = site.json("/0/data/workers.json")["workers"]
    assert (worker["name"], worker["state"], worker["queues"]) == ("shown", "idle", ["other"])


def test_requeue_and_delete_of_a_job(site: Site, mail: Queue) -> None:
    site.post("/job/failed/requeue")
    assert mail.job_ids == ["queued", "queued2", "failed"]
    site.post("/job/queued2/delete")
    site.post("/job/finished/delete")
    assert mail.job_ids == ["queued", "failed"]
    assert Job.fetch_many(["queued2", "finished"], connection=mail.connection) == [None, None]
    assert mail.finished_job_registry.count == 0


def test_requeue_all_and_compact(site: Site, mail: Queue) -> None:
    site.post("/requeue/mail")
    assert mail.failed_job_registry.count == 0
    assert mail.job_ids == ["queued", "queued2", "failed", "failed2"]
    mail.connection.delete("rq:job:queued2")  # as when its hash has expired
    site.post("/queue/mail/compact")
    assert mail.job_ids == ["queued", "failed", "failed2"]


def test_empty(site: Site, mail: Queue) -> None:
    """The queue and the registries that it offers; the jobs are gone, not only their ids."""
    for registry in ("queued", "failed", "finished", "scheduled", "deferred", "canceled"):
        site.post(f"/queue/mail/{registry}/empty")
        assert jobs_of(site, registry) == [], registry
        assert not any(Job.exists(job_id, mail.connection) for job_id in IDS[registry]), registry
    assert [job["id"] for job in jobs_of(site, "started")] == ["started"]
