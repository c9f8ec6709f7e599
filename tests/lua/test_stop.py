"""stop: a wish that outlives whoever isn't listening."""

from __future__ import annotations

import json

import pytest
from tests.lua.scene import LEASE, NOW, Scene, held
from tests.lua.test_enqueue import RESTING, rest

from atomiq._commands.change import Changed, stop
from atomiq._commands.claim import extend


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
