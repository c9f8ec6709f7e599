"""Jobs that wait for a whole group: exactly once, in the step that ends the last member, however it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.lua.scene import OVER, Scene, new_job

from atomiq._commands.change import cancel, delete, requeue, stop
from atomiq._commands.group import group_leave, group_progress, group_read
from atomiq._commands.queues import empty_queue, expire
from atomiq._commands.settle import Freed, free, reap

Step = Callable[[Scene], Any]


def group_of(scene: Scene, *members: str, when: str = "ended", **settings: Any) -> None:
    """A group, and a job in queue r that waits for it."""
    scene.enqueue(*(new_job(name, **settings) for name in members), group="g")
    assert scene.put("then", "r", after="g", when=when) == "deferred"


def progress(scene: Scene) -> dict[str, int]:
    return dict(scene.run(group_progress(scene.keys, name="g")).by_status)


def settle_next(outcome: str, **settings: Any) -> Step:
    return lambda scene: scene.settle(scene.take(), outcome, **settings)


def stop_it(scene: Scene) -> None:
    job = scene.take()
    scene.run(stop(scene.keys, job_id=job.job_id))
    scene.settle(job, "stopped")


def stop_and_lose_its_worker(scene: Scene) -> None:
    scene.run(stop(scene.keys, job_id=scene.take().job_id))
    lose_its_worker(scene)


def lose_its_worker(scene: Scene) -> None:
    scene.claim()
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q", max_abandoned=0))


def vanish_and_be_claimed(scene: Scene) -> None:
    """What is found in the queue is no job any more; of whose group it was nobody can tell."""
    scene.vanish("last")
    scene.claim()
    scene.expired.clear()
    scene.run(free(scene.keys))


def vanish_and_be_noticed(scene: Scene) -> None:
    scene.vanish("last")
    scene.run(free(scene.keys))


def vanish_and_be_read(scene: Scene) -> None:
    scene.vanish("last")
    scene.run(group_read(scene.keys, name="g"))


def finish_by_rq(scene: Scene) -> None:
    """RQ's workers know nothing of what waits for a group."""
    scene.redis.lrem("rq:queue:q", 0, "last")
    scene.redis.hset("rq:job:last", "status", "finished")
    scene.redis.zadd("rq:finished:q", {"last": scene.now / 1000 + 500})
    scene.redis.expire("rq:job:last", 500)
    scene.run(free(scene.keys))


ENDS: list[tuple[str, str, Step]] = [
    ("finished", "finished", settle_next("finished")),
    ("nothing kept", "finished", settle_next("finished", result_ttl=0)),
    ("failed", "failed", settle_next("failed")),
    ("no failure kept", "failed", settle_next("failed", failure_ttl=0)),
    ("retries used up", "failed", settle_next("exhausted")),
    ("stopped", "stopped", stop_it),
    ("stopped, worker gone", "stopped", stop_and_lose_its_worker),
    ("abandoned", "failed", lose_its_worker),
    ("canceled", "canceled", lambda scene: scene.run(cancel(scene.keys, job_id="last"))),
    ("deleted", "gone", lambda scene: scene.run(delete(scene.keys, job_id="last"))),
    ("queue emptied", "gone", lambda scene: scene.run(empty_queue(scene.keys, queue="q"))),
    ("expired, claimed", "gone", vanish_and_be_claimed),
    ("expired, noticed", "gone", vanish_and_be_noticed),
    ("expired, read", "gone", vanish_and_be_read),
    ("finished by RQ", "finished", finish_by_rq),
]
every_end = pytest.mark.parametrize(("how", "end"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])


@every_end
def test_the_last_end_lets_it_go(scene: Scene, how: str, end: Step) -> None:
    group_of(scene, "first", "last")
    scene.settle(scene.take())
    assert scene.status("then") == "deferred"
    end(scene)
    assert scene.queued("r") == ["then"]
    assert progress(scene) == Counter(["finished", how])
    assert scene.run(free(scene.keys)) == Freed(0, False)
    assert scene.queued("r") == ["then"]
    assert not scene.redis.exists(scene.keys.after("g"), scene.keys.watched(), scene.keys.open("g"))


@every_end
def test_on_finished_needs_all_of_them(scene: Scene, how: str, end: Step) -> None:
    group_of(scene, "last", when="finished")
    end(scene)
    kept = scene.status("last") is not None
    expected = "queued" if how == "finished" else "deferred" if kept else "canceled"
    assert scene.status("then") == expected


@every_end
def test_on_failed_needs_one_that_has_not(scene: Scene, how: str, end: Step) -> None:
    group_of(scene, "last", when="failed")
    end(scene)
    assert scene.status("then") == ("canceled" if how == "finished" else "queued")


def test_the_whole_difference(scene: Scene) -> None:
    group_of(scene, "first", "last")
    scene.settle(scene.take())
    scene.take()
    _, changed = scene.changes(cancel(scene.keys, job_id="last"))
    assert {key for key in changed if "atomiq" in key or key.startswith("ttl:rq:atomiq")} == {
        "rq:atomiq:after:g",
        "rq:atomiq:bell:r",
        "rq:atomiq:ended:g",
        "ttl:rq:atomiq:ended:g",
        "rq:atomiq:executions:w",
        "rq:atomiq:open:g",
        "rq:atomiq:watched",
    }
    assert changed["rq:queue:r"].value == ["then"]
    assert changed["rq:deferred:r"] is None


@pytest.mark.parametrize("outcome", ["retried", "failed"])
def test_a_member_that_is_retried_has_not_ended(scene: Scene, outcome: str) -> None:
    group_of(scene, "last", retries_left=1)
    scene.settle(scene.take(), outcome, retry=0)
    assert (scene.status("then"), progress(scene)) == ("deferred", {"queued": 1})
    scene.settle(scene.take())
    assert scene.status("then") == "queued"


def test_a_member_that_repeats_has_not_ended(scene: Scene) -> None:
    group_of(scene, "last", repeats_left=1, repeat_intervals="[0]")
    scene.settle(scene.take())
    assert scene.status("then") == "deferred"
    scene.settle(scene.take())
    assert scene.status("then") == "queued"


def test_a_member_that_waits_for_another_is_open(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b", depends_on=["a"]), group="g")
    scene.put("then", "r", after="g", when="ended")
    scene.settle(scene.take())
    assert (scene.status("then"), progress(scene)) == ("deferred", {"finished": 1, "queued": 1})
    scene.settle(scene.take())
    assert scene.status("then") == "queued"


def test_dependants_that_are_canceled_with_their_parent_end_too(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b", depends_on=["a"]), group="g")
    scene.put("then", "r", after="g", when="ended")
    scene.run(delete(scene.keys, job_id="a"))
    assert (scene.status("then"), progress(scene)) == ("queued", {"gone": 1, "canceled": 1})


def test_jobs_added_later_are_waited_for(scene: Scene) -> None:
    group_of(scene, "a")
    scene.enqueue(new_job("b"), group="g")
    scene.settle(scene.take())
    assert scene.status("then") == "deferred"
    scene.settle(scene.take())
    assert scene.status("then") == "queued"


def test_jobs_added_after_the_end_do_not_let_it_go_again(scene: Scene) -> None:
    group_of(scene, "a")
    scene.settle(scene.take())
    scene.enqueue(new_job("b"), group="g")
    scene.settle(scene.take())
    assert scene.queued("r") == ["then"]
    assert progress(scene) == {"finished": 2}


def test_a_failed_member_that_is_requeued_and_finishes(scene: Scene) -> None:
    group_of(scene, "a", when="finished")
    scene.settle(scene.take(), "failed")
    assert (scene.status("then"), progress(scene)) == ("deferred", {"failed": 1})
    scene.run(requeue(scene.keys, job_id="a"))
    assert progress(scene) == {"queued": 1}
    scene.settle(scene.take())
    assert (scene.status("then"), progress(scene)) == ("queued", {"finished": 1})


def test_a_failed_member_that_is_deleted_ends_the_hope(scene: Scene) -> None:
    group_of(scene, "a", when="finished")
    scene.settle(scene.take(), "failed")
    scene.run(delete(scene.keys, job_id="a"))
    assert (scene.status("then"), progress(scene)) == ("canceled", {"failed": 1})
    assert not scene.redis.exists(scene.keys.watched())


@pytest.mark.parametrize("end", [settle_next("failed"), lambda scene: scene.run(cancel(scene.keys, job_id="a"))])
def test_a_failed_member_that_expires_ends_the_hope(scene: Scene, end: Step) -> None:
    """Redis tells nobody of it. Whoever waited for all to finish was never canceled, and waited for ever."""
    group_of(scene, "a", "b", when="finished")
    end(scene)
    scene.settle(scene.take())
    (how,) = progress(scene).keys() - {"finished"}
    scene.vanish("a")
    scene.run(expire(scene.keys, queue="q"))
    scene.run(free(scene.keys))
    assert (scene.status("then"), progress(scene)) == ("canceled", {"finished": 1, how: 1})
    assert not scene.redis.exists(scene.keys.watched())
    scene.expired.clear()


def test_a_finished_member_that_is_no_longer_kept_counts_as_finished(scene: Scene) -> None:
    group_of(scene, "a", "b", when="finished")
    scene.settle(scene.take())
    scene.now += 501_000
    scene.run(expire(scene.keys, queue="q"))
    assert scene.status("a") is None
    scene.settle(scene.take())
    assert (scene.status("then"), progress(scene)) == ("queued", {"finished": 2})


def test_a_member_enqueued_anew_is_open_again(scene: Scene) -> None:
    group_of(scene, "a", "b")
    scene.settle(scene.take())
    scene.enqueue(new_job("a", call="anew"), group="g")
    assert progress(scene) == {"queued": 2}
    scene.settle(scene.take())
    assert scene.status("then") == "deferred"
    scene.settle(scene.take())
    assert (scene.status("then"), progress(scene)) == ("queued", {"finished": 2})


def test_a_member_enqueued_anew_into_another_group_has_left(scene: Scene) -> None:
    group_of(scene, "a")
    scene.enqueue(new_job("a", call="anew"), group="h")
    assert scene.status("then") == "queued"
    assert progress(scene) == {}


@pytest.mark.parametrize("group", ["h", None])
@pytest.mark.parametrize("first", [["a", "then"], ["then", "a"]], ids=str)
def test_members_enqueued_anew_together_with_who_waits_for_them(
    scene: Scene, first: list[str], group: str | None
) -> None:
    """The same jobs once more, for another group. The last member to leave the old group let go who had waited for it,
    in the midst of its being put anew: it was deferred, and in the queue, and ran before the members did."""
    group_of(scene, "a")
    anew = {"a": new_job("a", call="2"), "then": new_job("then", "r", call="2", after="h", when="ended")}
    if group is None:
        anew["then"] = new_job("then", "r", call="2", depends_on=["a"])
    words = scene.enqueue(*(anew[name] for name in first), group=group)
    assert {one.job_id: one.word for one in words} == {"a": "queued", "then": "deferred"}
    assert (scene.status("then"), scene.queued("r")) == ("deferred", [])
    scene.settle(scene.take())
    assert (scene.status("then"), scene.queued("r")) == ("queued", ["then"])


def test_a_member_that_is_taken_out_is_not_waited_for(scene: Scene) -> None:
    group_of(scene, "a", "b")
    scene.settle(scene.take())
    assert scene.run(group_leave(scene.keys, name="g", job_id="b")) == 1
    assert (scene.status("then"), progress(scene)) == ("queued", {"finished": 1})
    assert scene.run(group_leave(scene.keys, name="g", job_id="b")) == 0


def test_one_that_is_canceled_or_deleted_meanwhile_stays_so(scene: Scene) -> None:
    group_of(scene, "a")
    scene.put("then2", "r", after="g", when="ended")
    scene.run(cancel(scene.keys, job_id="then"))
    scene.run(delete(scene.keys, job_id="then2"))
    scene.settle(scene.take())
    assert (scene.status("then"), scene.status("then2")) == ("canceled", None)


def test_one_that_was_requeued_by_hand_is_not_let_go_again(scene: Scene) -> None:
    group_of(scene, "a")
    scene.run(requeue(scene.keys, job_id="then"))
    scene.settle(scene.take("r"))
    scene.settle(scene.take("q"))
    assert (scene.status("then"), scene.queued("r")) == ("finished", [])


def test_one_put_anew_with_a_dependency_waits_for_that(scene: Scene) -> None:
    group_of(scene, "a")
    scene.enqueue(new_job("p", "s"), new_job("then", "r", depends_on=["p"], call="anew"))
    scene.settle(scene.take("q"))
    assert scene.status("then") == "deferred"
    scene.settle(scene.take("s"))
    assert scene.status("then") == "queued"


def test_a_group_that_has_ended_lets_go_at_once(scene: Scene) -> None:
    scene.enqueue(new_job("a"), group="g")
    scene.settle(scene.take())
    assert scene.put("then", "r", after="g", when="finished") == "queued"
    assert scene.put("else", "r", after="g", when="failed") == "canceled"


def test_it_goes_to_the_front_if_asked(scene: Scene) -> None:
    scene.enqueue(new_job("a"), group="g")
    scene.put("other", "r")
    scene.put("then", "r", after="g", when="ended", at_front=True, enqueue_at_front="1")
    scene.settle(scene.take())
    assert scene.queued("r") == ["then", "other"]


def test_very_many_jobs_may_wait(scene: Scene) -> None:
    """One step lets go of a part; upkeep sees to the rest."""
    scene.enqueue(new_job("a"), group="g")
    scene.enqueue(*(new_job(f"then{number}", "r", after="g", when="ended") for number in range(900)))
    scene.settle(scene.take())
    assert 0 < len(scene.queued("r")) < 900
    for _ in range(20):
        scene.run(free(scene.keys))
    assert len(scene.queued("r")) == 900
    assert not scene.redis.exists(scene.keys.watched(), scene.keys.after("g"))


def test_upkeep_leaves_a_group_alone_for_a_while(scene: Scene) -> None:
    group_of(scene, "last")
    scene.vanish("last")
    assert scene.run(free(scene.keys, pause_ms=5000)) == Freed(0, False)
    assert scene.status("then") == "deferred"
    scene.now += 5000
    scene.run(free(scene.keys, pause_ms=5000))
    assert scene.status("then") == "queued"


def test_a_group_of_rq_is_counted_when_somebody_asks(scene: Scene) -> None:
    for name in "abc":
        scene.put(name, group_id="g")
    scene.settle(scene.take())
    scene.redis.sadd("rq:group:g", "a", "b", "c", "ghost")
    scene.redis.sadd("rq:groups", "g")
    assert progress(scene) == {"finished": 1, "queued": 2}
    scene.put("then", "r", after="g", when="ended")
    scene.settle(scene.take())
    scene.settle(scene.take())
    assert scene.status("then") == "queued"


def test_members_that_rq_adds_are_waited_for(scene: Scene) -> None:
    group_of(scene, "a")
    scene.put("b", group_id="g")
    scene.redis.sadd("rq:group:g", "b")
    scene.settle(scene.take())
    assert scene.status("then") == "deferred"
    scene.run(free(scene.keys))
    assert (scene.status("then"), progress(scene)) == ("deferred", {"finished": 1, "queued": 1})
    scene.settle(scene.take())
    assert scene.status("then") == "queued"


def test_a_large_group_is_looked_through_in_parts(scene: Scene) -> None:
    names = [f"j{number}" for number in range(900)]
    scene.enqueue(*(new_job(name) for name in names), group="g")
    scene.put("then", "r", after="g", when="ended")
    told = scene.run(group_progress(scene.keys, name="g", limit=100))
    assert (told.total, told.done, told.open) == (900, 0, 900)
    assert 0 < told.unseen < 900
    assert sum(told.by_status.values()) + told.unseen == 900
    for name in names:
        scene.vanish(name)
    for _ in range(200):
        scene.run(free(scene.keys))
    assert scene.status("then") == "queued"
    assert progress(scene) == {"gone": 900}


def test_followers_that_wait_on_stand_in_nobodys_way(scene: Scene) -> None:
    """Those that want a finished group wait for a failed member that may be requeued. With some hundreds of them, the
    same hundred was looked at each time, and others of the same group waited for ever."""
    scene.enqueue(new_job("member"), group="g")
    scene.settle(scene.take(), "failed")
    patient = [f"p{number}" for number in range(900)]
    scene.enqueue(*(new_job(name, "r", after="g", when="finished") for name in patient))
    ready = [f"e{number}" for number in range(90)]
    scene.enqueue(*(new_job(name, "r", after="g", when="ended") for name in ready))
    for _ in range(20):
        scene.run(free(scene.keys))
    assert {scene.status(name) for name in ready} == {"queued"}
    assert {scene.status(name) for name in patient} == {"deferred"}
