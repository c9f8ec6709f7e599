"""enqueue for rows of an outbox: once for each row, refusals in their places, nothing after its time."""

from __future__ import annotations

from typing import Any

from tests.lua.scene import NOW, Scene, new_job

from atomiq._commands.outbox import Delivered, deliver, forget_rows, remembered_rows

SOURCE = "source"


def delivering(scene: Scene, rows: list[str], jobs: list[Any], **settings: Any) -> Any:
    given: dict[str, Any] = {"unique": False, "group": None, "not_after_ms": NOW + 1000, "now_ms": NOW, **settings}
    return deliver(scene.keys, source=SOURCE, rows=rows, jobs=jobs, **given)


def test_new_rows(scene: Scene) -> None:
    reply, changed = scene.changes(delivering(scene, ["1.a", "2.b"], [new_job("a"), new_job("b")]))
    assert reply == Delivered(["queued", "queued"], NOW)
    assert changed["rq:atomiq:outbox:source"].value == {"1.a": NOW, "2.b": NOW}
    assert scene.redis.lrange("rq:queue:q", 0, -1) == [b"a", b"b"]


def test_a_row_that_was_sent_before_is_not_enqueued_again(scene: Scene) -> None:
    """Even though nothing of its job is left; and it is remembered anew."""
    scene.run(delivering(scene, ["1.a"], [new_job("a")]))
    scene.redis.delete("rq:job:a", "rq:queue:q")
    scene.redis.zadd("rq:atomiq:outbox:source", {"1.a": NOW - 5})
    reply = scene.run(delivering(scene, ["1.a", "2.b"], [new_job("a"), new_job("b")]))
    assert reply.words == ["already", "queued"]
    assert scene.redis.lrange("rq:queue:q", 0, -1) == [b"b"]
    assert not scene.redis.exists("rq:job:a")
    assert scene.redis.zscore("rq:atomiq:outbox:source", "1.a") == NOW


def test_refusals_stop_no_other(scene: Scene) -> None:
    scene.started("there")
    reply = scene.run(delivering(scene, ["1.a", "2.b"], [new_job("there", call="second"), new_job("b")]))
    assert reply.words == ["busy", "queued"]
    reply = scene.run(delivering(scene, ["3.c", "4.d"], [new_job("b", call="third"), new_job("d")], unique=True))
    assert reply.words == ["exists", "queued"]
    assert scene.redis.lrange("rq:queue:q", 0, -1) == [b"b", b"d"]
    assert scene.redis.zrange("rq:atomiq:outbox:source", 0, -1) == [b"2.b", b"4.d"]


def test_after_its_time_nothing_is_done(scene: Scene) -> None:
    reply, changed = scene.changes(delivering(scene, ["1.a"], [new_job("a")], not_after_ms=NOW - 1))
    assert reply == Delivered(None, NOW)
    assert changed == {}


def test_remembering_and_forgetting(scene: Scene) -> None:
    scene.run(delivering(scene, ["1.a"], [new_job("a")]))
    scene.run(delivering(scene, ["2.b"], [new_job("b")]))
    scene.redis.zadd("rq:atomiq:outbox:source", {"1.a": NOW - 10})
    assert scene.run(remembered_rows(scene.keys, source=SOURCE, until_ms=NOW)) == ["1.a"]
    assert scene.run(forget_rows(scene.keys, source=SOURCE, rows=["1.a", "9.z"])) == 1
    assert scene.run(remembered_rows(scene.keys, source=SOURCE, until_ms=NOW + 99)) == ["2.b"]
