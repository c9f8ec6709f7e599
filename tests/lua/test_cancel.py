"""cancel: a job that is not wanted any more."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import NOW, YEAR, Scene, new_job
from tests.lua.test_enqueue import RESTING, rest

from atomiq._commands.change import Changed, cancel


def canceling(scene: Scene, job_id: str = "a", **settings: Any):
    return cancel(scene.keys, job_id=job_id, **settings)


@pytest.mark.parametrize("status", RESTING[:-1])
def test_from_every_status(scene: Scene, status: str) -> None:
    rest(scene, status)
    reply, changed = scene.changes(canceling(scene))
    assert reply == Changed("ok", status)
    assert changed["rq:canceled:q"] == Entry("zset", {"a": NOW / 1000}, None)
    tried = {} if status in ("finished", "failed", "stopped") else {"attempts": "0"}
    assert changed["rq:job:a"] == {"status": "canceled", **tried}
    assert scene.redis.ttl(scene.keys.job("a")) == YEAR
    assert scene.unchanged(canceling(scene)) == Changed("already", "canceled")


def test_the_whole_difference_of_a_running_job(scene: Scene) -> None:
    scene.started("a")
    reply, changed = scene.changes(canceling(scene))
    assert reply == Changed("ok", "started")
    assert changed == {
        "rq:job:a": {"status": "canceled"},
        "ttl:rq:job:a": YEAR,
        "rq:canceled:q": Entry("zset", {"a": NOW / 1000}, None),
        "rq:wip:q": None,
        "rq:executions:a": None,
        "rq:execution:a:e1": None,
        "rq:atomiq:executions:w": None,
    }


def test_the_whole_difference_of_a_deferred_job(scene: Scene) -> None:
    scene.enqueue(new_job("p"), new_job("a", depends_on=["p"]))
    _, changed = scene.changes(canceling(scene))
    assert changed == {
        "rq:job:a": {"status": "canceled", "attempts": "0"},
        "ttl:rq:job:a": YEAR,
        "rq:canceled:q": Entry("zset", {"a": NOW / 1000}, None),
        "rq:deferred:q": None,
        "rq:job:p:dependents": None,
        "rq:atomiq:unmet:a": None,
    }


@pytest.mark.parametrize(("failure_ttl", "ttl"), [(60, 60), (0, -1), (-1, -1)])
def test_kept_as_long_as_a_failed_one(scene: Scene, failure_ttl: int, ttl: int) -> None:
    scene.put("a", failure_ttl=failure_ttl, ttl=5)
    scene.run(canceling(scene))
    assert scene.redis.ttl(scene.keys.job("a")) == ttl


def test_dependants_keep_waiting(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("child", depends_on=["a"]))
    assert scene.run(canceling(scene)).count == 0
    assert scene.status("child") == "deferred"


def test_dependants_go_on_when_asked_for(scene: Scene) -> None:
    """They never did: the list of what a dependant waits for was empty then, and an empty list was taken for RQ's,
    where the canceled job counts as one that has not finished."""
    scene.enqueue(new_job("a"), new_job("child", depends_on=["a"]), new_job("other"))
    scene.enqueue(new_job("both", depends_on=["a", "other"]))
    assert scene.run(canceling(scene, enqueue_dependents=True)).count == 1
    assert scene.queued() == ["other", "child"]
    assert scene.status("both") == "deferred"
    scene.settle(scene.take())
    assert scene.status("both") == "queued"


def test_taken_off_the_lists_of_its_dependencies(scene: Scene) -> None:
    scene.enqueue(new_job("p"), new_job("a", depends_on=["p"]))
    scene.run(canceling(scene, remove_from_dependencies=True))
    assert not scene.redis.exists(scene.keys.dependents("p"))


def test_gone(scene: Scene) -> None:
    assert scene.unchanged(canceling(scene, enqueue_dependents=True)) == Changed("gone", "")


def test_a_job_without_a_queue(scene: Scene) -> None:
    scene.redis.hset(scene.keys.job("a"), mapping={"status": "created", "data": "x"})
    assert scene.run(canceling(scene)).word == "ok"
    scene.redis.hset(scene.keys.job("a"), "origin", "")


def test_sent_again_it_is_no_refusal(scene: Scene) -> None:
    scene.put("a")
    assert scene.run(canceling(scene, token="t")) == Changed("ok", "queued")
    assert scene.unchanged(canceling(scene, token="t")) == Changed("ok", "canceled")
    assert scene.unchanged(canceling(scene, token="another")) == Changed("already", "canceled")


def test_sent_again_after_somebody_had_it_enqueued_anew(scene: Scene) -> None:
    """The job of the second enqueue isn't the one that was canceled."""
    scene.put("a")
    assert scene.run(canceling(scene, token="t")).word == "ok"
    scene.put("a", call="another")
    assert scene.status("a") == "queued"
    assert scene.redis.hget(scene.keys.job("a"), "changed") is None
