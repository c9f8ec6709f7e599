"""give_back: jobs claimed ahead and never started, known by their execution ids alone."""

from __future__ import annotations

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, OVER, Scene, new_job
from tests.lua.test_claim import born

from atomiq._commands.change import cancel
from atomiq._commands.claim import give_back
from atomiq._commands.settle import reap


def giving(scene: Scene, *executions: str, worker: str = "w"):
    return give_back(scene.keys, worker=worker, executions=executions)


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    scene.enqueue(new_job("a", ttl=50), new_job("b"))
    scene.take()
    scene.redis.delete(scene.keys.bell("q"))
    reply, changed = scene.changes(giving(scene, "e1"))
    assert reply == ["ok"]
    assert changed == {
        "rq:queue:q": ["a", "b"],
        "rq:job:a": {
            "status": "queued",
            "started_at": "",
            "worker_name": "",
            "attempts": "0",
            "execution": "",
            "settled": "release:e1",
        },
        "ttl:rq:job:a": 50,
        "rq:wip:q": None,
        "rq:executions:a": None,
        "rq:execution:a:e1": None,
        "rq:atomiq:executions:w": None,
        "rq:atomiq:bell:q": Entry("zset", {"1": 0.0}, None),
        "rq:worker:w": {"state": "idle", "current_job": None},
    }
    assert scene.field("a", "enqueued_at") == ISO
    assert scene.unchanged(giving(scene, "e1")) == ["unknown"]


def test_several_of_several_queues_keep_their_order(scene: Scene) -> None:
    scene.enqueue(*(new_job(name) for name in "abcd"), new_job("x", "r"), new_job("y", "r"))
    assert len(scene.claim("q", "r", count=6).jobs) == 6
    assert scene.run(giving(scene, "e2", "e3", "e4", "e6")) == ["ok"] * 4
    assert (scene.queued(), scene.queued("r")) == (["b", "c", "d"], ["y"])
    assert scene.status("a") == scene.status("x") == "started"


def test_the_attempt_does_not_count(scene: Scene) -> None:
    scene.started("a")
    scene.run(giving(scene, "e1"))
    assert scene.take().attempt == 1


def test_a_claim_that_has_not_arrived_yet(scene: Scene) -> None:
    scene.put("a")
    assert scene.unchanged(giving(scene, "e1", "e2")) == ["unknown", "unknown"]
    assert scene.take().execution_id == "e1"


def test_settled_before(scene: Scene) -> None:
    scene.finished("a")
    assert scene.unchanged(giving(scene, "e1")) == ["unknown"]


def test_held_by_another_worker(scene: Scene) -> None:
    scene.started("a")
    assert scene.unchanged(giving(scene, "e1", worker="other")) == ["unknown"]


@pytest.mark.parametrize("loss", ["canceled", "reaped"])
def test_lost_before(scene: Scene, loss: str) -> None:
    scene.started("a")
    if loss == "canceled":
        scene.run(cancel(scene.keys, job_id="a"))
    else:
        scene.now += OVER
        scene.run(reap(scene.keys, queue="q"))
        scene.take(worker="other")
    assert scene.unchanged(giving(scene, "e1")) == ["unknown"]


def test_a_job_whose_hash_vanished_is_not_brought_back(scene: Scene) -> None:
    scene.started("a")
    scene.vanish("a")
    assert scene.unchanged(giving(scene, "e1")) == ["not_yours"]
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q"))


def test_a_job_that_is_another_executions_by_now(scene: Scene) -> None:
    """Put anew over a hash that had vanished: the worker's list still names the first execution."""
    scene.started("a")
    scene.vanish("a")
    scene.put("a", call="anew")
    second = scene.take(worker="other")
    assert scene.unchanged(giving(scene, "e1")) == ["not_yours"]
    assert scene.settle(second, worker="other").word == "ok"
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q"))


def test_one_id_twice(scene: Scene) -> None:
    scene.started("a")
    assert sorted(scene.run(giving(scene, "e1", "e1"))) == ["not_yours", "ok"]
    assert scene.queued() == ["a"]


def test_nothing_to_give_back_is_a_bug(scene: Scene) -> None:
    with pytest.raises(ValueError, match="at least one"):
        giving(scene)
