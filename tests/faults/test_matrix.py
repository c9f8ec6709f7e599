"""Every transition times every way in which its caller may lose the server: nothing is lost, nothing is in two
places."""

from __future__ import annotations

import pytest
import redis
from tests.faults.conftest import CELLS
from tests.faults.layer import Died, FaultyStore, ReplyLost, everything_ends, job_ids
from tests.invariants import check_invariants
from tests.lua.catalogue import CASES, Case
from tests.lua.keyspace import difference
from tests.lua.scene import Scene

from atomiq._commands.claim import Claim
from atomiq._commands.settle import Freed
from atomiq._core.errors import DuplicateJobError
from atomiq._lua import script_names

NOT_THE_SAME_TWICE = {
    "free": "each call goes on with the next dependants",
    "empty_queue": "each call takes what is there by then",
    "dequeue": "each call hands out another job; one that nobody got is found in the intermediate list",
    "pop_job_id": "each call pops another id (RQ's primitive: the job is the caller's alone)",
}
"""Transitions whose second call may do more, and why that loses nothing."""
TAKES_JOBS_AWAY = {"delete", "empty_queue", "expire"}
CREATED = {"empty_queue-detach", "leave_registry", "remove_from_queue", "pop_job_id", "save_job-new"}
WORSE = {"canceled", "failed", "stopped"}

every_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture
def scene(redis_connection: redis.Redis) -> Scene:
    return Scene(redis_connection)


def count(case: Case, fault: str) -> None:
    CELLS[fault].add(str(case))


def in_order(scene: Scene) -> None:
    assert check_invariants(scene.redis, expired=scene.expired, now_ms=scene.now) == []


def all_accounted_for(scene: Scene, case: Case, before: set[str]) -> None:
    """Every job that was there is still there or was taken away on purpose, and comes to an end."""
    in_order(scene)
    lost = before - job_ids(scene)
    assert not lost or case.script in TAKES_JOBS_AWAY or case.label == "nothing-kept"
    ends = everything_ends(scene)
    in_order(scene)
    for job_id, status in ends.items():
        waits_for = scene.redis.smembers(scene.keys.unmet(job_id))
        parents = {ends.get(parent.decode()) for parent in waits_for}
        if status == "deferred":
            assert parents <= WORSE | {"created", "deferred"}, f"{job_id} waits for ever"
        elif status == "created":
            assert str(case) in CREATED, f"{job_id} is nowhere"
        else:
            assert status in WORSE | {"finished"}, f"{job_id} is {status}"


def test_no_script_is_missing() -> None:
    assert {case.script for case in CASES} == set(script_names())


@every_case
def test_died_before_it_sent(case: Case, scene: Scene) -> None:
    given = case.prepare(scene)
    command = case.command(scene, given)
    before, jobs = scene.space(), job_ids(scene)
    store = FaultyStore(scene.run)
    store.die_before = True
    with pytest.raises(Died):
        store.run(command)
    assert scene.space() == before
    all_accounted_for(scene, case, jobs)
    count(case, "died before it sent")


@every_case
def test_died_after_it_sent(case: Case, scene: Scene) -> None:
    """The server acted, and whoever asked is gone for good: with what it was given, others go on."""
    given = case.prepare(scene)
    command = case.command(scene, given)
    jobs = job_ids(scene)
    store = FaultyStore(scene.run)
    store.die_after = True
    with pytest.raises(Died):
        store.run(command)
    all_accounted_for(scene, case, jobs)
    count(case, "died after it sent")


@every_case
def test_the_reply_was_lost_and_the_call_comes_again(case: Case, scene: Scene) -> None:
    """As redis-py does by itself; between the two calls the server may even have forgotten the script."""
    given = case.prepare(scene)
    command = case.command(scene, given)
    jobs = job_ids(scene)
    store = FaultyStore(scene.run)
    store.lose_reply = True
    with pytest.raises(ReplyLost):
        store.run(command)
    between = scene.space()
    in_order(scene)
    scene.redis.script_flush()
    reply = store.run(command)
    if case.script not in NOT_THE_SAME_TWICE:
        assert difference(between, scene.space()) == {}
    if isinstance(reply, Claim) or (isinstance(reply, tuple) and isinstance(reply[-1], Claim)):
        claimed = reply if isinstance(reply, Claim) else reply[-1]
        held = scene.redis.hvals(scene.keys.worker_executions("w"))
        assert sorted(job.job_id.encode() for job in claimed.jobs) == sorted(held), "it doesn't learn of what it holds"
    all_accounted_for(scene, case, jobs)
    count(case, "reply lost, called again")


@every_case
def test_called_again_after_something_else_happened(case: Case, scene: Scene) -> None:
    """The repetition comes so late that others have changed the same jobs since."""
    if case.meanwhile is None:
        return
    given = case.prepare(scene)
    command = case.command(scene, given)
    jobs = job_ids(scene)
    store = FaultyStore(scene.run)
    store.lose_reply = True
    with pytest.raises(ReplyLost):
        store.run(command)
    case.meanwhile(scene, given)
    in_order(scene)
    jobs &= job_ids(scene)
    running = scene.redis.zcard(scene.keys.wip("q")) + scene.redis.zcard(scene.keys.wip("r"))
    try:
        reply = store.run(command)
    except DuplicateJobError:
        reply = None
    if not isinstance(reply, Claim | tuple) and case.script not in ("begin_job", "cancel", "delete", "release"):
        after = scene.redis.zcard(scene.keys.wip("q")) + scene.redis.zcard(scene.keys.wip("r"))
        assert after == running, "a late repetition took a job away from who runs it, or started one"
    assert not isinstance(reply, Freed) or reply.freed <= 30
    all_accounted_for(scene, case, jobs)
    count(case, "called again, late")
