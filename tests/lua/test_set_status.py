"""set_status: somebody says what a job is, and it is where that status says."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.lua.scene import ISO, LEASE, NOW, YEAR, Scene, lease_end

from atomiq._commands.base import Command
from atomiq._commands.change import cancel, set_status
from atomiq._commands.queues import remove_from_queue
from atomiq._core.states import JobStatus

STATUSES = [status.value for status in JobStatus]


def said(scene: Scene, status: str, job_id: str = "a", **options: Any) -> Command[str]:
    if status == "started":
        options = {"worker": "hand", "lease_ms": LEASE, **options}
    return set_status(scene.keys, job_id=job_id, status=status, **{"execution": "x", **options})


def make(scene: Scene, status: str) -> None:
    """Job `a` of this status."""
    if status in ("started", "finished", "failed"):
        getattr(scene, status)()
    elif status == "stopped":
        scene.settle(scene.started(), "stopped")
    elif status == "scheduled":
        scene.put("a", due_ms=NOW + 60_000)
    elif status == "deferred":
        scene.put("parent")
        scene.put("a", depends_on=["parent"])
    else:
        scene.put("a")
    if status == "created":
        scene.run(remove_from_queue(scene.keys, queue="q", job_id="a"))
    if status == "canceled":
        scene.run(cancel(scene.keys, job_id="a"))
    assert scene.redis.hget(scene.keys.job("a"), "status").decode() == status


@pytest.mark.parametrize(("was", "wanted"), list(product(STATUSES, STATUSES)))
def test_from_every_status_to_every_other(scene: Scene, was: str, wanted: str) -> None:
    """The invariants that the fixture checks in the end say where it has to be then."""
    make(scene, was)
    if wanted == "deferred" and was != wanted:
        scene.put("open")
        scene.redis.sadd(scene.keys.dependencies("a"), "open")
    assert scene.run(said(scene, wanted)) == "ok"
    assert scene.redis.hget(scene.keys.job("a"), "status").decode() == wanted
    assert scene.unchanged(said(scene, wanted)) == "already"


def test_the_whole_difference(scene: Scene) -> None:
    scene.put("a", result_ttl=60)
    reply, changed = scene.changes(said(scene, "finished"))
    assert reply == "ok"
    assert changed["rq:job:a"]["status"] == "finished"
    assert changed.keys() == {"rq:job:a", "ttl:rq:job:a", "rq:queue:q", "rq:finished:q"}
    assert scene.redis.ttl("rq:job:a") in (59, 60)
    assert scene.redis.zscore("rq:finished:q", "a") == NOW // 1000 + 60


def test_fields_go_along(scene: Scene) -> None:
    scene.put("a")
    scene.run(said(scene, "started", fields={"worker_name": "mine", "started_at": ISO}))
    assert scene.redis.hmget("rq:job:a", "execution", "started_at") == [b"x", ISO.encode()]


def test_called_started_it_has_a_lease(scene: Scene) -> None:
    scene.put("a")
    scene.run(said(scene, "started"))
    assert scene.redis.zscore("rq:wip:q", "a:x") == lease_end(NOW)
    assert scene.redis.hget("rq:job:a", "worker_name") == b"hand"


def test_one_that_runs_keeps_its_owner(scene: Scene) -> None:
    job = scene.started()
    scene.run(said(scene, "started", fields={"worker_name": "w"}))
    assert scene.redis.zrange("rq:wip:q", 0, -1) == [f"a:{job.execution_id}".encode()]
    assert scene.settle(job).word == "ok"


def test_whoever_runs_it_has_lost_it(scene: Scene) -> None:
    job = scene.started()
    scene.run(said(scene, "queued"))
    assert scene.settle(job).word == "not_yours"


def test_its_dependants_go_on(scene: Scene) -> None:
    scene.put("a")
    scene.put("kid", depends_on=["a"])
    scene.put("brave", depends_on=["a"], allow_failure=True)
    scene.run(said(scene, "failed"))
    assert scene.redis.lrange("rq:queue:q", 0, -1) == [b"brave"]
    scene.run(said(scene, "finished", execution="y"))
    assert scene.redis.lrange("rq:queue:q", 0, -1) == [b"brave", b"kid"]


def test_scheduled_without_a_time_is_far_away(scene: Scene) -> None:
    scene.put("a")
    scene.run(said(scene, "scheduled"))
    assert scene.redis.zscore("rq:scheduled:q", "a") == NOW // 1000 + YEAR


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_a_word_erases_nothing(scene: Scene, status: str) -> None:
    scene.put("a", result_ttl=0, failure_ttl=0)
    scene.run(said(scene, status))
    assert 50 < scene.redis.ttl("rq:job:a") <= 60


def test_a_job_without_a_queue(redis_connection: Any) -> None:
    """RQ's Job.create makes such; there is no container that it could go to."""
    scene = Scene(redis_connection)
    scene.redis.hset("rq:job:a", mapping={"data": "x", "status": "created"})
    reply, changed = scene.changes(said(scene, "queued"))
    assert (reply, changed.keys()) == ("ok", {"rq:job:a"})
    assert scene.redis.hget("rq:job:a", "status") == b"queued"


def test_gone(scene: Scene) -> None:
    assert scene.unchanged(said(scene, "queued")) == "gone"
