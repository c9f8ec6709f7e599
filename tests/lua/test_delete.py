"""delete: a job and everything kept about it."""

from __future__ import annotations

import pytest
from tests.lua.scene import Scene, ended, new_job
from tests.lua.test_enqueue import RESTING, rest

from atomiq._commands.change import Changed, delete
from atomiq._commands.settle import free


def deleting(scene: Scene, job_id: str = "a", **settings: bool):
    return delete(scene.keys, job_id=job_id, **settings)


def traces(scene: Scene, job_id: str = "a") -> list[str]:
    return [
        key
        for key, entry in scene.space().items()
        if (f":{job_id}" in key and "bell" not in key and "atomiq:p" not in key)
        or (not isinstance(entry.value, str) and job_id in entry.value)
    ]


@pytest.mark.parametrize("status", RESTING)
def test_from_every_status(scene: Scene, status: str) -> None:
    rest(scene, status)
    assert scene.run(deleting(scene)) == Changed("ok", status)
    assert traces(scene) == []
    assert scene.unchanged(deleting(scene)) == Changed("gone", "")


def test_the_whole_difference(scene: Scene) -> None:
    scene.enqueue(new_job("a", group_id="g"), new_job("b", group_id="g"), group="g")
    scene.settle(scene.take(), result=b"x")
    reply, changed = scene.changes(deleting(scene))
    assert reply == Changed("ok", "finished")
    assert changed == {"rq:job:a": None, "rq:finished:q": None, "rq:results:a": None, "rq:group:g": {"-a"}}


def test_a_running_job(scene: Scene) -> None:
    job = scene.started("a")
    scene.run(deleting(scene))
    assert traces(scene) == []
    assert scene.settle(job).word == "gone"
    assert traces(scene) == []


def test_dependants_that_needed_it_are_canceled(scene: Scene) -> None:
    scene.enqueue(
        new_job("a"), new_job("child", depends_on=["a"]), new_job("brave", depends_on=["a"], allow_failure=True)
    )
    scene.run(deleting(scene))
    assert (scene.status("child"), scene.status("brave")) == ("canceled", "queued")
    assert not scene.redis.exists(scene.keys.dependents("a"))


def test_very_many_dependants(scene: Scene) -> None:
    scene.enqueue(new_job("a"), *(new_job(f"c{number}", depends_on=["a"]) for number in range(250)))
    scene.run(deleting(scene))
    while scene.run(free(scene.keys)).more:
        pass
    assert len(scene.registry(scene.keys.canceled("q"))) == 250


def test_dependants_too(scene: Scene) -> None:
    scene.enqueue(
        new_job("a"),
        new_job("other"),
        new_job("child", depends_on=["a", "other"]),
        new_job("grandchild", depends_on=["child"]),
    )
    scene.run(deleting(scene, delete_dependents=True))
    assert scene.status("child") is None
    assert scene.status("grandchild") == "canceled"
    assert not scene.redis.exists(scene.keys.dependents("other"))


def test_a_circle_of_dependencies(scene: Scene) -> None:
    """The deletion of the dependant canceled the job itself, which was then taken out of where it had been before:
    its id stayed in the canceled registry."""
    scene.enqueue(new_job("a", depends_on=["b"]), new_job("b", depends_on=["a"]))
    scene.run(deleting(scene, delete_dependents=True))
    assert traces(scene) == []


def test_a_deferred_job_leaves_its_dependencies(scene: Scene) -> None:
    scene.enqueue(new_job("p"), new_job("a", depends_on=["p"]))
    scene.run(deleting(scene))
    assert not scene.redis.exists(scene.keys.dependents("p"), scene.keys.unmet("a"), scene.keys.dependencies("a"))


def test_a_deferred_job_of_rq_leaves_its_dependencies(scene: Scene) -> None:
    scene.put("p")
    scene.redis.hset(scene.keys.job("a"), mapping={"status": "deferred", "data": "x", "origin": "q"})
    scene.redis.zadd(scene.keys.deferred("q"), {"a": 1})
    scene.redis.sadd(scene.keys.dependencies("a"), "p")
    scene.redis.sadd(scene.keys.dependents("p"), "a")
    scene.run(deleting(scene))
    assert not scene.redis.exists(scene.keys.dependents("p"), scene.keys.dependencies("a"))


def test_a_stray_hash(scene: Scene) -> None:
    scene.redis.hset(scene.keys.job("a"), "last_heartbeat", "x")
    assert scene.run(deleting(scene)) == Changed("ok", "")
    assert scene.space() == {}


def test_gone(scene: Scene) -> None:
    assert scene.unchanged(deleting(scene, delete_dependents=True)) == Changed("gone", "")


def test_settled_after_the_deletion_of_its_dependant(scene: Scene) -> None:
    scene.enqueue(new_job("p"), new_job("a", depends_on=["p"]))
    job = scene.take()
    scene.run(deleting(scene))
    assert scene.settle(job).freed == 0
    assert ended(job).job_id == "p"
