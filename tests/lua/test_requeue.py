"""requeue: once more."""

from __future__ import annotations

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import Scene, new_job
from tests.lua.test_enqueue import RESTING, rest

from atomiq._commands.change import Changed, requeue

MOVABLE = [status for status in RESTING if status not in ("created", "queued")]


def requeuing(scene: Scene, **settings):
    return requeue(scene.keys, job_id="a", **settings)


def test_the_whole_difference(scene: Scene) -> None:
    scene.failed("a", exc_info="x", ttl=50)
    scene.redis.delete(scene.keys.bell("q"))
    reply, changed = scene.changes(requeuing(scene))
    assert reply == Changed("ok", "failed")
    assert changed == {
        "rq:job:a": {"status": "queued", "started_at": "", "ended_at": "", "exc_info": None},
        "ttl:rq:job:a": 50,
        "rq:failed:q": None,
        "rq:queue:q": Entry("list", ["a"], None),
        "rq:atomiq:bell:q": Entry("zset", {"1": 0.0}, None),
    }
    assert scene.unchanged(requeuing(scene)) == Changed("already", "queued")


@pytest.mark.parametrize("status", MOVABLE)
def test_from_every_status(scene: Scene, status: str) -> None:
    rest(scene, status)
    assert scene.run(requeuing(scene)) == Changed("ok", status)
    assert scene.queued().count("a") == 1
    assert scene.redis.ttl(scene.keys.job("a")) == -1


def test_a_deferred_job_waits_for_nothing_any_more(scene: Scene) -> None:
    scene.enqueue(new_job("p"), new_job("a", depends_on=["p"], due_ms=scene.now + 9000))
    scene.run(requeuing(scene))
    assert scene.redis.exists(scene.keys.unmet("a"), scene.keys.dependents("p")) == 0
    assert scene.field("a", "due") is None
    assert scene.settle(scene.take()).freed == 0
    assert scene.queued() == ["a"]


def test_to_the_front(scene: Scene) -> None:
    scene.failed("a")
    scene.put("b")
    scene.run(requeuing(scene, at_front=True))
    assert scene.queued() == ["a", "b"]


def test_only_from_the_registry_that_is_named(scene: Scene) -> None:
    scene.failed("a")
    assert scene.unchanged(requeuing(scene, registry=scene.keys.canceled("q"))) == Changed("not_there", "failed")
    assert scene.run(requeuing(scene, registry=scene.keys.failed("q"))) == Changed("ok", "failed")


def test_running(scene: Scene) -> None:
    scene.started("a")
    assert scene.unchanged(requeuing(scene)) == Changed("busy", "started")


def test_gone(scene: Scene) -> None:
    assert scene.unchanged(requeuing(scene)) == Changed("gone", "")


def test_never_enqueued(scene: Scene) -> None:
    """A job that was only saved may have no queue at all; the script failed half way."""
    scene.redis.hset(scene.keys.job("a"), mapping={"status": "created", "data": "x"})
    assert scene.unchanged(requeuing(scene)) == Changed("not_there", "created")


def test_without_a_queue(scene: Scene) -> None:
    scene.failed("a")
    scene.redis.hdel(scene.keys.job("a"), "origin")
    assert scene.unchanged(requeuing(scene)) == Changed("not_there", "failed")
    scene.redis.hset(scene.keys.job("a"), "origin", "q")


def test_the_time_it_may_wait_starts_anew(scene: Scene) -> None:
    """RQ leaves the failure ttl running: what waits longer than the rest of it is lost."""
    scene.settle(scene.started("a"), "failed", failure_ttl=2)
    scene.run(requeuing(scene))
    assert scene.redis.ttl(scene.keys.job("a")) == -1


def test_not_what_was_enqueued_since(scene: Scene) -> None:
    scene.failed("a")
    scene.now += 5
    since = scene.now
    assert scene.run(requeuing(scene, since_ms=since)).word == "ok"
    scene.settle(scene.take(), "failed")
    assert scene.unchanged(requeuing(scene, since_ms=since)) == Changed("already", "failed")
    assert scene.run(requeuing(scene, since_ms=scene.now + 1)).word == "ok"


def test_a_time_that_has_not_come_is_not_since(scene: Scene) -> None:
    """RQ's producers write it by their own clocks."""
    scene.failed("a")
    scene.redis.hset(scene.keys.job("a"), "enqueued_at", "2999-01-01T00:00:00.000000Z")
    assert scene.run(requeuing(scene, since_ms=scene.now - 10_000)).word == "ok"


def test_sent_again_it_is_no_refusal_and_no_second_time(scene: Scene) -> None:
    """Whatever became of the job since."""
    scene.failed("a")
    failed = scene.keys.failed("q")
    assert scene.run(requeuing(scene, token="t", registry=failed)) == Changed("ok", "failed")
    assert scene.unchanged(requeuing(scene, token="t", registry=failed)) == Changed("ok", "queued")
    assert scene.unchanged(requeuing(scene, token="another", registry=failed)) == Changed("already", "queued")
    job = scene.take()
    assert scene.unchanged(requeuing(scene, token="t", registry=failed)) == Changed("ok", "started")
    scene.settle(job, "failed")
    assert scene.unchanged(requeuing(scene, token="t", registry=failed)) == Changed("ok", "failed")
    assert scene.run(requeuing(scene, token="another", registry=failed)) == Changed("ok", "failed")
