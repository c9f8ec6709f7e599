"""free: the dependants and the groups that one step did not reach."""

from __future__ import annotations

from tests.lua.scene import Scene, new_job

from atomiq._commands.change import cancel, delete
from atomiq._commands.settle import Freed, free


def crowd(scene: Scene, count: int = 120) -> None:
    scene.enqueue(new_job("a"), *(new_job(f"c{number}", "r", depends_on=["a"]) for number in range(count)))


def test_the_whole_difference(scene: Scene) -> None:
    crowd(scene, 101)
    scene.settle(scene.take())
    (last,) = scene.registry(scene.keys.deferred("r"))
    reply, changed = scene.changes(free(scene.keys))
    assert reply == Freed(1, False)
    assert changed.keys() == {
        "rq:atomiq:freeing",
        f"rq:atomiq:unmet:{last}",
        "rq:deferred:r",
        f"rq:job:{last}",
        "rq:job:a:dependents",
        "rq:queue:r",
    }
    assert scene.unchanged(free(scene.keys)) == Freed(0, False)


def test_nothing_to_do(scene: Scene) -> None:
    assert scene.unchanged(free(scene.keys)) == Freed(0, False)


def test_a_bound(scene: Scene) -> None:
    crowd(scene)
    scene.settle(scene.take())
    assert scene.run(free(scene.keys, limit=15)) == Freed(15, True)
    assert scene.run(free(scene.keys, limit=15)) == Freed(5, False)


def test_several_parents_share_the_bound(scene: Scene) -> None:
    for parent in "ab":
        children = [new_job(f"{parent}{number}", "r", depends_on=[parent]) for number in range(110)]
        scene.enqueue(new_job(parent), *children)
    for _ in "ab":
        scene.settle(scene.take())
    assert scene.run(free(scene.keys, limit=15)) == Freed(15, True)
    assert scene.run(free(scene.keys, limit=15)) == Freed(5, False)


def test_dependants_that_went_away_meanwhile(scene: Scene) -> None:
    crowd(scene)
    scene.settle(scene.take())
    waiting = list(scene.registry(scene.keys.deferred("r")))
    for number, job_id in enumerate(waiting):
        scene.run((cancel if number % 2 else delete)(scene.keys, job_id=job_id))
    assert scene.run(free(scene.keys)) == Freed(0, False)
    assert len(scene.queued("r")) == 100


def test_a_parent_that_was_canceled(scene: Scene) -> None:
    crowd(scene)
    scene.run(cancel(scene.keys, job_id="a", enqueue_dependents=True))
    assert scene.run(free(scene.keys)) == Freed(20, False)
    assert len(scene.queued("r")) == 120


def test_a_parent_that_was_deleted(scene: Scene) -> None:
    crowd(scene)
    scene.run(delete(scene.keys, job_id="a"))
    assert scene.run(free(scene.keys)) == Freed(20, False)
    assert len(scene.registry(scene.keys.canceled("r"))) == 120


def test_a_large_group_whose_members_are_gone_needs_no_pause(scene: Scene) -> None:
    """A look sees a hundred members of a group, and then left it alone for five seconds however many there were to see:
    what waited for some thousands that had expired, or that RQ's workers had ended, did so for minutes."""
    names = [f"j{number}" for number in range(900)]
    scene.enqueue(*(new_job(name) for name in names), group="g")
    scene.put("then", "r", after="g", when="ended")
    for name in names:
        scene.vanish(name)
    scene.now += 5000
    looks = 1
    while scene.run(free(scene.keys, pause_ms=5000)).more:
        looks += 1
    assert looks < 30
    assert scene.status("then") == "queued"


def test_many_jobs_that_wait_for_a_group_need_no_pause(scene: Scene) -> None:
    scene.enqueue(new_job("a"), group="g")
    scene.enqueue(*(new_job(f"then{number}", "r", after="g", when="ended") for number in range(900)))
    scene.settle(scene.take())
    scene.now += 5000
    while scene.run(free(scene.keys, pause_ms=5000)).more:
        pass
    assert len(scene.queued("r")) == 900


def test_a_large_group_with_nothing_to_see_is_left_alone(scene: Scene) -> None:
    scene.enqueue(*(new_job(f"j{number}") for number in range(900)), group="g")
    scene.put("then", "r", after="g", when="ended")
    scene.now += 5000
    assert scene.run(free(scene.keys, pause_ms=5000)) == Freed(0, False)
    assert scene.unchanged(free(scene.keys, pause_ms=5000)) == Freed(0, False)
