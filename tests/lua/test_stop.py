"""stop: a wish that outlives whoever isn't listening."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode

import pytest
from tests.lua.scene import LEASE, NOW, Scene, held, new_job
from tests.lua.test_enqueue import RESTING, rest

from atomiq._commands.change import Changed, requeue, stop
from atomiq._commands.claim import Held, extend, give_back, release
from atomiq._commands.worker import worker_death
from atomiq.executors.report import STOPPED_TEXT


def stopping(scene: Scene):
    return stop(scene.keys, job_id="a")


def test_the_whole_difference(scene: Scene) -> None:
    scene.started("a")
    reply, changed = scene.changes(stopping(scene))
    assert reply == Changed("ok", "started", 0)
    assert changed == {"rq:execution:a:e1": {"stop": str(NOW)}, "ttl:rq:execution:a:e1": 86_400}
    scene.now += 5
    assert scene.unchanged(stopping(scene)) == Changed("already", "started", 0)


def test_whoever_listens_is_told(scene: Scene) -> None:
    scene.started("a")
    channel = scene.redis.pubsub()
    channel.subscribe(scene.keys.pubsub("w"))
    assert channel.get_message(timeout=5)["type"] == "subscribe"
    assert scene.run(stopping(scene)).count == 1
    assert json.loads(channel.get_message(timeout=5)["data"]) == {"command": "stop-job", "job_id": "a"}
    channel.close()


def test_the_wish_outlives_an_owner_that_is_away(scene: Scene) -> None:
    """It was written into a hash that expires a minute after the lease: an owner that came back later, and that
    nobody had reaped, never learned of it."""
    job = scene.started("a")
    scene.run(stopping(scene))
    assert scene.redis.ttl(scene.keys.execution("a", "e1")) > 3600
    command = extend(scene.keys, worker="w", lease_ms=LEASE, held=[held(job)], worker_ttl=300)
    assert scene.run(command).stop == ["e1"]
    assert scene.redis.ttl(scene.keys.execution("a", "e1")) > 3600


@pytest.mark.parametrize("status", RESTING)
def test_not_running(scene: Scene, status: str) -> None:
    rest(scene, status)
    assert scene.unchanged(stopping(scene)) == Changed("not_running", status)


def test_gone(scene: Scene) -> None:
    assert scene.unchanged(stopping(scene)) == Changed("gone", "")


def giving_back(scene: Scene, way: str) -> object:
    if way == "release":
        return scene.run(release(scene.keys, worker="w", held=[Held("q", "a", "e1")]))
    if way == "give_back":
        return scene.run(give_back(scene.keys, worker="w", executions=["e1"]))
    return scene.run(worker_death(scene.keys, worker="w", queues=["q"]))


@pytest.mark.parametrize("way", ["release", "give_back", "worker_death"])
def test_a_job_that_is_given_back_meanwhile_is_stopped(scene: Scene, way: str) -> None:
    """Its worker had it in hand, not started; it was asked to stop it, and gave it back before it could hear: the job
    ran all the same, on the next worker, and nobody knew of the wish any more."""
    scene.enqueue(new_job("a"), new_job("b", depends_on=["a"]))
    scene.take()
    scene.run(stopping(scene))
    giving_back(scene, way)
    assert scene.status("a") == "stopped"
    assert scene.queued() == []
    assert list(scene.registry(scene.keys.failed("q"))) == ["a"]
    [(_, entry)] = scene.redis.xrange(scene.keys.results("a"))
    assert entry[b"type"] == b"2"
    assert zlib.decompress(b64decode(entry[b"exc_string"])).decode() == STOPPED_TEXT
    assert scene.status("b") == "deferred"
    assert scene.redis.ttl(scene.keys.job("a")) > 0
    assert not scene.redis.exists(scene.keys.execution("a", "e1"))
    scene.run(requeue(scene.keys, job_id="a"))
    assert scene.take().job_id == "a"


@pytest.mark.parametrize("way", ["release", "give_back", "worker_death"])
def test_nothing_is_kept_of_one_that_wants_no_failures(scene: Scene, way: str) -> None:
    scene.started("a", failure_ttl="0")
    scene.run(stopping(scene))
    giving_back(scene, way)
    assert scene.status("a") is None
    assert not [key for key in scene.space() if key.endswith(":a")]
