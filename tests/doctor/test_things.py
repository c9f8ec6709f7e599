"""What stands beside the jobs: results, workers, executions, groups, locks, lists."""

from __future__ import annotations

import pytest
from tests.doctor.test_jobs import is_queued, nothing_more
from tests.doctor.world import Broken, World, check
from tests.lua.cases import birth


def dead_worker(world: World) -> None:
    """SIGKILL, and its hash has expired; its queues still name it."""
    world.run(birth(world, "gone"))
    world.redis.delete("rq:worker:gone")


def nobody_names_the_dead(world: World) -> None:
    for key in ("rq:workers", "rq:workers:q", "rq:workers:r"):
        assert world.redis.smembers(key) == {b"rq:worker:w"}


def silent(world: World) -> None:
    world.redis.hset("rq:worker:w", "beat", world.now - 91_000)


def is_forgotten(world: World) -> None:
    assert not world.redis.exists("rq:workers", "rq:worker:w", "rq:workers:q")


def unlisted(world: World) -> None:
    """E10: its hash expired while it was paused, somebody struck it off, and its heartbeat brought the hash back."""
    world.redis.hset("rq:worker:w", "queues", "q,r")
    world.redis.delete("rq:workers", "rq:workers:q", "rq:workers:r")


def results_of(job_id: str, ttl: int = 0) -> object:
    def breaks(world: World) -> None:
        world.redis.xadd(f"rq:results:{job_id}", {"type": 2, "worker_name": ""})
        if ttl:
            world.redis.expire(f"rq:results:{job_id}", ttl)

    return breaks


def results_that_stay(world: World) -> None:
    """E1: RQ's failure without a failure_ttl."""
    world.redis.persist("rq:results:bad")


def expire_together(world: World) -> None:
    assert world.redis.ttl("rq:results:bad") == pytest.approx(world.redis.ttl("rq:job:bad"), abs=2)


def lists_of_executions(world: World, ttl: int = 0) -> None:
    world.redis.zadd("rq:executions:done", {"e9": 1})
    if ttl:
        world.redis.expire("rq:executions:done", ttl)


def execution(world: World, ttl: int = 0) -> None:
    world.redis.hset("rq:execution:done:e9", mapping={"id": "e9", "worker_name": "w"})
    if ttl:
        world.redis.expire("rq:execution:done:e9", ttl)


def held_by_nobody(world: World) -> None:
    world.redis.hset("rq:atomiq:executions:w", "e9", "done")


def only_what_runs_is_held(world: World) -> None:
    assert world.redis.hgetall("rq:atomiq:executions:w") == {b"e3": b"runs"}


def half_compacted(world: World) -> None:
    """A6: RQ's Queue.compact was killed: one job is in no queue any more, one is back already."""
    world.redis.rename("rq:queue:q", "rq:queue:_compact:abc")
    world.redis.rpush("rq:queue:q", "member")
    world.redis.rpush("rq:queue:_compact:abc", "none")


def all_are_back(world: World) -> None:
    assert sorted(world.queued()) == ["member", "waiting"]
    assert not world.redis.exists("rq:queue:_compact:abc")


def lock(ttl: int) -> object:
    def breaks(world: World) -> None:
        world.redis.set("rq:clean_registries:q", 1, ex=ttl or None)

    return breaks


def first_seen(world: World) -> None:
    world.redis.set("rq:queue:q:intermediate:first_seen:waiting", "1795225028.5", ex=80_000)


def cron(world: World) -> None:
    world.redis.zadd("rq:cron_schedulers", {"CRON": world.now // 1000 - 200})


def kept(*keys: str) -> object:
    def mended(world: World) -> None:
        for key in keys:
            assert world.redis.ttl(key) == -1

    return mended


def expires(*keys: str) -> object:
    def mended(world: World) -> None:
        for key in keys:
            assert world.redis.ttl(key) > 0

    return mended


THINGS = [
    Broken("dead-worker", dead_worker, {("worker_dead", "gone")}, nobody_names_the_dead),
    Broken("silent-worker", silent, {("worker_silent", "w")}, is_forgotten, oracle=False),
    Broken("E10-worker-that-nobody-sees", unlisted, {("worker_unlisted", "w")}, nobody_names_the_dead),
    Broken(
        "worker-for-ever", lambda w: w.redis.persist("rq:worker:w"), {("worker_no_ttl", "w")}, expires("rq:worker:w")
    ),
    Broken("E1-results-of-nobody", results_of("none"), {("results_no_job", "none")}, nothing_more),
    Broken("E1-results-that-stay", results_that_stay, {("results_no_ttl", "bad")}, expire_together),
    Broken("results-of-a-deleted-job", results_of("none", 99), {("results_leftover", "none")}, nothing_more),
    Broken(
        "executions-of-nobody",
        lists_of_executions,
        {("executions_no_ttl", "done")},
        expires("rq:executions:done"),
        notes={("executions_leftover", "done")},
        oracle=False,
    ),
    Broken(
        "E8-executions-that-expire",
        lambda w: lists_of_executions(w, 60),
        {("executions_leftover", "done")},
        nothing_more,
    ),
    Broken(
        "executions-without-a-job",
        lambda w: w.redis.zadd("rq:executions:none", {"e": 1}),
        {("executions_no_job", "none")},
        nothing_more,
    ),
    Broken("execution-of-nobody", execution, {("execution_stale", "done:e9")}, nothing_more),
    Broken("E8-execution-that-expires", lambda w: execution(w, 60), {("execution_leftover", "done:e9")}, nothing_more),
    Broken("held-by-nobody", held_by_nobody, {("worker_executions_stale", "w")}, only_what_runs_is_held),
    Broken(
        "held-for-ever",
        lambda w: w.redis.persist("rq:atomiq:executions:w"),
        {("worker_executions_no_ttl", "w")},
        expires("rq:atomiq:executions:w"),
    ),
    Broken(
        "E9-group-that-nobody-names", lambda w: w.redis.srem("rq:groups", "g"), {("group_unlisted", "g")}, nothing_more
    ),
    Broken("group-without-members", lambda w: w.redis.sadd("rq:groups", "h"), {("group_leftover", "h")}, nothing_more),
    Broken(
        "group-of-the-gone",
        lambda w: (w.redis.sadd("rq:group:h", "none"), w.redis.sadd("rq:groups", "h")),
        {("group_leftover", "h")},
        lambda w: None,
    ),
    Broken(
        "group-of-many-gone",
        lambda w: (
            w.redis.sadd("rq:group:h", *(f"none{number}" for number in range(3000))),
            w.redis.sadd("rq:groups", "h"),
        ),
        {("group_leftover", "h")},
        nothing_more,
    ),
    Broken("queue-that-nobody-names", lambda w: w.redis.delete("rq:queues"), {("queue_unlisted", "q")}, nothing_more),
    Broken(
        "queue-that-expires", lambda w: w.redis.expire("rq:queue:q", 99), {("queue_has_ttl", "q")}, kept("rq:queue:q")
    ),
    Broken(
        "registry-that-expires",
        lambda w: w.redis.expire("rq:failed:q", 99),
        {("failed_has_ttl", "q")},
        kept("rq:failed:q"),
    ),
    Broken("D5-lock-of-a-dead-cleaner", lock(700), {("cleaning_stale", "q")}, nothing_more),
    Broken("D5-lock-for-ever", lock(0), {("cleaning_stale", "q")}, nothing_more),
    Broken(
        "C11-first-seen-key", first_seen, {("first_seen_leftover", "q:intermediate:first_seen:waiting")}, nothing_more
    ),
    Broken(
        "A6-compact-that-died", half_compacted, {("compact_stale", "_compact:abc"), ("orphan", "waiting")}, all_are_back
    ),
    Broken("cron-scheduler-that-died", cron, {("cron_member_dead", "CRON")}, nothing_more),
    Broken(
        "turn-for-ever",
        lambda w: w.redis.set("rq:atomiq:turn:t", 1),
        {("turn_no_ttl", "t")},
        expires("rq:atomiq:turn:t"),
    ),
    Broken(
        "scheduler-lock-for-ever",
        lambda w: w.redis.set("rq:scheduler-lock:q", "S"),
        {("scheduler_lock_no_ttl", "q")},
        expires("rq:scheduler-lock:q"),
    ),
    Broken(
        "cron-history-for-ever",
        lambda w: w.redis.zadd("rq:cron_job:t:jobs", {"j": 1}),
        {("cron_history_no_ttl", "t")},
        expires("rq:cron_job:t:jobs"),
    ),
    Broken(
        "cron-scheduler-for-ever",
        lambda w: w.redis.hset("rq:cron_scheduler:C", "name", "C"),
        {("cron_scheduler_no_ttl", "C")},
        expires("rq:cron_scheduler:C"),
    ),
    Broken(
        "scheduler-for-ever",
        lambda w: w.redis.hset("rq:scheduler:S", "name", "S"),
        {("scheduler_no_ttl", "S")},
        expires("rq:scheduler:S"),
    ),
]


@pytest.mark.parametrize("broken", THINGS, ids=str)
def test_it_is_found_and_mended(world: World, broken: Broken) -> None:
    check(world, broken)


def test_what_rq_leaves_by_nature_is_well(world: World) -> None:
    """Its locks while it cleans, its schedulers, workers that took their leave, the first-seen key of an entry."""
    world.people()
    world.redis.set("rq:clean_registries:r", 1, ex=899)
    world.redis.hset("rq:worker:left", mapping={"birth": "x", "death": "x", "state": "idle"})
    world.redis.expire("rq:worker:left", 60)
    world.redis.hset("rq:scheduler:S", "name", "S")
    world.redis.expire("rq:scheduler:S", 61)
    world.redis.zadd("rq:cron_schedulers", {"CRON": world.now // 1000})
    assert world.examine().findings == []


def test_a_job_that_is_lost_stands_at_the_front(world: World) -> None:
    world.people()
    world.redis.lrem("rq:queue:q", 0, "member")
    world.repair(world.examine())
    is_queued("member")(world)
