"""extend: the heartbeat of many executions."""

from __future__ import annotations

import pytest
from tests.lua.scene import KEPT, LEASE, NOW, Scene, held, lease_end
from tests.lua.test_claim import born

from atomiq._commands.change import cancel, delete, requeue, stop
from atomiq._commands.claim import Held, extend

LATER = "2026-11-21T01:37:18.574000Z"


def extending(scene: Scene, *executions: Held, worker: str = "w"):
    return extend(scene.keys, worker=worker, lease_ms=LEASE, held=executions, worker_ttl=300, working_ms=1500)


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    job = scene.started("a")
    scene.now += 10_000
    reply, changed = scene.changes(extending(scene, held(job)))
    assert (reply.lost, reply.stop, reply.now_ms, reply.reborn) == ([], [], NOW + 10_000, False)
    seconds = scene.now / 1000
    assert changed == {
        "rq:wip:q": {"a:e1": lease_end(scene.now)},
        "rq:executions:a": {"e1": scene.now // 1000 + KEPT},
        "rq:execution:a:e1": {"last_heartbeat": f"{seconds:.3f}"},
        "rq:job:a": {"last_heartbeat": LATER},
        "rq:worker:w": {"last_heartbeat": LATER, "beat": str(scene.now), "current_job_working_time": "1.500"},
        "ttl:rq:worker:w": 300,
    }
    assert scene.unchanged(extending(scene, held(job))) == reply


def test_the_traces_of_an_execution_live_as_long_as_its_lease(scene: Scene) -> None:
    job = scene.started("a")
    keys = (scene.keys.executions("a"), scene.keys.execution("a", "e1"), scene.keys.worker_executions("w"))
    for key in keys:
        scene.redis.expire(key, 5)
    scene.run(extending(scene, held(job)))
    assert [scene.redis.ttl(key) for key in keys] == [KEPT, KEPT, KEPT]


def test_traces_that_expired_are_written_anew(scene: Scene) -> None:
    """A worker that was stopped for longer than its lease, and whom nobody has reaped, still owns its job."""
    job = scene.started("a")
    before = scene.space()
    scene.redis.delete(scene.keys.executions("a"), scene.keys.execution("a", "e1"), scene.keys.worker_executions("w"))
    assert scene.run(extending(scene, held(job))).lost == []
    assert scene.space() == before


@pytest.mark.parametrize("loss", ["canceled", "deleted", "again", "settled", "reaped", "stranger"])
def test_what_is_lost_is_said_and_not_touched(scene: Scene, loss: str) -> None:
    job = scene.started("a")
    if loss == "canceled":
        scene.run(cancel(scene.keys, job_id="a"))
    elif loss == "deleted":
        scene.run(delete(scene.keys, job_id="a"))
    elif loss == "settled":
        scene.settle(job)
    elif loss == "stranger":
        job = type(job)(job.queue, job.job_id, "other", 1, {})
    else:
        scene.run(cancel(scene.keys, job_id="a"))
        scene.run(requeue(scene.keys, job_id="a"))
        if loss == "again":
            scene.take(worker="w2")
    assert scene.unchanged(extending(scene, held(job))).lost == [job.execution_id]


def test_a_job_whose_hash_vanished_is_not_brought_back(scene: Scene) -> None:
    """The heartbeat wrote last_heartbeat into a hash that a user had deleted by hand: a job of one field that nothing
    could run, and that stayed for ever."""
    job = scene.started("a")
    scene.vanish("a")
    assert scene.run(extending(scene, held(job))).lost == ["e1"]
    assert scene.space() == {
        "rq:queues": scene.space()["rq:queues"],
        "rq:atomiq:bell:q": scene.space()["rq:atomiq:bell:q"],
    }


def test_a_vanished_worker_is_told(scene: Scene) -> None:
    reply, changed = scene.changes(extending(scene))
    assert reply.reborn
    assert changed == {}


def test_a_worker_whose_hash_vanished_shows_again_what_it_runs(scene: Scene) -> None:
    job = scene.started("a")
    born(scene)
    scene.run(extending(scene, held(job)))
    assert scene.redis.hget("rq:worker:w", "current_job") == b"a"


def test_a_wish_to_stop_is_passed_on(scene: Scene) -> None:
    job, other = scene.started("a"), scene.started("b")
    scene.run(stop(scene.keys, job_id="b"))
    assert scene.run(extending(scene, held(job), held(other))).stop == ["e2"]


def test_a_job_that_has_just_ended_does_not_make_its_worker_busy(scene: Scene) -> None:
    """The supervisor sees a quarter of a second late that a station has settled a job. It extended in between: the
    worker, which had nothing to do, was shown as busy until its next job came, perhaps for days."""
    born(scene)
    job = scene.started("a")
    scene.settle(job)
    assert scene.claim().word == "empty"
    assert scene.redis.hget("rq:worker:w", "state") == b"idle"
    reply, changed = scene.changes(extending(scene, held(job)))
    assert reply.lost == ["e1"]
    assert scene.redis.hget("rq:worker:w", "state") == b"idle"
    assert "current_job_working_time" not in changed.get("rq:worker:w", {})
