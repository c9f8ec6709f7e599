"""worker_birth, worker_beat, worker_note, worker_tally, worker_death, clean_workers, view_workers, take_turn,
scheduler_beat."""

from __future__ import annotations

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, LEASE, NOW, Scene, ended, held, new_job
from tests.lua.test_settle_and_claim import going_on
from tests.lua.test_wait import WAITS

from atomiq._commands.change import cancel
from atomiq._commands.claim import Tally, give_back, release
from atomiq._commands.views import view_workers
from atomiq._commands.worker import (
    clean_workers,
    scheduler_beat,
    take_turn,
    worker_beat,
    worker_birth,
    worker_death,
    worker_note,
    worker_tally,
)

NAME = "rq:worker:w"


def birth(scene: Scene, incarnation: str = "i", worker: str = "w"):
    return worker_birth(
        scene.keys,
        worker=worker,
        queues=["q", "r"],
        fields={"pid": 7},
        ttl=480,
        lease_ms=LEASE,
        incarnation=incarnation,
    )


def death(scene: Scene):
    return worker_death(scene.keys, worker="w", queues=["q", "r"])


def test_birth(scene: Scene) -> None:
    reply, changed = scene.changes(birth(scene))
    assert reply == "ok"
    hash_ = {"beat": str(NOW), "lease": str(LEASE), "incarnation": "i", "birth": ISO, "last_heartbeat": ISO, "pid": "7"}
    assert changed == {
        NAME: Entry("hash", hash_, 480),
        "rq:workers": Entry("set", frozenset({NAME}), None),
        "rq:workers:q": Entry("set", frozenset({NAME}), None),
        "rq:workers:r": Entry("set", frozenset({NAME}), None),
    }
    assert scene.unchanged(birth(scene)) == "ok"


def test_a_worker_that_becomes_a_new_program_goes_on_counting(scene: Scene) -> None:
    """After SIGHUP its counts began at 0 again, and it was shown to do nothing while its old children were at work."""
    scene.run(birth(scene))
    scene.settle(scene.started("done"))
    scene.started("a")
    scene.now += 1000
    _, changed = scene.changes(birth(scene))
    beat = {"beat": str(scene.now), "last_heartbeat": ISO.replace(":08.", ":09.")}
    assert changed == {NAME: beat}
    assert scene.redis.hmget(NAME, "successful_job_count", "current_job", "state") == [b"1", b"a", b"busy"]


def test_a_worker_that_works_once_more_begins_anew(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.settle(scene.started("done"))
    scene.run(death(scene))
    scene.run(birth(scene))
    assert scene.redis.hget(NAME, "successful_job_count") is None


def test_the_name_of_a_living_worker_is_taken(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.now += LEASE - 1
    assert scene.unchanged(birth(scene, "j")) == "taken"
    scene.now += 1
    assert scene.run(birth(scene, "j")) == "ok"


def test_the_name_of_one_that_took_its_leave(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.run(death(scene))
    assert scene.run(birth(scene, "j")) == "ok"
    assert scene.redis.hget(NAME, "death") is None


def test_the_name_of_a_worker_of_rq_is_taken_while_its_hash_lives(scene: Scene) -> None:
    scene.redis.hset(NAME, "birth", ISO)
    scene.redis.expire(NAME, 480)
    assert scene.unchanged(birth(scene)) == "taken"


def test_who_takes_over_a_name_does_not_own_what_the_dead_one_held(scene: Scene) -> None:
    """The newcomer gave the jobs of its namesake back when it left, although their owner might still have run them."""
    scene.run(birth(scene))
    scene.put("a")
    scene.claim()
    scene.now += LEASE
    scene.run(birth(scene, "j"))
    assert scene.run(death(scene)) == []
    assert scene.status("a") == "started"
    scene.redis.hset(scene.keys.worker_executions("w"), "e1", "a")
    scene.redis.expire(scene.keys.worker_executions("w"), 90)


def test_beat(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.now += 1000
    command = worker_beat(scene.keys, worker="w", ttl=300, fields={"state": "idle"})
    reply, changed = scene.changes(command)
    assert reply == "ok"
    later = "2026-11-21T01:37:09.574000Z"
    assert changed == {
        NAME: {"beat": str(scene.now), "last_heartbeat": later, "state": "idle"},
        f"ttl:{NAME}": 300,
    }
    assert scene.unchanged(command) == "ok"


def test_a_beat_does_not_bring_a_worker_back(scene: Scene) -> None:
    assert scene.unchanged(worker_beat(scene.keys, worker="w", ttl=300)) == "gone"


def test_death(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.enqueue(new_job("a"), new_job("b", "r"), new_job("c"))
    scene.claim("q", "r", count=3)
    reply, changed = scene.changes(death(scene))
    assert sorted(reply) == ["a", "b", "c"]
    assert changed[NAME] == {"death": ISO, "state": "idle", "current_job": None}
    assert changed[f"ttl:{NAME}"] == 60
    assert [changed[key] for key in ("rq:workers", "rq:workers:q", "rq:workers:r", "rq:atomiq:executions:w")] == [
        None
    ] * 4
    assert scene.queued() == ["a", "c"]
    assert scene.queued("r") == ["b"]
    assert scene.unchanged(death(scene)) == []


def test_death_leaves_what_it_has_lost(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.put("a")
    scene.claim()
    scene.run(cancel(scene.keys, job_id="a"))
    scene.redis.hset(scene.keys.worker_executions("w"), "e1", "a")
    assert scene.run(death(scene)) == []
    assert scene.status("a") == "canceled"


def test_death_of_a_name_that_was_taken_over(scene: Scene) -> None:
    """A worker was frozen for longer than its lease, another started under its name, the first woke up and took its
    leave: it gave back the job that the second was running, which ran twice."""
    scene.run(birth(scene))
    scene.put("a")
    scene.claim()
    late = worker_death(scene.keys, worker="w", queues=["q", "r"], incarnation="of another life")
    assert scene.unchanged(late) == []
    assert scene.status("a") == "started"


def test_death_wakes_others(scene: Scene) -> None:
    """The bell that this worker was woken by must not be lost with it."""
    scene.run(birth(scene))
    scene.put("a")
    scene.redis.delete(scene.keys.bell("q"))
    _, changed = scene.changes(death(scene))
    assert changed["rq:atomiq:bell:q"] == Entry("zset", {"1": 0.0}, None)


def test_death_of_one_whose_hash_expired(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.redis.delete(NAME)
    scene.run(death(scene))
    assert scene.space() == {}


def test_names_whose_hash_expired_are_cleaned(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.run(birth(scene, worker="v"))
    scene.redis.delete(NAME)
    reply, changed = scene.changes(clean_workers(scene.keys, queue="q"))
    assert reply == 1
    assert changed == {"rq:workers": {f"-{NAME}"}, "rq:workers:q": {f"-{NAME}"}}
    assert scene.unchanged(clean_workers(scene.keys, queue="q")) == 0


def test_a_view_of_workers_heals(scene: Scene) -> None:
    scene.run(birth(scene))
    scene.run(birth(scene, worker="v"))
    scene.redis.delete(NAME)
    reply, changed = scene.changes(view_workers(scene.keys, queue="r"))
    assert [(name, fields[b"pid"]) for name, fields in reply] == [("v", b"7")]
    assert changed == {"rq:workers": {f"-{NAME}"}, "rq:workers:r": {f"-{NAME}"}}
    assert [name for name, _ in scene.unchanged(view_workers(scene.keys))] == ["v"]


def test_a_turn_lasts_one_interval(scene: Scene) -> None:
    command = take_turn(scene.keys, task="t", interval_ms=60_000)
    reply, changed = scene.changes(command)
    assert reply is True
    assert changed == {"rq:atomiq:turn:t": Entry("string", "1", 60)}
    assert scene.unchanged(command) is False
    scene.redis.delete(scene.keys.turn("t"))
    assert scene.run(command) is True


def note(scene: Scene, verb: str, field: str, value: object = ""):
    return worker_note(scene.keys, worker="w", ttl=480, verb=verb, field=field, value=value)


def test_a_field_of_a_living_worker_is_set_dropped_and_added_to(scene: Scene) -> None:
    scene.run(birth(scene))
    _, changed = scene.changes(note(scene, "set", "current_job", "a"))
    assert list(changed) == [NAME]
    assert (scene.redis.hget(NAME, "current_job"), scene.redis.ttl(NAME)) == (b"a", 480)
    scene.run(note(scene, "drop", "current_job"))
    assert scene.redis.hget(NAME, "current_job") is None
    for _ in range(2):
        scene.run(note(scene, "add", "failed_job_count", 1))
    scene.run(note(scene, "add", "total_working_time", 1.25))
    assert scene.redis.hmget(NAME, "failed_job_count", "total_working_time") == [b"2", b"1.25"]


def test_a_hash_that_only_a_note_has_made_ends(scene: Scene) -> None:
    """RQ's counters make hashes of dead workers anew, which then stay for ever."""
    _, changed = scene.changes(note(scene, "add", "failed_job_count", 1))
    assert changed == {NAME: Entry("hash", {"failed_job_count": "1"}, 480)}


def test_what_children_have_left_uncounted_is_counted_once(scene: Scene) -> None:
    scene.run(birth(scene))
    tallies = {"t1": Tally(2, 1, 1500), "t2": Tally(3, 0, 250)}
    _, changed = scene.changes(worker_tally(scene.keys, worker="w", tallies=tallies))
    assert list(changed) == [NAME]
    counters = ("successful_job_count", "failed_job_count", "total_working_time")
    assert [float(count) for count in scene.redis.hmget(NAME, *counters)] == [5, 1, 1.75]
    scene.unchanged(worker_tally(scene.keys, worker="w", tallies=tallies))
    scene.run(worker_tally(scene.keys, worker="w", tallies={"t3": Tally(1, 0, 0), **tallies}))
    assert scene.redis.hget(NAME, "successful_job_count") == b"6"


def test_a_worker_that_is_gone_is_not_brought_back_to_be_counted_for(scene: Scene) -> None:
    assert scene.unchanged(worker_tally(scene.keys, worker="w", tallies={"t1": Tally(1, 0, 0)})) == "ok"


def test_the_hash_of_a_scheduler_has_an_end_from_its_first_moment(scene: Scene) -> None:
    command = scheduler_beat(scene.keys, name="s", ttl=61, fields={"pid": 7})
    reply, changed = scene.changes(command)
    assert reply == "ok"
    assert changed == {"rq:scheduler:s": Entry("hash", {"pid": "7"}, 61)}
    assert scene.unchanged(command) == "ok"


@pytest.mark.parametrize("way", ["finished", "failed", "waiting", "and_claim", "released", "given_back"])
def test_the_job_that_a_worker_shows_is_one_that_it_holds(scene: Scene, way: str) -> None:
    """Beside a job of an hour a short one was run: for the rest of the hour the worker's hash named the short one, and
    `worker.get_current_job()` was a job that had long finished."""
    scene.run(birth(scene))
    scene.started("long")
    short = scene.started("short")
    assert scene.redis.hget(NAME, "current_job") == b"short"
    if way == "and_claim":
        scene.run(going_on(scene, ended(short)))
    elif way == "released":
        scene.run(release(scene.keys, worker="w", held=[held(short)]))
    elif way == "given_back":
        scene.run(give_back(scene.keys, worker="w", executions=[short.execution_id]))
    else:
        scene.settle(short, way, retry=500, result=WAITS)
    assert scene.redis.hmget(NAME, "current_job", "state") == [b"long", b"busy"]


def test_of_several_that_end_the_one_that_goes_on_is_shown(scene: Scene) -> None:
    scene.run(birth(scene))
    jobs = [scene.started(name) for name in ("long", "a", "b")]
    scene.settle(jobs[1])
    assert scene.redis.hget(NAME, "current_job") == b"b"
    scene.settle(jobs[2])
    assert scene.redis.hget(NAME, "current_job") == b"long"
