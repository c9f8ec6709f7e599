"""empty_queue, delete_queue, remove_from_queue, pause_queue, suspend, resume, view_queues."""

from __future__ import annotations

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import NOW, Scene, new_job

from atomiq._commands.queues import (
    delete_queue,
    empty_queue,
    pause_queue,
    remove_from_queue,
    resume,
    suspend,
)
from atomiq._commands.views import view_queues

BELL = Entry("zset", {"1": 0.0}, None)


def test_empty(scene: Scene) -> None:
    scene.enqueue(new_job("a", group_id="g"), new_job("b", group_id="g"), group="g")
    reply, changed = scene.changes(empty_queue(scene.keys, queue="q"))
    assert reply == (2, 0)
    assert changed.pop("rq:atomiq:ended:g").value == {"a": "gone", "b": "gone", "#gone": "2"}
    gone = ("rq:job:a", "rq:job:b", "rq:queue:q", "rq:atomiq:bell:q", "rq:group:g", "rq:atomiq:open:g")
    assert changed == dict.fromkeys(gone)
    assert scene.unchanged(empty_queue(scene.keys, queue="q")) == (0, 0)


def test_empty_in_bounded_steps(scene: Scene) -> None:
    scene.enqueue(*(new_job(f"j{number}") for number in range(5)))
    assert scene.run(empty_queue(scene.keys, queue="q", limit=3)) == (3, 2)
    assert scene.queued() == ["j3", "j4"]
    assert scene.run(empty_queue(scene.keys, queue="q", limit=3)) == (2, 0)


def test_a_dependant_that_goes_on_meanwhile_stays(scene: Scene) -> None:
    """One that allows a failure of its parent went on into the queue that was being emptied, and was deleted with the
    rest."""
    scene.enqueue(
        new_job("a"), new_job("b"), new_job("brave", depends_on=["a"], allow_failure=True, enqueue_at_front="1")
    )
    assert scene.run(empty_queue(scene.keys, queue="q")) == (2, 0)
    assert scene.queued() == ["brave"]


def test_empty_without_deleting(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("child", depends_on=["a"]))
    _, changed = scene.changes(empty_queue(scene.keys, queue="q", detach=True))
    assert changed == {"rq:job:a": {"status": "created"}, "rq:queue:q": None, "rq:atomiq:bell:q": None}
    assert scene.status("child") == "deferred"


def test_dependants_of_emptied_jobs_do_not_wait_for_ever(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("child", "r", depends_on=["a"]), new_job("x", ttl=5))
    scene.enqueue(new_job("child2", "r", depends_on=["x"]))
    scene.vanish("x")
    scene.run(empty_queue(scene.keys, queue="q"))
    assert (scene.status("child"), scene.status("child2")) == ("canceled", "canceled")


def test_an_id_whose_job_is_elsewhere_is_only_taken_off(scene: Scene) -> None:
    scene.finished("a")
    scene.redis.rpush(scene.keys.queue("q"), "a")
    scene.run(empty_queue(scene.keys, queue="q"))
    assert scene.status("a") == "finished"


def test_delete(scene: Scene) -> None:
    scene.put("a")
    assert scene.unchanged(delete_queue(scene.keys, queue="q")) == "not_empty"
    scene.run(empty_queue(scene.keys, queue="q"))
    scene.run(pause_queue(scene.keys, queue="q"))
    reply, changed = scene.changes(delete_queue(scene.keys, queue="q"))
    assert reply == "ok"
    assert changed == {"rq:queues": None, "rq:atomiq:paused": None}
    assert scene.unchanged(delete_queue(scene.keys, queue="q")) == "ok"


def test_a_deleted_queue_is_known_again_when_a_job_comes_back(scene: Scene) -> None:
    job = scene.started("a", retries_left=1)
    scene.run(delete_queue(scene.keys, queue="q"))
    scene.settle(job, "failed")
    assert scene.redis.smembers(scene.keys.queues()) == {b"rq:queue:q"}


def test_remove(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    command = remove_from_queue(scene.keys, queue="q", job_id="a")
    reply, changed = scene.changes(command)
    assert reply == 1
    assert changed == {"rq:queue:q": ["b"], "rq:job:a": {"status": "created"}}
    assert scene.unchanged(command) == 0


def test_pause(scene: Scene) -> None:
    scene.put("a")
    scene.redis.delete(scene.keys.bell("q"))
    command = pause_queue(scene.keys, queue="q")
    reply, changed = scene.changes(command)
    assert (reply, changed) == ("ok", {"rq:atomiq:paused": Entry("set", frozenset({"q"}), None)})
    assert scene.unchanged(command) == "already"
    command = pause_queue(scene.keys, queue="q", paused=False)
    reply, changed = scene.changes(command)
    assert (reply, changed) == ("ok", {"rq:atomiq:paused": None, "rq:atomiq:bell:q": BELL})
    scene.redis.delete(scene.keys.bell("q"))
    assert scene.unchanged(command) == "already"


def test_the_end_of_a_pause_wakes_for_the_schedule(scene: Scene) -> None:
    """What became due during the pause waited for the next safety check: the bell rang only if jobs stood in the
    list."""
    scene.put("a", due_ms=NOW + 5)
    scene.run(pause_queue(scene.keys, queue="q"))
    scene.redis.delete(scene.keys.bell("q"))
    scene.run(pause_queue(scene.keys, queue="q", paused=False))
    assert scene.redis.exists(scene.keys.bell("q"))


@pytest.mark.parametrize(("ttl", "kept"), [(None, None), (60, 60)])
def test_suspend(scene: Scene, ttl: int | None, kept: int | None) -> None:
    command = suspend(scene.keys, ttl=ttl)
    assert scene.changes(command) == ("ok", {"rq:suspended": Entry("string", "1", kept)})
    assert scene.unchanged(command) == "ok"


def test_resume(scene: Scene) -> None:
    scene.put("a")
    scene.redis.delete(scene.keys.bell("q"))
    scene.run(suspend(scene.keys))
    reply, changed = scene.changes(resume(scene.keys))
    assert (reply, changed) == (1, {"rq:suspended": None, "rq:atomiq:bell:q": BELL})
    scene.redis.delete(scene.keys.bell("q"))
    assert scene.unchanged(resume(scene.keys)) == 0


def test_view(scene: Scene) -> None:
    scene.enqueue(
        new_job("run"),
        new_job("good"),
        new_job("bad"),
        new_job("wait"),
        new_job("soon", due_ms=NOW + 1),
        new_job("child", depends_on=["wait"]),
    )
    _, good, bad = scene.claim(count=3).jobs
    scene.settle(good, result_ttl=5)
    scene.settle(bad, "failed", failure_ttl=-1)
    scene.run(pause_queue(scene.keys, queue="q"))
    (counts, other) = scene.unchanged(view_queues(scene.keys, queues=["q", "none"]))
    assert (counts.name, counts.queued, counts.started, counts.finished, counts.failed) == ("q", 1, 1, 1, 1)
    assert (counts.deferred, counts.scheduled, counts.canceled, counts.paused) == (1, 1, 0, True)
    assert (other.queued, other.paused) == (0, False)
    scene.now += 5000
    assert scene.run(view_queues(scene.keys, queues=["q"]))[0].finished == 0
