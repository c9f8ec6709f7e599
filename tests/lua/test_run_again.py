"""run_again: a job once more by its Retry or Repeat, wherever it is."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lua.scene import NOW, Scene

from atomiq._commands.base import Command
from atomiq._commands.change import run_again


def again(scene: Scene, by: str = "retry", left: int = 2, queue: str = "q", **options: Any) -> Command[tuple[str, str]]:
    return run_again(scene.keys, job_id="a", queue=queue, by=by, left=left, **{"token": "x", **options})


def test_the_whole_difference(scene: Scene) -> None:
    scene.failed()
    scene.put("other")
    reply, changed = scene.changes(again(scene))
    assert reply == ("ok", "queued")
    assert changed.keys() == {"rq:job:a", "ttl:rq:job:a", "rq:failed:q", "rq:queue:q"}
    assert scene.redis.hmget("rq:job:a", "status", "retries_left", "retries_done") == [b"queued", b"1", b"1"]
    assert scene.redis.lrange("rq:queue:q", 0, -1) == [b"other", b"a"]
    assert scene.redis.ttl("rq:job:a") == -1
    assert scene.unchanged(again(scene)) == ("already", "queued")


def test_one_that_runs_loses_its_lease(scene: Scene) -> None:
    job = scene.started(retries_left=1)
    assert scene.run(again(scene, left=1, at_front=True)) == ("ok", "queued")
    assert scene.settle(job).word == "not_yours"


def test_later_and_elsewhere(scene: Scene) -> None:
    scene.finished(repeats_left=0)
    fields = {"repeat_intervals": "[10, 20]", "description": "new"}
    assert scene.run(again(scene, "repeat", queue="r", fields=fields)) == ("ok", "scheduled")
    assert scene.redis.zscore("rq:scheduled:r", "a") == NOW / 1000 + 10
    assert scene.redis.hmget("rq:job:a", "origin", "repeats_left", "repeats_done", "description") == [
        b"r",
        b"1",
        b"1",
        b"new",
    ]
    assert scene.redis.zcard("rq:finished:q") == 0


def test_its_ttl_begins_anew(scene: Scene) -> None:
    scene.put("a", ttl=100)
    scene.redis.expire("rq:job:a", 5)
    scene.run(again(scene))
    assert 90 < scene.redis.ttl("rq:job:a") <= 100


def test_gone(scene: Scene) -> None:
    assert scene.unchanged(again(scene)) == ("gone", "")


@pytest.mark.parametrize("wrong", [{"by": "whim"}, {"left": 0}])
def test_nothing_to_count(scene: Scene, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="left"):
        again(scene, **wrong)
