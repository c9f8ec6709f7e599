"""stop: a wish that outlives whoever isn't listening."""

from __future__ import annotations

import json

import pytest
from tests.lua.scene import NOW, Scene
from tests.lua.test_enqueue import RESTING, rest

from atomiq._commands.change import Changed, stop


def stopping(scene: Scene):
    return stop(scene.keys, job_id="a")


def test_the_whole_difference(scene: Scene) -> None:
    scene.started("a")
    reply, changed = scene.changes(stopping(scene))
    assert reply == Changed("ok", "started", 0)
    assert changed == {"rq:execution:a:e1": {"stop": str(NOW)}}
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


@pytest.mark.parametrize("status", RESTING)
def test_not_running(scene: Scene, status: str) -> None:
    rest(scene, status)
    assert scene.unchanged(stopping(scene)) == Changed("not_running", status)


def test_gone(scene: Scene) -> None:
    assert scene.unchanged(stopping(scene)) == Changed("gone", "")
