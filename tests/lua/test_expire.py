"""expire: what has outlived its time."""

from __future__ import annotations

import pytest
from tests.lua.scene import Scene, new_job

from atomiq._commands.change import cancel
from atomiq._commands.queues import Expired, expire


def expiring(scene: Scene, limit: int = 1000, offset: int = 0):
    return expire(scene.keys, queue="q", limit=limit, offset=offset)


@pytest.mark.parametrize("status", ["finished", "failed", "stopped"])
def test_the_whole_difference(scene: Scene, status: str) -> None:
    scene.settle(scene.started("a"), status, result_ttl=60, failure_ttl=60)
    scene.now += 59_000
    assert scene.unchanged(expiring(scene)) == Expired(0, False, 0)
    scene.now += 1_000
    reply, changed = scene.changes(expiring(scene))
    assert reply == Expired(1, False, 0)
    registry = "rq:finished:q" if status == "finished" else "rq:failed:q"
    assert changed == {registry: None, "rq:job:a": None, "rq:results:a": None}
    assert scene.unchanged(expiring(scene)) == Expired(0, False, 0)


def test_after_redis_has_dropped_the_hash(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("child", depends_on=["a"]))
    scene.settle(scene.take(), "failed", failure_ttl=60)
    scene.vanish("a")
    scene.now += 60_000
    assert scene.run(expiring(scene)).removed == 1
    assert scene.status("child") == "canceled"


@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_kept_for_ever(scene: Scene, outcome: str) -> None:
    scene.settle(scene.started("a"), outcome, result_ttl=-1, failure_ttl=-1)
    scene.now *= 2
    assert scene.unchanged(expiring(scene)) == Expired(0, False, 0)


@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_kept_for_ever_but_deleted_by_hand(scene: Scene, outcome: str) -> None:
    """Finished jobs whose result is kept for ever stayed in the registry after their hash had gone."""
    scene.settle(scene.started("a"), outcome, result_ttl=-1, failure_ttl=-1)
    scene.vanish("a")
    assert scene.run(expiring(scene)).removed == 1
    assert not scene.redis.exists(scene.keys.finished("q"), scene.keys.failed("q"), scene.keys.results("a"))


def test_a_deferred_job_whose_ttl_is_over(scene: Scene) -> None:
    scene.enqueue(new_job("p"), new_job("a", depends_on=["p"], ttl=5), new_job("child", depends_on=["a"]))
    scene.vanish("a")
    reply, changed = scene.changes(expiring(scene))
    assert reply.removed == 1
    assert changed["rq:job:p:dependents"] is None
    assert changed["rq:atomiq:unmet:a"] is None
    assert changed["rq:job::a:dependencies"] is None
    assert scene.status("child") == "canceled"


def test_a_canceled_job_whose_time_is_over(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("child", depends_on=["a"]))
    scene.run(cancel(scene.keys, job_id="a"))
    scene.vanish("a")
    assert scene.run(expiring(scene)).removed == 1
    assert scene.registry(scene.keys.canceled("q")).keys() == {"child"}


@pytest.mark.parametrize("status", ["deferred", "canceled"])
def test_put_anew_after_it_expired(scene: Scene, status: str) -> None:
    """The old entry has no time of its own to outlive; it stood in its registry beside the job that has the id now."""
    scene.enqueue(new_job("p"), new_job("a", depends_on=["p"], ttl=5))
    if status == "canceled":
        scene.run(cancel(scene.keys, job_id="a"))
    scene.vanish("a")
    scene.put("a", call="another")
    assert scene.run(expiring(scene)).removed == 1
    assert scene.registry(scene.keys.canceled("q")) == scene.registry(scene.keys.deferred("q")) == {}
    assert scene.queued() == ["p", "a"]
    assert not scene.redis.exists(scene.keys.dependents("p"))


def test_a_job_that_waits_is_not_touched_by_its_old_entry(scene: Scene) -> None:
    scene.finished("a", result_ttl=5)
    scene.vanish("a")
    scene.put("a", call="another")
    scene.now += 600_000
    scene.run(expiring(scene))
    assert scene.queued() == ["a"]
    assert scene.registry(scene.keys.finished("q")) == {}


def test_page_by_page(scene: Scene) -> None:
    """Ghosts between living entries are all found, however the pages fall."""
    scene.put("p")
    scene.enqueue(*(new_job(f"c{number}", depends_on=["p"], ttl=5) for number in range(10)))
    for number in (1, 2, 5, 9):
        scene.vanish(f"c{number}")
    offset, removed, rounds = 0, 0, 0
    while True:
        reply = scene.run(expiring(scene, limit=3, offset=offset))
        removed, offset, rounds = removed + reply.removed, reply.next_offset, rounds + 1
        assert rounds < 20
        if not reply.more:
            break
    assert removed == 4
    assert len(scene.registry(scene.keys.deferred("q"))) == 6


def test_the_bound_is_for_all_registries_together(scene: Scene) -> None:
    """A call of 1,000 took up to 80 ms: a thousand each of finished and failed jobs, and a page of every registry."""
    scene.enqueue(*(new_job(f"j{number}") for number in range(6)))
    for number, job in enumerate(scene.claim(count=6).jobs):
        scene.settle(job, "finished" if number % 2 else "failed", result_ttl=1, failure_ttl=1)
    scene.now += 1000
    assert scene.run(expiring(scene, limit=4)) == Expired(4, True, 0)
    assert scene.run(expiring(scene, limit=4)) == Expired(2, False, 0)


def test_many_at_once_are_bounded(scene: Scene) -> None:
    scene.enqueue(*(new_job(f"j{number}") for number in range(5)))
    for job in scene.claim(count=5).jobs:
        scene.settle(job, result_ttl=1)
    scene.now += 1000
    reply = scene.run(expiring(scene, limit=3))
    assert (reply.removed, reply.more) == (3, True)
    assert scene.run(expiring(scene, limit=3, offset=reply.next_offset)).removed == 2
