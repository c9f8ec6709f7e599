"""Jobs that wait for others for ever, and those that only seem to; ids and traces without a job."""

from __future__ import annotations

import pytest
from tests.doctor.test_jobs import is_queued, nothing_more
from tests.doctor.world import Broken, World, check, named
from tests.lua.scene import new_job


def their_child(world: World, parents: tuple[str, ...] = ("waiting",), **fields: object) -> None:
    """A job deferred by RQ: it has no list of our own."""
    settings = {"status": "deferred", "origin": "q", "data": "x", "last_heartbeat": "", **fields}
    world.redis.hset("rq:job:theirs", mapping=settings)
    world.redis.zadd("rq:deferred:q", {"theirs": world.now // 1000})
    for parent in parents:
        world.redis.sadd(f"rq:job:{parent}:dependents", "theirs")
        world.redis.sadd("rq:job::theirs:dependencies", parent)


def finished_without_a_word(world: World) -> None:
    """The parent has finished, and nobody was told."""
    world.redis.lrem("rq:queue:q", 0, "waiting")
    world.redis.hset("rq:job:waiting", "status", "finished")
    world.redis.zadd("rq:finished:q", {"waiting": world.now // 1000 + 500})
    world.redis.expire("rq:job:waiting", 500)


def b2(world: World) -> None:
    """The parent failed, and RQ died before it let the child go that allows it."""
    their_child(world, ("bad",), allow_dependency_failures=1)


def b4(world: World) -> None:
    """RQ deleted the parent, and with it the list of who waits for it."""
    their_child(world, ("elsewhere",))
    world.redis.delete("rq:job:elsewhere:dependents")


def b4_of_many(world: World) -> None:
    """More than are looked at one by one; such a job was called healthy."""
    parents = tuple(f"elsewhere{number}" for number in range(2_000))
    their_child(world, parents)
    world.redis.delete(*(f"rq:job:{parent}:dependents" for parent in parents))


def b4_of_ours(world: World) -> None:
    """The same of a job that we deferred."""
    world.redis.lrem("rq:queue:q", 0, "waiting")
    world.redis.delete("rq:job:waiting", "rq:job:waiting:dependents")


def canceled(job_id: str) -> object:
    def mended(world: World) -> None:
        assert world.status(job_id) == "canceled"
        assert job_id in world.registry("rq:canceled:q")

    return mended


def behind_a_missing_one_that_is_still_named(world: World) -> None:
    """Its parent had a ttl: a worker will come upon the id, and cancel those that wait."""
    assert world.redis.delete("rq:job:waiting") == 1


WAITING = [
    Broken("finished-but-nobody-told", finished_without_a_word, {("deferred_for_ever", "kid")}, is_queued("kid", -1)),
    Broken("B2-failure-allowed", b2, {("deferred_for_ever", "theirs")}, is_queued("theirs", -1), oracle=False),
    Broken("B4-parent-deleted-by-RQ", b4, {("deferred_for_ever", "theirs")}, canceled("theirs"), oracle=False),
    Broken("B4-of-many-parents", b4_of_many, {("deferred_for_ever", "theirs")}, canceled("theirs"), oracle=False),
    Broken("B4-parent-of-ours-deleted", b4_of_ours, {("deferred_for_ever", "kid")}, canceled("kid")),
    Broken(
        "E16-list-of-dependants-expired",
        lambda w: w.redis.delete("rq:job:waiting:dependents"),
        {("unlinked", "kid")},
        nothing_more,
    ),
    Broken(
        "parent-expired-and-still-named",
        behind_a_missing_one_that_is_still_named,
        {("no_job", "waiting"), ("deferred_for_ever", "kid"), ("dependents_no_job", "waiting")},
        canceled("kid"),
    ),
    Broken(
        "dependants-of-nobody",
        lambda w: w.redis.sadd("rq:job:none:dependents", "kid", "done"),
        {("dependents_no_job", "none")},
        nothing_more,
    ),
    Broken(
        "C8-freed-but-still-listed",
        lambda w: w.redis.sadd("rq:job:bad:dependents", "done"),
        {("dependents_stale", "bad")},
        nothing_more,
    ),
    Broken(
        "E5-dependant-expired",
        lambda w: w.redis.sadd("rq:job:bad:dependents", "none"),
        {("dependents_leftover", "bad")},
        nothing_more,
    ),
    Broken(
        "E5-many-dependants-expired",
        lambda w: w.redis.sadd("rq:job:bad:dependents", *(f"none{number}" for number in range(500))),
        {("dependents_leftover", "bad")},
        nothing_more,
    ),
    Broken(
        "E6-dependencies-of-nobody",
        lambda w: w.redis.sadd("rq:job::none:dependencies", "x"),
        {("dependencies_no_job", "none")},
        nothing_more,
    ),
    Broken(
        "dependencies-that-expire",
        lambda w: (w.redis.sadd("rq:job::none:dependencies", "x"), w.redis.expire("rq:job::none:dependencies", 99)),
        {("dependencies_leftover", "none")},
        nothing_more,
    ),
    Broken(
        "unmet-left-by-RQ",
        lambda w: (w.redis.sadd("rq:atomiq:unmet:done", "x"), w.redis.expire("rq:atomiq:unmet:done", 99)),
        {("unmet_leftover", "done")},
        nothing_more,
    ),
    Broken("unmet-for-ever", lambda w: w.redis.persist("rq:atomiq:unmet:kid"), {("unmet_no_ttl", "kid")}, nothing_more),
    Broken(
        "unmet-of-nobody", lambda w: w.redis.sadd("rq:atomiq:unmet:none", "x"), {("unmet_no_job", "none")}, nothing_more
    ),
    *[
        Broken(f"E5-id-without-job-in-{name}", lambda w, put=put: put(w), {("no_job", "none")}, nothing_more)
        for name, put in {
            "queue": lambda w: w.redis.rpush("rq:queue:q", "none"),
            "intermediate": lambda w: w.redis.rpush("rq:queue:q:intermediate", "none"),
            "scheduled": lambda w: w.redis.zadd("rq:scheduled:q", {"none": 9e9}),
            "deferred": lambda w: w.redis.zadd("rq:deferred:q", {"none": 1}),
            "canceled": lambda w: w.redis.zadd("rq:canceled:q", {"none": 1}),
            "finished": lambda w: w.redis.zadd("rq:finished:q", {"none": 9e9}),
            "failed": lambda w: w.redis.zadd("rq:failed:q", {"none": -1}),
            "wip": lambda w: w.redis.zadd("rq:wip:q", {"none:abc": 9e9}),
            "wip-as-of-old": lambda w: w.redis.zadd("rq:wip:q", {"none": 1}),
        }.items()
    ],
]


@pytest.mark.parametrize("broken", WAITING, ids=str)
def test_it_is_found_and_mended(world: World, broken: Broken) -> None:
    check(world, broken)


def test_what_expired_is_no_fault(world: World) -> None:
    """Jobs with a ttl expire where they wait, and leave their ids to whoever meets them: leftovers, exit code 0."""
    world.people()
    behind_a_missing_one_that_is_still_named(world)
    report = world.examine()
    assert report.healthy
    assert {finding.severity for finding in report.findings} == {"leftover"}


def test_entries_that_upkeep_will_drop_are_counted_only(world: World) -> None:
    world.people()
    world.redis.zadd("rq:finished:q", {"none": 5})
    world.redis.zadd("rq:failed:q", {"nobody": 7})
    report = world.examine()
    assert (report.findings, report.outlived) == ([], 2)


def test_behind_a_failed_parent_is_a_note(world: World) -> None:
    """A child of a failed or canceled job waits on purpose: its parent may be requeued."""
    world.people()
    world.put("heir", depends_on=["bad"])
    world.put("patient", depends_on=["no"])
    world.put("both", depends_on=["no", "waiting"])
    report = world.examine()
    assert report.healthy
    assert named(report.findings) == {("behind", "heir"), ("behind", "patient")}
    assert {done.outcome for done in world.repair(report)} == {"left"}
    assert "requeued" in report.findings[0].text


def test_one_that_waits_for_a_group(world: World) -> None:
    world.people()
    world.enqueue(new_job("after", after="g", when="ended"))
    assert world.examine().findings == []


@pytest.mark.parametrize("parents", [1, 40])
def test_a_child_of_theirs_that_has_hope_is_well(world: World, parents: int) -> None:
    world.people()
    names = [f"p{number}" for number in range(parents)]
    world.enqueue(*(new_job(name) for name in names))
    their_child(world, tuple(names))
    assert world.examine().findings == []


def test_one_of_many_parents_is_left(world: World) -> None:
    """The few that are looked at first are most likely gone; that all are is never guessed."""
    world.people()
    parents = [f"elsewhere{number}" for number in range(2_000)]
    their_child(world, (*parents, "waiting"))
    world.redis.delete(*(f"rq:job:{parent}:dependents" for parent in parents))
    assert world.examine().findings == []


def test_the_rest_of_many_dependants_is_on_its_way(world: World) -> None:
    """More dependants than one step frees: whoever comes by goes on, and the doctor says nothing."""
    world.enqueue(new_job("run"), *(new_job(f"c{number}", "r", depends_on=["run"]) for number in range(250)))
    world.settle(world.take("q"))
    assert world.redis.hlen("rq:atomiq:freeing") == 1
    assert world.examine().faults == []


def test_one_of_two_parents_finished_long_ago(world: World) -> None:
    """A parent that finished under RQ and has expired: who still waits for another one isn't canceled with it."""
    world.people()
    their_child(world, ("long-gone", "waiting"))
    report = world.examine()
    assert named(report.findings) == {("dependents_no_job", "long-gone")}
    world.repair(report)
    assert world.status("theirs") == "deferred"
    world.settle(world.take("q"))
    world.settle(world.take("q"))
    assert world.status("theirs") == "queued"


def test_a_finished_job_whose_hash_was_deleted(world: World) -> None:
    """It had finished: who waits for it goes on."""
    world.people()
    finished_without_a_word(world)
    world.redis.delete("rq:job:waiting")
    world.repair(world.examine())
    assert world.status("kid") == "queued"
    assert world.examine().findings == []
