"""settle_and_claim: finish or fail one job and take the next, in one step."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import KEPT, LEASE, NOW, Scene, ended, lease_end, new_job
from tests.lua.test_claim import born, claiming
from tests.lua.test_finish import ENDED, stream

from atomiq._commands.change import cancel
from atomiq._commands.settle import Settlement, settle_and_claim
from atomiq._commands.worker import worker_birth
from atomiq._core.timestamp import format_ms


def going_on(scene: Scene, settlement: Settlement, *executions: str, **settings: Any):
    return settle_and_claim(
        scene.keys,
        settlement=settlement,
        queues=["q"],
        worker=settlement.worker,
        executions=executions or ("x1",),
        lease_ms=LEASE,
        **settings,
    )


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    scene.enqueue(new_job("a"), new_job("b"))
    job = scene.take()
    (settled, claimed), changed = scene.changes(going_on(scene, ended(job, result=b"42")))
    assert (settled.word, settled.status, claimed.word) == ("ok", "finished", "ok")
    assert [(one.job_id, one.execution_id, one.attempt) for one in claimed.jobs] == [("b", "x1", 1)]
    beat = f"{NOW / 1000:.3f}"
    iso = "2026-11-21T01:37:08.574000Z"
    assert changed == {
        "rq:job:a": {"status": "finished", "ended_at": ENDED, "execution": "", "settled": "finish:e1"},
        "ttl:rq:job:a": 500,
        "rq:results:a": Entry("stream", stream(type="1", return_value="NDI="), 500),
        "rq:finished:q": Entry("zset", {"a": NOW // 1000 + 500}, None),
        "rq:executions:a": None,
        "rq:execution:a:e1": None,
        "rq:queue:q": None,
        "rq:job:b": {
            "status": "started",
            "started_at": iso,
            "last_heartbeat": iso,
            "worker_name": "w",
            "attempts": "1",
            "execution": "x1",
        },
        "rq:wip:q": {"a:e1": None, "b:x1": lease_end(NOW)},
        "rq:executions:b": Entry("zset", {"x1": NOW // 1000 + KEPT}, KEPT),
        "rq:execution:b:x1": Entry(
            "hash", {"id": "x1", "created_at": beat, "last_heartbeat": beat, "worker_name": "w"}, KEPT
        ),
        "rq:atomiq:executions:w": {"e1": None, "x1": "b"},
        "rq:worker:w": {"successful_job_count": "1", "total_working_time": "1", "current_job": "b"},
    }


def test_the_same_call_twice_settles_once_and_gives_the_same_jobs(scene: Scene) -> None:
    scene.enqueue(*(new_job(name) for name in "abc"))
    job = scene.take()
    _, first = scene.run(going_on(scene, ended(job)))
    settled, again = scene.unchanged(going_on(scene, ended(job)))
    assert settled.word == "already"
    assert [one.job_id for one in again.jobs] == [one.job_id for one in first.jobs] == ["b"]


@pytest.mark.parametrize("outcome", ["finished", "failed", "stopped", "exhausted"])
def test_every_outcome(scene: Scene, outcome: str) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    settled, claimed = scene.run(going_on(scene, ended(scene.take(), outcome)))
    assert settled.status == {"finished": "finished", "stopped": "stopped"}.get(outcome, "failed")
    assert [one.job_id for one in claimed.jobs] == ["b"]


def test_a_job_that_repeats_now_is_the_next_one(scene: Scene) -> None:
    job = scene.started("a", repeats_left=1, repeat_intervals="[0]")
    settled, claimed = scene.run(going_on(scene, ended(job)))
    assert (settled.status, [one.job_id for one in claimed.jobs]) == ("queued", ["a"])
    assert scene.unchanged(going_on(scene, ended(job)))[0].word == "already"


@pytest.mark.parametrize("outcome", ["failed", "retried", "abandoned"])
def test_a_job_that_runs_again_now_is_the_next_one(scene: Scene, outcome: str) -> None:
    job = scene.started("a")
    settled, claimed = scene.run(going_on(scene, ended(job, outcome, retry=0)))
    assert (settled.word, settled.status) == ("ok", "queued")
    assert [(one.job_id, one.attempt) for one in claimed.jobs] == [("a", 2)]


def test_several_at_once(scene: Scene) -> None:
    scene.enqueue(*(new_job(name) for name in "abcd"))
    _, claimed = scene.run(going_on(scene, ended(scene.take()), "x1", "x2", "x3", "x4"))
    assert [(one.job_id, one.execution_id) for one in claimed.jobs] == [("b", "x1"), ("c", "x2"), ("d", "x3")]


def test_nothing_is_kept_of_the_job(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    settled, claimed = scene.run(going_on(scene, ended(scene.take(), result_ttl=0)))
    assert (settled.word, settled.status) == ("ok", "gone")
    assert [one.job_id for one in claimed.jobs] == ["b"]


def test_a_dependant_that_is_freed_is_the_next_one(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("child", depends_on=["a"]))
    settled, claimed = scene.run(going_on(scene, ended(scene.take())))
    assert (settled.freed, [one.job_id for one in claimed.jobs]) == (1, ["child"])


def test_who_has_lost_a_job_still_gets_the_next(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    job = scene.take()
    scene.run(cancel(scene.keys, job_id="a"))
    settled, claimed = scene.run(going_on(scene, ended(job)))
    assert (settled.word, [one.job_id for one in claimed.jobs]) == ("not_yours", ["b"])
    assert scene.status("a") == "canceled"


def test_nothing_to_take(scene: Scene) -> None:
    born(scene)
    job = scene.started("a")
    settled, claimed = scene.run(going_on(scene, ended(job)))
    assert (settled.word, claimed.word, claimed.jobs) == ("ok", "empty", [])
    assert scene.redis.hget(scene.keys.worker("w"), "state") == b"idle"
    assert scene.redis.hget(scene.keys.worker("w"), "current_job") is None


def test_a_worker_that_was_forgotten_meanwhile(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    scene.run(going_on(scene, ended(scene.take())))
    assert not scene.redis.exists(scene.keys.worker("w"))
    command = worker_birth(scene.keys, worker="w", queues=[], fields={}, ttl=480, lease_ms=LEASE, incarnation="w")
    assert scene.run(command) == "ok"


def test_ids_of_a_claim_whose_reply_was_lost_are_asked_for_again_with_a_settlement(scene: Scene) -> None:
    scene.enqueue(*(new_job(name) for name in "abc"))
    job = scene.take()
    scene.run(claiming(scene, "x1"))
    settled, claimed = scene.run(going_on(scene, ended(job)))
    assert (settled.status, [one.job_id for one in claimed.jobs]) == ("finished", ["b"])
    assert scene.redis.hgetall(scene.keys.worker_executions("w")) == {b"x1": b"b"}
    assert scene.queued() == ["c"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"result": b"x"},
        {"result": b"x" * 4000},
        {"result_ttl": 0},
        {"started_ms": 0, "ended_ms": 0},
        {"outcome": "failed"},
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_the_time_is_the_servers(scene: Scene, settings: dict[str, Any], again: bool) -> None:
    """Usually it is known from the entry of the result, and TIME isn't asked."""
    scene.now = 0
    scene.enqueue(new_job("a"), new_job("b"))
    job = scene.take()
    if again:
        scene.redis.xadd(scene.keys.results("a"), {"type": "1"})
    before = scene.redis.time()
    _, claimed = scene.run(going_on(scene, ended(job, **settings)))
    after = scene.redis.time()
    assert before[0] * 1000 + before[1] // 1000 <= claimed.now_ms <= after[0] * 1000 + after[1] // 1000
    (lease,) = scene.registry(scene.keys.wip("q")).values()
    assert 0 <= lease * 1000 - claimed.now_ms - LEASE < 1000
    assert scene.redis.hget("rq:job:b", "started_at") == format_ms(claimed.now_ms).encode()
    assert not scene.redis.exists(
        scene.keys.made(), scene.keys.execution("a", job.execution_id), scene.keys.executions("a")
    )


def test_only_ones_own(scene: Scene) -> None:
    job = scene.started("a")
    with pytest.raises(ValueError, match="its own"):
        settle_and_claim(
            scene.keys, settlement=ended(job), queues=["q"], worker="other", executions=["x"], lease_ms=LEASE
        )
