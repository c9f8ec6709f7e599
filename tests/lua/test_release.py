"""release: back to the front of the queue, the attempt not counted."""

from __future__ import annotations

from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, OVER, Scene, held, new_job
from tests.lua.test_claim import born

from atomiq._commands.change import cancel
from atomiq._commands.claim import Held, release
from atomiq._commands.settle import reap


def releasing(scene: Scene, *executions: Held, worker: str = "w"):
    return release(scene.keys, worker=worker, held=executions)


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    scene.enqueue(new_job("a", ttl=50), new_job("b"))
    job = scene.take()
    reply, changed = scene.changes(releasing(scene, held(job)))
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
        "rq:worker:w": {"state": "idle", "current_job": None},
    }
    assert scene.unchanged(releasing(scene, held(job))) == ["already"]


def test_several_keep_their_order(scene: Scene) -> None:
    scene.enqueue(*(new_job(name) for name in "abcd"))
    jobs = scene.claim(count=3).jobs
    assert scene.run(releasing(scene, *(held(job) for job in jobs))) == ["ok"] * 3
    assert scene.queued() == ["a", "b", "c", "d"]


def test_the_attempt_does_not_count(scene: Scene) -> None:
    job = scene.started("a")
    scene.run(releasing(scene, held(job)))
    assert scene.take().attempt == 1


def test_the_enqueue_time_is_that_of_the_release(scene: Scene) -> None:
    job = scene.started("a")
    scene.run(releasing(scene, held(job)))
    assert scene.field("a", "enqueued_at") == ISO


def test_after_the_release_the_next_owner_is_left_alone(scene: Scene) -> None:
    job = scene.started("a")
    scene.run(releasing(scene, held(job)))
    scene.take(worker="other")
    assert scene.unchanged(releasing(scene, held(job))) == ["already"]


def test_what_is_not_ours(scene: Scene) -> None:
    job = scene.started("a")
    lost = scene.started("b")
    scene.run(cancel(scene.keys, job_id="b"))
    stranger = Held("q", "a", "unknown")
    nobody = Held("q", "nobody", "e")
    words = scene.unchanged(releasing(scene, stranger, held(lost), nobody, worker="x"))
    assert words == ["not_yours", "not_yours", "gone"]
    assert scene.run(releasing(scene, held(job))) == ["ok"]


def test_reaped_before(scene: Scene) -> None:
    job = scene.started("a")
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q"))
    assert scene.unchanged(releasing(scene, held(job))) == ["not_yours"]


def test_a_job_whose_hash_vanished_is_not_brought_back(scene: Scene) -> None:
    job = scene.started("a")
    scene.vanish("a")
    assert scene.unchanged(releasing(scene, held(job))) == ["gone"]
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q"))
    assert sorted(scene.space()) == ["rq:atomiq:bell:q", "rq:queues"]


def test_the_bell_rings(scene: Scene) -> None:
    job = scene.started("a")
    scene.redis.delete(scene.keys.bell("q"))
    _, changed = scene.changes(releasing(scene, held(job)))
    assert changed["rq:atomiq:bell:q"] == Entry("zset", {"1": 0.0}, None)
