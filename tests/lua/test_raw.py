"""dequeue, pop_job_id, push_job_id: what RQ's primitives of a queue do, each in one step."""

from __future__ import annotations

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, NOW, Scene, new_job

from atomiq._commands.change import cancel
from atomiq._commands.queues import pause_queue
from atomiq._commands.raw import Dequeued, Nothing, compact_queue, dequeue, pop_job_id, push_job_id

NONE_LEFT = Nothing(more=False)


def intermediate(scene: Scene, queue: str = "q") -> list[str]:
    return [raw.decode() for raw in scene.redis.lrange(scene.keys.intermediate(queue), 0, -1)]


# -- dequeue -----------------------------------------------------------------------------------------------------------


def test_dequeue(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    command = dequeue(scene.keys, queues=["r", "q"])
    taken, changed = scene.changes(command)
    assert isinstance(taken, Dequeued)
    assert (taken.queue, taken.job_id, taken.fields[b"data"]) == ("q", "a", b"payload")
    assert changed == {"rq:queue:q": ["b"], "rq:queue:q:intermediate": Entry("list", ["a"], None)}


def test_the_first_queue_comes_first_and_the_last_job_silences_the_bell(scene: Scene) -> None:
    scene.put("a", "q")
    scene.put("b", "r")
    for expected in ("b", "a"):
        taken = scene.run(dequeue(scene.keys, queues=["r", "q"]))
        assert isinstance(taken, Dequeued)
        assert taken.job_id == expected
    assert scene.run(dequeue(scene.keys, queues=["r", "q"])) == NONE_LEFT
    assert not scene.redis.exists(scene.keys.bell("q"), scene.keys.bell("r"))


def test_dequeue_takes_what_is_due_and_leaves_what_is_paused(scene: Scene) -> None:
    scene.put("soon", due_ms=NOW + 10)
    assert scene.run(dequeue(scene.keys, queues=["q"])) == NONE_LEFT
    scene.now += 10
    scene.run(pause_queue(scene.keys, queue="q"))
    assert scene.unchanged(dequeue(scene.keys, queues=["q"])) == NONE_LEFT
    scene.run(pause_queue(scene.keys, queue="q", paused=False))
    taken = scene.run(dequeue(scene.keys, queues=["q"]))
    assert isinstance(taken, Dequeued)
    assert taken.job_id == "soon"


def test_ids_without_a_job_are_dropped_on_the_way(scene: Scene) -> None:
    scene.enqueue(new_job("x", ttl=5), new_job("a", ttl=5))
    scene.vanish("x")
    taken = scene.run(dequeue(scene.keys, queues=["q"]))
    assert isinstance(taken, Dequeued)
    assert (taken.job_id, intermediate(scene)) == ("a", ["a"])
    assert scene.redis.ttl(scene.keys.job("a")) == -1, "it doesn't wait any more"
    scene.redis.rpush(scene.keys.queue("q"), *(f"no{number}" for number in range(150)))
    assert scene.run(dequeue(scene.keys, queues=["q"])) == Nothing(more=True)
    assert scene.run(dequeue(scene.keys, queues=["q"])) == NONE_LEFT


@pytest.mark.parametrize("how", ["cancel", "enqueue", "push"])
def test_what_becomes_something_else_leaves_the_intermediate_list(scene: Scene, how: str) -> None:
    scene.put("a")
    scene.run(dequeue(scene.keys, queues=["q"]))
    if how == "cancel":
        scene.run(cancel(scene.keys, job_id="a"))
    elif how == "enqueue":
        scene.put("a", call="again")
    else:
        scene.run(push_job_id(scene.keys, queue="q", job_id="a"))
    assert intermediate(scene) == []
    assert scene.queued() == ([] if how == "cancel" else ["a"])


# -- pop ---------------------------------------------------------------------------------------------------------------


def test_pop(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    popped, changed = scene.changes(pop_job_id(scene.keys, queues=["r", "q"]))
    assert popped == ("q", "a")
    assert changed == {"rq:queue:q": ["b"], "rq:job:a": {"status": "created"}}
    scene.run(pop_job_id(scene.keys, queues=["q"]))
    assert scene.unchanged(pop_job_id(scene.keys, queues=["r", "q"])) is None


def test_pop_of_an_id_without_a_job(scene: Scene) -> None:
    scene.redis.rpush(scene.keys.queue("q"), "nobody")
    assert scene.changes(pop_job_id(scene.keys, queues=["q"])) == (("q", "nobody"), {"rq:queue:q": None})


# -- compact -----------------------------------------------------------------------------------------------------------


def test_compact_in_pages(scene: Scene) -> None:
    scene.enqueue(*(new_job(f"j{number}", ttl=9) for number in range(6)), new_job("kid", depends_on=["j1"]))
    for job_id in ("j1", "j2", "j5"):
        scene.vanish(job_id)
    assert scene.run(compact_queue(scene.keys, queue="q", limit=3)) == (1, ["j1", "j2"])
    assert scene.queued() == ["j0", "j3", "j4", "j5"]
    assert scene.run(compact_queue(scene.keys, queue="q", offset=1, limit=3)) == (3, ["j5"])
    assert scene.unchanged(compact_queue(scene.keys, queue="q", offset=3, limit=3)) == (None, [])
    assert (scene.queued(), scene.status("kid")) == (["j0", "j3", "j4"], "canceled")


# -- push --------------------------------------------------------------------------------------------------------------


def test_push_of_a_popped_job(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    scene.run(pop_job_id(scene.keys, queues=["q"]))
    command = push_job_id(scene.keys, queue="r", job_id="a")
    said, changed = scene.changes(command)
    assert said == "ok"
    assert changed["rq:job:a"] == {"status": "queued", "origin": "r"}
    assert changed["rq:queue:r"] == Entry("list", ["a"], None)
    assert scene.unchanged(command) == "already"
    assert scene.field("a", "enqueued_at") == ISO


def test_push_to_the_front(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"), new_job("c"))
    command = push_job_id(scene.keys, queue="q", job_id="c", at_front=True)
    scene.run(command)
    assert scene.queued() == ["c", "a", "b"]
    assert scene.changes(command)[1] == {}


def test_push_of_an_id_without_a_job(scene: Scene) -> None:
    scene.expired.add("nobody")
    command = push_job_id(scene.keys, queue="q", job_id="nobody")
    assert scene.run(command) == "ok"
    assert scene.unchanged(command) == "already"
    assert scene.queued() == ["nobody"]
    assert not scene.redis.exists(scene.keys.job("nobody"))


@pytest.mark.parametrize("was", ["finished", "failed"])
def test_push_of_a_job_that_has_ended(scene: Scene, was: str) -> None:
    """Its hash had the ttl of its end."""
    (scene.finished if was == "finished" else scene.failed)("a")
    assert scene.run(push_job_id(scene.keys, queue="q", job_id="a")) == "ok"
    assert (scene.status("a"), scene.queued()) == ("queued", ["a"])
    assert scene.redis.ttl(scene.keys.job("a")) == -1


def test_push_of_a_deferred_and_of_a_scheduled_one(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("kid", depends_on=["a"]), new_job("late", due_ms=NOW + 5000, ttl=50))
    for job_id in ("kid", "late"):
        scene.run(push_job_id(scene.keys, queue="q", job_id=job_id))
    assert scene.queued() == ["a", "kid", "late"]
    assert scene.redis.ttl(scene.keys.job("late")) == 50


def test_a_running_job_is_not_pushed(scene: Scene) -> None:
    scene.started("a")
    assert scene.unchanged(push_job_id(scene.keys, queue="q", job_id="a")) == "busy"


def test_queued_without_being_pushed(scene: Scene) -> None:
    scene.put("a", due_ms=NOW + 5000)
    scene.redis.rpush(scene.keys.queue("q"), "a")
    command = push_job_id(scene.keys, queue="q", job_id="a", push=False)
    assert scene.run(command) == "ok"
    assert (scene.status("a"), scene.queued()) == ("queued", ["a"])
    assert scene.unchanged(command) == "already"
