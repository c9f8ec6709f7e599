"""Calls that are not full: they leave to the next full one what can wait, and lose nothing by it."""

from __future__ import annotations

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, KEPT, NOW, Scene, ended, lease_end, new_job
from tests.lua.test_claim import born, claiming
from tests.lua.test_finish import ENDED, stream
from tests.lua.test_settle_and_claim import going_on

from atomiq._commands.change import cancel
from atomiq._commands.claim import NO_TALLY, Tally, claim
from atomiq._commands.queues import pause_queue, suspend
from atomiq._commands.settle import settle


def counters(scene: Scene, worker: str = "w") -> list[str]:
    names = ("successful_job_count", "failed_job_count", "total_working_time")
    return [(raw or b"").decode() for raw in scene.redis.hmget(scene.keys.worker(worker), names)]


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    scene.enqueue(new_job("a"), new_job("b"), new_job("c"), new_job("due", due_ms=NOW + 10))
    job = scene.take()
    scene.redis.delete(scene.keys.bell("q"))
    scene.now += 10
    (settled, claimed), changed = scene.changes(going_on(scene, ended(job, result=b"42"), full=False))
    assert (settled.word, settled.status) == ("ok", "finished")
    assert (claimed.word, claimed.next_due_ms, claimed.more) == ("ok", 0, True)
    assert [one.job_id for one in claimed.jobs] == ["b"]
    beat, iso = f"{scene.now / 1000:.3f}", ISO.replace(".574", ".584")
    assert changed == {
        "rq:job:a": {"status": "finished", "ended_at": ENDED, "execution": "", "settled": "finish:e1"},
        "ttl:rq:job:a": 500,
        "rq:results:a": Entry("stream", stream(type="1", return_value="NDI="), 500),
        "rq:finished:q": Entry("zset", {"a": NOW // 1000 + 500}, None),
        "rq:executions:a": None,
        "rq:execution:a:e1": None,
        "rq:queue:q": ["c"],
        "rq:job:b": {
            "status": "started",
            "started_at": iso,
            "last_heartbeat": iso,
            "worker_name": "w",
            "attempts": "1",
            "execution": "x1",
        },
        "rq:wip:q": {"a:e1": None, "b:x1": lease_end(scene.now)},
        "rq:executions:b": Entry("zset", {"x1": NOW // 1000 + KEPT}, KEPT),
        "rq:execution:b:x1": Entry(
            "hash", {"id": "x1", "created_at": beat, "last_heartbeat": beat, "worker_name": "w"}, KEPT
        ),
        "rq:atomiq:executions:w": {"e1": None, "x1": "b"},
    }


@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_a_settlement_counts_nothing(scene: Scene, outcome: str) -> None:
    born(scene)
    job = scene.started("a")
    _, changed = scene.changes(settle(scene.keys, settlement=ended(job, outcome), full=False))
    assert "rq:worker:w" not in changed
    assert scene.status("a") == outcome


def test_nothing_found(scene: Scene) -> None:
    """The bell stays, and what is due next isn't said: that is for the full call that must follow."""
    born(scene)
    scene.put("later", due_ms=NOW + 5)
    scene.redis.zadd(scene.keys.bell("q"), {"1": 0})
    reply = scene.unchanged(claiming(scene, full=False))
    assert (reply.word, reply.jobs, reply.next_due_ms, reply.more) == ("empty", [], 0, False)
    full, changed = scene.changes(claiming(scene))
    assert full.next_due_ms == NOW + 5
    assert changed == {"rq:atomiq:bell:q": None, "rq:worker:w": {"state": "idle"}}


def test_the_last_job_settled_and_nothing_found(scene: Scene) -> None:
    job = scene.started("a")
    settled, claimed = scene.run(going_on(scene, ended(job), full=False))
    assert (settled.word, claimed.word) == ("ok", "empty")
    assert not scene.redis.exists(scene.keys.worker_executions("w"))


@pytest.mark.parametrize(("wanted", "more"), [(2, True), (3, True), (4, False)])
def test_more_is_said_unless_the_queue_was_seen_empty(scene: Scene, wanted: int, more: bool) -> None:
    scene.enqueue(new_job("a"), new_job("b"), new_job("c"))
    executions = [f"x{number}" for number in range(wanted)]
    assert scene.run(claiming(scene, *executions, full=False)).more is more


def test_suspended_and_paused(scene: Scene) -> None:
    scene.put("a")
    scene.put("b", "r")
    scene.run(pause_queue(scene.keys, queue="q"))
    reply = scene.run(claiming(scene, "x1", "x2", queues=("q", "r"), full=False))
    assert [job.job_id for job in reply.jobs] == ["b"]
    scene.run(suspend(scene.keys))
    settled, claimed = scene.run(going_on(scene, ended(reply.jobs[0]), full=False))
    assert (settled.word, claimed.suspended, claimed.jobs) == ("ok", True, [])
    assert not scene.redis.exists(scene.keys.worker_executions("w"))


def test_the_same_call_twice(scene: Scene) -> None:
    scene.enqueue(*(new_job(name) for name in "abc"))
    job = scene.take()
    _, first = scene.run(going_on(scene, ended(job), full=False))
    settled, again = scene.unchanged(going_on(scene, ended(job), full=False))
    assert settled.word == "already"
    assert [one.job_id for one in again.jobs] == [one.job_id for one in first.jobs] == ["b"]


@pytest.mark.parametrize("full", [True, False])
def test_what_the_worker_holds_never_stands_without_a_ttl(scene: Scene, full: bool) -> None:
    """The list is made anew when it had expired under a worker that was stopped for long."""
    scene.enqueue(new_job("a"), new_job("b"))
    job = scene.take()
    scene.redis.delete(scene.keys.worker_executions("w"))
    scene.run(going_on(scene, ended(job), full=full))
    assert scene.redis.ttl(scene.keys.worker_executions("w")) == KEPT
    assert scene.redis.hgetall(scene.keys.worker_executions("w")) == {b"x1": b"b"}


def test_who_has_lost_a_job_still_gets_the_next(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    job = scene.take()
    scene.run(cancel(scene.keys, job_id="a"))
    settled, claimed = scene.run(going_on(scene, ended(job), full=False))
    assert (settled.word, [one.job_id for one in claimed.jobs]) == ("not_yours", ["b"])
    assert scene.redis.ttl(scene.keys.worker_executions("w")) == KEPT


TALLY = Tally(finished=3, failed=2, worked_ms=1500)


def test_a_tally_is_counted_with_what_the_call_itself_settles(scene: Scene) -> None:
    born(scene)
    job = scene.started("a")
    assert scene.run(settle(scene.keys, settlement=ended(job), tally=TALLY)).word == "ok"
    assert counters(scene) == ["4", "2", "2.5"]
    scene.unchanged(settle(scene.keys, settlement=ended(job), tally=TALLY))


def test_a_tally_of_a_failure(scene: Scene) -> None:
    born(scene)
    job = scene.started("a")
    scene.run(settle(scene.keys, settlement=ended(job, "failed"), tally=TALLY))
    assert counters(scene) == ["3", "3", "2.5"]


@pytest.mark.parametrize("found", [True, False])
def test_a_claim_counts_the_tally_whatever_it_finds(scene: Scene, found: bool) -> None:
    born(scene)
    if found:
        scene.put("a")
    scene.run(claiming(scene, tally=TALLY))
    assert counters(scene) == ["3", "2", "1.5"]
    scene.unchanged(claiming(scene, tally=TALLY))


def test_a_tally_told_with_a_settlement_that_is_refused(scene: Scene) -> None:
    born(scene)
    scene.enqueue(new_job("a"), new_job("b"))
    job = scene.take()
    scene.run(cancel(scene.keys, job_id="a"))
    assert scene.run(going_on(scene, ended(job), tally=TALLY))[0].word == "not_yours"
    assert counters(scene) == ["3", "2", "1.5"]
    scene.unchanged(going_on(scene, ended(job), tally=TALLY))


def test_tallies_add_up(scene: Scene) -> None:
    born(scene)
    for number in range(3):
        scene.run(claiming(scene, f"x{number}", tally=TALLY))
    assert counters(scene) == ["9", "6", "4.5"]


def test_the_settlement_of_what_a_telling_claim_took_tells_as_well(scene: Scene) -> None:
    """Beside one that ran longer: a claim told what was uncounted, and so did the settlement of the job that it took.
    Both named the same execution, so the second was taken for the first's repetition: the worker's hash lacked jobs."""
    born(scene)
    scene.put("a")
    job = scene.run(claiming(scene, tally=TALLY)).jobs[0]
    assert scene.run(settle(scene.keys, settlement=ended(job), tally=TALLY)).word == "ok"
    assert counters(scene) == ["7", "4", "4"]


def test_a_repetition_counts_nothing_although_another_station_has_told_in_between(scene: Scene) -> None:
    """The connections of all stations broke: each repeated what was under way. Only the last call that told was known,
    so that the first one's tally, and every further one, was counted twice."""
    born(scene)
    one, other = claiming(scene, "x1", tally=TALLY), claiming(scene, "y1", tally=TALLY)
    for command in (one, other, one, other):
        scene.run(command)
    assert counters(scene) == ["6", "4", "3"]


def test_a_worker_whose_hash_expired_is_not_brought_back_by_a_tally(scene: Scene) -> None:
    scene.unchanged(claiming(scene, tally=TALLY))


def test_a_tally_belongs_to_a_full_call(scene: Scene) -> None:
    with pytest.raises(ValueError, match="full"):
        claim(scene.keys, queues=["q"], worker="w", executions=["x"], lease_ms=1, full=False, tally=TALLY)
    assert Tally() == NO_TALLY
