"""What only looks wrong for a moment, because RQ does in two steps what is one: no finding, if it is well after the
grace, or wrong in another way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.doctor.world import World, named

from atomiq.doctor import Report, examine


@pytest.fixture
def meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Report]:
    """Examine; this happens during the grace."""
    world.people()

    def look(happens: Callable[[], object]) -> Report:
        waits: list[float] = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            happens()

        monkeypatch.setattr("atomiq.doctor.examination.time.sleep", wait)
        report = examine(world.redis, grace=7)
        assert waits == [7], "it waits once"
        return report

    return look


Look = Callable[[Callable[[], object]], Report]


def start(world: World, job_id: str) -> None:
    """As RQ's worker does it, with the lease first."""
    world.redis.zadd("rq:wip:q", {f"{job_id}:abc": world.now // 1000 + 90})
    world.redis.zadd(f"rq:executions:{job_id}", {"abc": world.now // 1000 + 150})
    world.redis.expire(f"rq:executions:{job_id}", 150)
    world.redis.hset(f"rq:job:{job_id}", mapping={"status": "started", "worker_name": "theirs"})
    world.redis.lrem("rq:queue:q:intermediate", 0, job_id)


def test_popped_and_then_started(world: World, meanwhile: Look) -> None:
    world.redis.lrem("rq:queue:q", 0, "member")
    assert meanwhile(lambda: start(world, "member")).findings == []


def test_in_the_intermediate_list_and_then_started(world: World, meanwhile: Look) -> None:
    world.redis.lmove("rq:queue:q", "rq:queue:q:intermediate", "RIGHT", "RIGHT")
    assert meanwhile(lambda: start(world, "member")).findings == []


def test_with_a_lease_and_not_yet_started(world: World) -> None:
    """Between the two steps of its start; that may take as long as a fork."""
    world.people()
    start(world, "member")
    world.redis.hset("rq:job:member", "status", "queued")
    world.redis.lrem("rq:queue:q", 0, "member")
    world.redis.rpush("rq:queue:q:intermediate", "member")
    assert world.examine().findings == []
    world.redis.zadd("rq:wip:q", {"member:abc": world.now // 1000 - 1})
    assert named(world.examine().faults) == {("stale_lease", "member"), ("stuck", "member")}


def test_lost_twice_in_different_stays(world: World, meanwhile: Look) -> None:
    """Popped, run, enqueued anew and popped once more: the second look says the same of another stay."""
    world.redis.lrem("rq:queue:q", 0, "member")

    def anew() -> None:
        world.redis.hset("rq:job:member", "enqueued_at", "2030-01-01T00:00:00.000000Z")

    assert meanwhile(anew).findings == []


def test_wrong_in_another_way(world: World, meanwhile: Look) -> None:
    world.redis.zadd("rq:failed:q", {"done": 9e9})

    def elsewhere() -> None:
        world.redis.zrem("rq:failed:q", "done")
        world.redis.zadd("rq:canceled:q", {"done": 9e9})

    assert meanwhile(elsewhere).findings == []


def test_a_list_that_rq_is_compacting(world: World, meanwhile: Look) -> None:
    """It shrinks: somebody is at work, and what it holds is not lost."""
    world.redis.rename("rq:queue:q", "rq:queue:_compact:x")
    assert meanwhile(lambda: world.redis.rpush("rq:queue:q", world.redis.lpop("rq:queue:_compact:x"))).findings == []


def test_what_stays_wrong(world: World, meanwhile: Look) -> None:
    world.redis.lrem("rq:queue:q", 0, "member")
    assert named(meanwhile(lambda: None).findings) == {("orphan", "member")}


def test_no_wait_when_all_is_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.people()
    monkeypatch.setattr("atomiq.doctor.examination.time.sleep", lambda _: pytest.fail("it waits"))
    world.put("heir", depends_on=["bad"])
    report = examine(world.redis)
    assert (report.waited, named(report.findings)) == (0, {("behind", "heir")})
