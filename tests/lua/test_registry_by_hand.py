"""enter_registry, leave_registry, drop_executions, beat_execution: RQ's primitives, each one step."""

from __future__ import annotations

import pytest
from tests.lua.scene import LEASE, NOW, YEAR, Scene, lease_end, new_job

from atomiq._commands.base import Command
from atomiq._commands.change import cancel
from atomiq._commands.registry import (
    Entered,
    Left,
    beat_execution,
    drop_executions,
    enter_registry,
    leave_registry,
)

STATUSES = ("created", "queued", "deferred", "scheduled", "finished", "failed", "stopped", "canceled")
TARGETS = ("finished", "failed", "deferred", "scheduled", "canceled")


def entering(scene: Scene, status: str, job_id: str = "a", **settings) -> Command[Entered]:
    key = getattr(scene.keys, status)("q")
    settings.setdefault("ttl", 60)
    if status in ("failed", "finished"):
        settings.setdefault("keep", 60)
    return enter_registry(scene.keys, registry=key, queue="q", status=status, job_id=job_id, **settings)


def leaving(scene: Scene, status: str, job_id: str = "a", **settings) -> Command[Left]:
    key = getattr(scene.keys, status)("q")
    return leave_registry(scene.keys, registry=key, queue="q", status=status, job_id=job_id, **settings)


def brought(scene: Scene, status: str) -> None:
    """Job a in this status."""
    if status == "deferred":
        scene.enqueue(new_job("parent"), new_job("a", depends_on=["parent"]))
    elif status == "scheduled":
        scene.put("a", due_ms=NOW + 50_000)
    elif status in ("failed", "stopped", "finished"):
        scene.settle(scene.started("a"), status)
    else:
        scene.put("a")
        if status == "canceled":
            scene.run(cancel(scene.keys, job_id="a"))
        elif status == "created":
            scene.redis.delete(scene.keys.queue("q"))
            scene.redis.hset(scene.keys.job("a"), "status", "created")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("origin", STATUSES)
def test_into_every_registry_out_of_everywhere(scene: Scene, origin: str, target: str) -> None:
    """RQ writes the member and leaves job and other registries alone: the job is then in two, and its status says a
    third. That it is in one place here, the fixture looks after."""
    brought(scene, origin)
    there = origin == target or (origin, target) == ("stopped", "failed")
    assert scene.run(entering(scene, target)) == Entered("ok", 0 if there else 1)
    assert scene.status("a") == ("stopped" if origin == "stopped" and target == "failed" else target)
    assert scene.registry(getattr(scene.keys, target)("q")) == {"a": NOW // 1000 + 60}
    again = scene.unchanged(entering(scene, target))
    assert again == Entered("ok", 0)
    if target == "deferred":  # nobody will free it, as it waits for nobody
        scene.run(cancel(scene.keys, job_id="a"))


@pytest.mark.parametrize("target", ["deferred", "scheduled"])
def test_one_that_is_to_run_once_more_is_open_in_its_group_and_keeps_its_ttl(scene: Scene, target: str) -> None:
    """As when it is enqueued again: whoever waits for the group waits on."""
    scene.enqueue(new_job("a", ttl=100), new_job("b"), group="g")
    scene.settle(scene.started("a"), "finished")
    assert scene.redis.scard(scene.keys.open("g")) == 1
    scene.run(entering(scene, target))
    assert scene.redis.smembers(scene.keys.open("g")) == {b"a", b"b"}
    assert 0 < scene.redis.ttl(scene.keys.job("a")) <= 100
    scene.run(cancel(scene.keys, job_id="a"))


def test_the_whole_difference(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    reply, changed = scene.changes(entering(scene, "finished"))
    assert reply == Entered("ok", 1)
    assert set(changed) == {"rq:queue:q", "rq:job:a", "ttl:rq:job:a", "rq:finished:q"}
    assert changed["rq:job:a"] == {"status": "finished"}
    assert changed["rq:queue:q"] == ["b"]


def test_a_running_job_is_left_alone(scene: Scene) -> None:
    scene.started("a")
    assert scene.unchanged(entering(scene, "finished")) == Entered("busy", 0)


def test_only_where_it_is_already(scene: Scene) -> None:
    scene.put("a")
    assert scene.unchanged(entering(scene, "finished", only_move=True)) == Entered("ok", 0)
    scene.run(entering(scene, "finished"))
    scene.run(entering(scene, "finished", only_move=True, ttl=90))
    assert scene.registry(scene.keys.finished("q")) == {"a": NOW // 1000 + 90}


def test_an_id_without_a_job_is_written_down(scene: Scene) -> None:
    _, changed = scene.changes(entering(scene, "failed", "ghost"))
    assert set(changed) == {"rq:failed:q"}
    assert scene.run(leaving(scene, "failed", "ghost")) == Left(1, False)
    assert scene.space() == {}


def test_fields_make_a_job(scene: Scene) -> None:
    assert scene.run(entering(scene, "failed", fields={"data": "d", "failure_ttl": 60})).added == 1
    assert scene.redis.ttl(scene.keys.job("a")) > 0
    assert (scene.status("a"), scene.field("a", "origin")) == ("failed", "q")


@pytest.mark.parametrize(("keep", "score"), [(0, None), (-1, -1.0), (90, NOW // 1000 + 90)])
@pytest.mark.parametrize("origin", ["queued", "failed"])
def test_how_long_a_failed_job_is_kept(scene: Scene, origin: str, keep: int, score: float | None) -> None:
    brought(scene, origin)
    scene.run(entering(scene, "failed", keep=keep, ttl=keep, score=-1 if keep < 0 else None))
    assert scene.registry(scene.keys.failed("q")) == ({} if score is None else {"a": score})
    assert scene.status("a") == (None if score is None else "failed")
    assert scene.redis.ttl(scene.keys.job("a")) == (-2 if score is None else keep)


def test_dependants_learn_of_it(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("kid", depends_on=["a"]))
    scene.run(entering(scene, "finished"))
    assert scene.status("kid") == "queued"


def test_into_a_registry_of_another_queue(scene: Scene) -> None:
    """Then it is a job of that queue, as its place is looked for there."""
    scene.put("a", "r")
    scene.run(entering(scene, "finished"))
    assert scene.field("a", "origin") == "q"
    assert scene.queued("r") == []


def test_a_job_with_an_end_may_wait_again(scene: Scene) -> None:
    """RQ leaves it the time that its result was to be kept: a job scheduled for next month is gone by then."""
    brought(scene, "finished")
    assert scene.redis.ttl(scene.keys.job("a")) > 0
    scene.run(entering(scene, "scheduled", score=f"{NOW / 1000 + YEAR:.3f}"))
    assert scene.redis.ttl(scene.keys.job("a")) == -1


@pytest.mark.parametrize("origin", ["deferred", "scheduled", "finished", "failed", "stopped", "canceled"])
def test_out_of_its_registry(scene: Scene, origin: str) -> None:
    brought(scene, origin)
    registry = "failed" if origin == "stopped" else origin
    assert scene.run(leaving(scene, registry)) == Left(1, True)
    assert scene.status("a") == "created"
    assert scene.unchanged(leaving(scene, registry)) == Left(0, True)


def test_what_is_elsewhere_by_now_stays_there(scene: Scene) -> None:
    """`queue.enqueue_job(job)` and then `registry.remove(job)`, as dashboards do it."""
    scene.put("a")
    assert scene.unchanged(leaving(scene, "deferred")) == Left(0, True)
    scene.redis.zadd(scene.keys.deferred("q"), {"a": 5})
    assert scene.run(leaving(scene, "deferred")) == Left(1, True)
    assert (scene.status("a"), scene.queued()) == ("queued", ["a"])


@pytest.mark.parametrize("origin", STATUSES)
def test_deleted_with_it(scene: Scene, origin: str) -> None:
    brought(scene, origin)
    member = 1 if origin in ("failed", "stopped") else 0
    assert scene.run(leaving(scene, "failed", delete=True)) == Left(member, True)
    assert scene.status("a") is None
    assert scene.unchanged(leaving(scene, "failed", delete=True)) == Left(0, False)


@pytest.mark.parametrize("which", ["e1", ""])
def test_a_job_whose_execution_is_closed_by_hand_runs_again(scene: Scene, which: str) -> None:
    """RQ leaves it started, in no container."""
    scene.put("a", ttl=500)
    job = scene.take()
    scene.put("b")
    drop = drop_executions(scene.keys, queue="q", job_id="a", execution_id=which)
    assert scene.run(drop) == 1
    assert scene.queued() == ["a", "b"]
    assert scene.redis.ttl(scene.keys.job("a")) == 500
    assert scene.unchanged(drop) == 0
    assert scene.settle(job).word == "not_yours"


def test_closing_one_of_two_executions(scene: Scene) -> None:
    scene.started("a")
    scene.redis.zadd(scene.keys.wip("q"), {"a:stale": NOW / 1000 + 30})
    scene.redis.zadd(scene.keys.executions("a"), {"stale": NOW / 1000 + 90})
    assert scene.run(drop_executions(scene.keys, queue="q", job_id="a", execution_id="stale")) == 1
    assert scene.status("a") == "started"


def test_closing_what_is_not_open(scene: Scene) -> None:
    scene.finished("a")
    assert scene.unchanged(drop_executions(scene.keys, queue="q", job_id="a", execution_id="e1")) == 0


def test_a_beat_by_hand(scene: Scene) -> None:
    job = scene.started("a")
    scene.now += 1000
    beat = beat_execution(scene.keys, queue="q", job_id="a", execution_id=job.execution_id, worker="w", lease_ms=LEASE)
    reply, changed = scene.changes(beat)
    assert reply == "ok"
    assert set(changed) == {"rq:wip:q", "rq:execution:a:e1", "rq:executions:a"}
    assert scene.registry(scene.keys.wip("q")) == {"a:e1": lease_end(NOW + 1000)}


def test_a_beat_brings_nothing_back(scene: Scene) -> None:
    """RQ's creates the hash anew with nothing but the time, at which its readers fail."""
    job = scene.finished("a")
    beat = beat_execution(scene.keys, queue="q", job_id="a", execution_id=job.execution_id, worker="w", lease_ms=LEASE)
    assert scene.unchanged(beat) == "gone"
