"""promote: what is due, into its queue."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import NOW, Scene, new_job

from atomiq._commands.change import cancel, delete
from atomiq._commands.enqueue import Promoted, promote
from atomiq._commands.queues import delete_queue
from atomiq._core.timestamp import due_in


def promoting(scene: Scene, limit: int = 100):
    return promote(scene.keys, queue="q", limit=limit)


def test_the_whole_difference(scene: Scene) -> None:
    scene.enqueue(new_job("a", due_ms=NOW + 10), new_job("b", due_ms=NOW + 11))
    scene.redis.delete(scene.keys.bell("q"))
    assert scene.unchanged(promoting(scene)) == Promoted(0, False, NOW + 10)
    scene.now += 10
    reply, changed = scene.changes(promoting(scene))
    assert reply == Promoted(1, False, NOW + 11)
    assert changed == {
        "rq:scheduled:q": {"a": None},
        "rq:job:a": {"status": "queued", "enqueued_at": "2026-11-21T01:37:08.584000Z"},
        "rq:queue:q": Entry("list", ["a"], None),
        "rq:atomiq:bell:q": Entry("zset", {"1": 0.0}, None),
    }
    assert scene.unchanged(promoting(scene)) == Promoted(0, False, NOW + 11)


@pytest.mark.parametrize(
    ("fields", "order"),
    [
        ({}, ["first", "a"]),
        ({"enqueue_at_front": "1"}, ["a", "first"]),
        ({"enqueue_at_front_on_retry": "1"}, ["first", "a"]),
        ({"enqueue_at_front_on_retry": "1", "ended_at": "x"}, ["a", "first"]),
    ],
)
def test_the_end_of_the_queue_that_it_goes_to(scene: Scene, fields: dict[str, str], order: list[str]) -> None:
    scene.enqueue(new_job("first"), new_job("a", due_ms=NOW + 10, **fields))
    scene.now += 10
    scene.run(promoting(scene))
    assert scene.queued() == order


def test_a_bound(scene: Scene) -> None:
    scene.enqueue(*(new_job(f"j{number}", due_ms=NOW + number + 1) for number in range(5)))
    scene.now += 10
    assert scene.run(promoting(scene, limit=3)) == Promoted(3, True, NOW + 4)
    assert scene.run(promoting(scene, limit=3)) == Promoted(2, False, 0)
    assert scene.queued() == [f"j{number}" for number in range(5)]


def test_a_job_that_expired_before_it_was_due(scene: Scene) -> None:
    scene.enqueue(new_job("a", due_ms=NOW + 10, ttl=5), new_job("child", depends_on=["a"]))
    scene.vanish("a")
    scene.now += 10
    assert scene.run(promoting(scene)).count == 0
    assert scene.registry(scene.keys.scheduled("q")) == {}
    assert scene.status("child") == "canceled"


@pytest.mark.parametrize("change", [cancel, delete])
def test_not_wanted_any_more(scene: Scene, change) -> None:
    scene.put("a", due_ms=NOW + 10)
    scene.run(change(scene.keys, job_id="a"))
    scene.now += 10
    assert scene.unchanged(promoting(scene)) == Promoted(0, False, 0)


def test_put_anew_after_it_expired(scene: Scene) -> None:
    """Its id still stood in the schedule; when due it must not disturb the job that has it now."""
    scene.put("a", due_ms=NOW + 10, ttl=5)
    scene.vanish("a")
    scene.put("a", call="another")
    scene.now += 10
    assert scene.run(promoting(scene)).count == 0
    assert scene.queued() == ["a"]


def test_a_queue_whose_name_was_deleted_is_known_again(scene: Scene) -> None:
    """A queue that was deleted while jobs were scheduled got them when due, and was on no list of queues."""
    scene.put("a", due_ms=NOW + 10)
    assert scene.run(delete_queue(scene.keys, queue="q")) == "ok"
    scene.now += 10
    scene.run(promoting(scene))
    assert scene.redis.smembers(scene.keys.queues()) == {b"rq:queue:q"}


@pytest.mark.parametrize("milliseconds", [0, 1, 1500])
def test_a_delay_counts_from_the_servers_now(scene: Scene, milliseconds: int) -> None:
    """Also of a job that waits for another one first."""
    due_ms = due_in(timedelta(milliseconds=milliseconds))
    scene.put("p")
    scene.put("a", due_ms=due_ms)
    scene.put("b", due_ms=due_ms, depends_on=["p"])
    assert scene.redis.zscore("rq:scheduled:q", "a") == (NOW + milliseconds) / 1000
    assert scene.redis.hget("rq:job:b", "due") in (str(NOW + milliseconds), str(NOW + milliseconds).encode())
