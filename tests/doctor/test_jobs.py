"""Jobs in the wrong place, in none, in two; each as a fault of RQ's leaves it (its number in rq-known-faults)."""

from __future__ import annotations

import pytest
from tests.doctor.world import YEAR, Broken, World, check

HEX = "0123456789abcdef"


def lose_started(world: World) -> None:
    world.redis.delete("rq:wip:q", "rq:executions:runs", "rq:execution:runs:e3")


def is_queued(job_id: str, at: int = 0) -> object:
    def mended(world: World) -> None:
        assert world.status(job_id) == "queued"
        assert world.queued()[at] == job_id
        assert world.queued().count(job_id) == 1

    return mended


def nothing_more(world: World) -> None:
    """What the second look and the independent checker say is enough."""


def break_e15(world: World) -> None:
    world.redis.zrem("rq:failed:q", "bad")
    world.redis.persist("rq:job:bad")


def listed_for_a_year(world: World) -> None:
    assert world.registry("rq:failed:q")["bad"] == pytest.approx(world.now / 1000 + YEAR, abs=5)
    assert world.redis.ttl("rq:job:bad") == pytest.approx(YEAR, abs=5)


def lease_of_finished(world: World, place: str = "done", score: int = 80) -> None:
    world.redis.zadd("rq:wip:q", {f"{place}:{HEX}": world.now // 1000 + score})
    world.redis.hset(f"rq:execution:{place}:{HEX}", mapping={"id": HEX, "worker_name": "theirs", "created_at": "1"})
    world.redis.expire(f"rq:execution:{place}:{HEX}", 80)
    world.redis.zadd(f"rq:executions:{place}", {HEX: world.now // 1000 + score})
    world.redis.expire(f"rq:executions:{place}", 140)


def zombie(world: World) -> None:
    world.redis.hset("rq:job:ghost", mapping={"status": "started", "last_heartbeat": "x", "worker_name": "w1"})


def zombie_in_a_queue(world: World) -> None:
    zombie(world)
    world.redis.hset("rq:job:ghost", mapping={"status": "queued", "origin": "q"})
    world.redis.rpush("rq:queue:q", "ghost")


def foreign_origin(world: World) -> None:
    world.redis.lrem("rq:queue:q", 0, "waiting")
    world.redis.rpush("rq:queue:other:intermediate", "waiting")


def over(world: World) -> None:
    world.redis.zadd("rq:wip:q", {"runs:e3": world.now // 1000 - 130})


def for_ever_and_dead(world: World) -> None:
    """RQ's lease of a job without a time limit has no end; that its worker died the execution's own hash tells."""
    world.redis.zadd("rq:wip:q", {"runs:e3": "inf"})
    world.redis.delete("rq:execution:runs:e3")


def run_again(world: World) -> None:
    assert (world.status("runs"), world.field("runs", "abandoned")) == ("queued", "1")
    assert world.queued()[0] == "runs"


def canceled_but_queued(world: World) -> None:
    world.redis.rpush("rq:queue:q", "no")


def repeats(world: World) -> None:
    world.redis.hset("rq:job:soon", "repeats_left", 2)
    world.redis.zadd("rq:finished:q", {"soon": world.now // 1000 + 500})


def unknown(world: World) -> None:
    world.redis.hset("rq:job:waiting", "status", "sleeping")


def parked(world: World) -> None:
    assert world.status("waiting") == "failed"
    assert "waiting" in world.registry("rq:failed:q")
    assert "waiting" not in world.queued()
    assert world.redis.xlen("rq:results:waiting") == 1


BROKEN = [
    Broken(
        "A1-lost-after-the-pop",
        lambda w: w.redis.lrem("rq:queue:q", 0, "waiting"),
        {("orphan", "waiting")},
        is_queued("waiting"),
    ),
    Broken(
        "A4-scheduled-nowhere", lambda w: w.redis.zrem("rq:scheduled:q", "soon"), {("orphan", "soon")}, nothing_more
    ),
    Broken("A5-failed-nowhere", lambda w: w.redis.zrem("rq:failed:q", "bad"), {("orphan", "bad")}, listed_for_a_year),
    Broken("E15-failed-and-kept-for-ever", break_e15, {("orphan", "bad")}, listed_for_a_year),
    Broken("finished-nowhere", lambda w: w.redis.zrem("rq:finished:q", "done"), {("orphan", "done")}, nothing_more),
    Broken("canceled-nowhere", lambda w: w.redis.zrem("rq:canceled:q", "no"), {("orphan", "no")}, nothing_more),
    Broken("deferred-nowhere", lambda w: w.redis.zrem("rq:deferred:q", "kid"), {("orphan", "kid")}, nothing_more),
    Broken(
        "I2-started-without-a-lease", lose_started, {("orphan", "runs"), ("worker_executions_stale", "w")}, run_again
    ),
    Broken(
        "C1-finished-and-failed",
        lambda w: w.redis.zadd("rq:failed:q", {"done": 9e9}),
        {("double", "done")},
        nothing_more,
    ),
    Broken(
        "C4-queued-and-scheduled",
        lambda w: w.redis.zadd("rq:scheduled:q", {"waiting": 9e9}),
        {("double", "waiting")},
        is_queued("waiting"),
    ),
    Broken("C12-canceled-and-queued", canceled_but_queued, {("double", "no")}, nothing_more),
    Broken(
        "C12-finished-and-canceled",
        lambda w: w.redis.zadd("rq:canceled:q", {"done": 1}),
        {("double", "done")},
        nothing_more,
    ),
    Broken(
        "in-the-list-of-another-queue",
        lambda w: (w.redis.sadd("rq:queues", "rq:queue:x"), w.redis.rpush("rq:queue:x", "waiting")),
        {("double", "waiting")},
        is_queued("waiting"),
    ),
    Broken(
        "stale-entry-of-a-registry",
        lambda w: w.redis.zadd("rq:finished:q", {"waiting": 1}),
        {("double", "waiting")},
        nothing_more,
    ),
    Broken("RQ-lists-what-repeats", repeats, {("double", "soon")}, nothing_more),
    Broken(
        "C3-twice-in-its-queue",
        lambda w: w.redis.rpush("rq:queue:q", "waiting"),
        {("twice", "waiting")},
        is_queued("waiting"),
    ),
    Broken(
        "created-but-in-a-queue",
        lambda w: w.redis.hset("rq:job:waiting", "status", "created"),
        {("not_queued", "waiting")},
        is_queued("waiting"),
    ),
    Broken(
        "B1-stuck-in-intermediate",
        lambda w: w.redis.lmove("rq:queue:q", "rq:queue:q:intermediate", "LEFT", "RIGHT"),
        {("stuck", "waiting")},
        is_queued("waiting"),
    ),
    Broken(
        "C7-stuck-and-queued",
        lambda w: w.redis.rpush("rq:queue:q:intermediate", "waiting"),
        {("stuck", "waiting")},
        is_queued("waiting"),
    ),
    Broken("A7-stuck-with-a-foreign-origin", foreign_origin, {("stuck", "waiting")}, is_queued("waiting")),
    Broken(
        "E7-stuck-but-finished",
        lambda w: w.redis.rpush("rq:queue:q:intermediate", "done"),
        {("stuck", "done")},
        nothing_more,
    ),
    Broken(
        "C1-lease-of-a-finished-job",
        lease_of_finished,
        {("stale_lease", "done"), ("executions_leftover", "done")},
        nothing_more,
    ),
    Broken(
        "C2-lease-of-a-scheduled-job",
        lambda w: lease_of_finished(w, "soon"),
        {("stale_lease", "soon"), ("executions_leftover", "soon")},
        nothing_more,
    ),
    Broken("D1-lease-that-nobody-sees-to", over, {("lease_over", "runs")}, run_again),
    Broken(
        "D1-lease-without-an-end-of-a-dead-execution",
        for_ever_and_dead,
        {("lease_over", "runs")},
        is_queued("runs"),
    ),
    Broken("E4-hash-without-data", zombie, {("zombie", "ghost")}, lambda w: None),
    Broken("E4-in-a-queue", zombie_in_a_queue, {("zombie", "ghost")}, lambda w: None),
    Broken("D3-unknown-status", unknown, {("unknown_status", "waiting")}, parked, notes={("behind", "kid")}),
    Broken(
        "A5-the-ttl-of-its-last-end",
        lambda w: w.redis.expire("rq:job:waiting", 1000),
        {("will_expire", "waiting")},
        nothing_more,
    ),
    Broken(
        "started-and-expiring", lambda w: w.redis.expire("rq:job:runs", 1000), {("will_expire", "runs")}, nothing_more
    ),
    Broken("finished-for-ever", lambda w: w.redis.persist("rq:job:done"), {("no_ttl", "done")}, nothing_more),
    Broken("E2-canceled-for-ever", lambda w: w.redis.persist("rq:job:no"), {("no_ttl", "no")}, nothing_more),
    Broken(
        "E9-not-in-its-group",
        lambda w: w.redis.srem("rq:group:g", "member"),
        {("not_in_group", "member"), ("group_leftover", "g")},
        nothing_more,
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_it_is_found_and_mended(world: World, broken: Broken) -> None:
    check(world, broken)
