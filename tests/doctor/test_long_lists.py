"""In lists that are too long to be searched for one job, on the server's account: they are read instead."""

from __future__ import annotations

import pytest
from tests.doctor.world import World, named
from tests.lua.scene import new_job

from atomiq.doctor.examination import REACH
from atomiq.doctor.suspicion import CROWD

LENGTH = 10 * REACH


@pytest.fixture
def long(world: World) -> World:
    for first in range(0, LENGTH, 500):
        world.enqueue(*(new_job(f"j{number}") for number in range(first, first + 500)))
    return world


def test_well(long: World) -> None:
    assert long.examine().findings == []


def test_lost_jobs(long: World) -> None:
    lost = [f"j{number}" for number in (0, REACH + 3, LENGTH // 2, LENGTH - 1)]
    for job_id in lost:
        long.redis.lrem("rq:queue:q", 0, job_id)
    report = long.examine()
    assert named(report.findings) == {("orphan", job_id) for job_id in lost}
    assert {done.outcome for done in long.repair(report)} == {"mended"}
    assert long.examine().findings == []
    assert sorted(long.queued()[: len(lost)]) == sorted(lost)


def test_one_that_was_found_again_meanwhile(long: World) -> None:
    """Between report and repair somebody puts it back, into the middle of the list."""
    long.redis.lrem("rq:queue:q", 0, "j1000")
    report = long.examine()
    long.redis.linsert("rq:queue:q", "BEFORE", "j1001", "j1000")
    assert {done.outcome for done in long.repair(report)} == {"healed"}
    assert long.queued().count("j1000") == 1


@pytest.mark.parametrize("places", [(1000, 1400), (2, LENGTH - 2), (1200, 1201)])
def test_twice(long: World, places: tuple[int, int]) -> None:
    for place in places:
        long.redis.linsert("rq:queue:q", "AFTER", f"j{place}", "j7")
    long.redis.lrem("rq:queue:q", 1, "j7")
    report = long.examine()
    assert named(report.findings) == {("twice", "j7")}
    assert {done.outcome for done in long.repair(report)} == {"mended"}
    assert long.queued().count("j7") == 1
    assert long.examine().findings == []


def test_ids_without_a_job_and_jobs_that_are_elsewhere(long: World) -> None:
    long.redis.linsert("rq:queue:q", "AFTER", "j1300", "none")
    long.redis.linsert("rq:queue:q", "AFTER", "j1400", b"\xff\xfe")
    long.redis.hset("rq:job:j1500", "status", "failed")
    report = long.examine()
    assert named(report.findings) == {
        *(("no_job", "none"), ("no_job", "\udcff\udcfe")),
        *(("orphan", "j1500"), ("double", "j1500")),
    }
    long.repair(report)
    assert long.examine().findings == []
    assert "j1500" in long.registry("rq:failed:q")


def test_many_ids_without_a_job(world: World) -> None:
    """Each of them was looked at, its list read whole, and each of them looked at once more, all of it twice."""
    ids = [f"none{number}" for number in range(CROWD + 500)]
    world.redis.rpush("rq:queue:q", *ids)
    world.redis.sadd("rq:queues", "rq:queue:q")
    world.redis.config_resetstat()
    report = world.examine()
    assert named(report.findings) == {("no_job", job_id) for job_id in ids}
    assert world.redis.info("commandstats")["cmdstat_lpos"]["calls"] <= 4 * len(ids)


def test_many_ids_without_a_job_leave_together(long: World) -> None:
    """Each was looked for in the whole list three times, and taken out by going through it: 16,000 ids took 6 s."""
    ids = [f"none{number}" for number in range(CROWD + 500)]
    long.redis.rpush("rq:queue:q", *ids)
    long.put("kid", depends_on=["none7"])
    waiting = long.queued()[:LENGTH]
    report = long.examine()
    long.redis.config_resetstat()
    assert {done.outcome for done in long.repair(report)} == {"mended"}
    assert long.redis.info("commandstats")["cmdstat_lrem"]["calls"] <= 10
    assert long.queued()[:LENGTH] == waiting
    assert long.examine().findings == []


def test_ten_thousand_jobs_in_slices(long: World) -> None:
    """Many small commands, none that looks at everything."""
    report = long.examine()
    assert report.statuses == {"queued": LENGTH}
    assert report.commands > 10
    assert report.kinds["job"].keys == LENGTH
    size = report.kinds["job"].bytes
    assert size is not None
    assert size > 100 * LENGTH
