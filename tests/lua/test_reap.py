"""reap: executions whose lease is over."""

from __future__ import annotations

import base64
import zlib

import pytest
from tests.lua.scene import ISO, LEASE, NOW, OVER, YEAR, Scene, ended, lease_end, new_job
from tests.lua.test_claim import born

from atomiq._commands.change import cancel, delete, requeue, stop
from atomiq._commands.settle import Reaped, reap

LATER = "2026-11-21T01:37:39.574000Z"


def reaping(scene: Scene, **settings):
    return reap(scene.keys, queue="q", **settings)


def abandoned(scene: Scene, job_id: str = "a", **settings) -> None:
    scene.started(job_id, **settings)
    scene.now += OVER


def explanation(scene: Scene, job_id: str = "a") -> str:
    ((_, entry),) = scene.redis.xrevrange(scene.keys.results(job_id), count=1)
    return zlib.decompress(base64.b64decode(entry[b"exc_string"])).decode()


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    scene.enqueue(new_job("a"), new_job("b"))
    scene.take()
    scene.now += OVER
    reply, changed = scene.changes(reaping(scene))
    assert reply == Reaped(["a"], [], [], 0, False)
    assert changed == {
        "rq:queue:q": ["a", "b"],
        "rq:job:a": {
            "status": "queued",
            "enqueued_at": LATER,
            "worker_name": "",
            "abandoned": "1",
            "execution": "",
        },
        "rq:wip:q": None,
        "rq:executions:a": None,
        "rq:execution:a:e1": None,
        "rq:atomiq:executions:w": None,
    }
    assert scene.unchanged(reaping(scene)) == Reaped([], [], [], 0, False)


@pytest.mark.parametrize("spoilt", ["nan", "inf", "-inf", "1e400", "9e99", "-1e15", "text"])
def test_a_count_that_is_none(scene: Scene, spoilt: str) -> None:
    """A job whose hash said that it had been abandoned nan times was run again for ever: nan is never too often."""
    scene.put("a")
    scene.redis.hset("rq:job:a", "abandoned", spoilt)
    for _ in range(3):
        scene.take()
        scene.now += OVER
        reply = scene.run(reaping(scene, max_abandoned=2))
    assert reply.failed == ["a"]


@pytest.mark.parametrize("spoilt", ["nan", "inf", "1e400", "2.5", "9e99", "text"])
def test_a_ttl_that_is_none(scene: Scene, spoilt: str) -> None:
    """The script broke off where it wrote the ttl: the job had failed by then, and was in no registry."""
    abandoned(scene, on_abandoned="fail", failure_ttl=spoilt)
    assert scene.run(reaping(scene)).failed == ["a"]
    assert scene.redis.zscore("rq:failed:q", "a") is not None
    assert scene.redis.ttl("rq:job:a") > 0


def test_a_lease_that_runs_is_left_alone(scene: Scene) -> None:
    scene.started("a")
    scene.now = 1000 * lease_end(scene.now) - 1
    assert scene.unchanged(reaping(scene)) == Reaped([], [], [], 0, False)


def test_poison(scene: Scene) -> None:
    """A job whose workers keep dying is failed in the end, with the cause named."""
    scene.put("a")
    for _ in range(3):
        scene.take()
        scene.now += OVER
        assert scene.run(reaping(scene)).requeued == ["a"]
    scene.take()
    scene.now += OVER
    reply, changed = scene.changes(reaping(scene))
    assert reply.failed == ["a"]
    assert changed["rq:failed:q"].value == {"a": scene.now // 1000 + YEAR}
    assert changed["rq:job:a"]["status"] == "failed"
    assert "4 times in a row" in explanation(scene)
    assert scene.field("a", "abandoned") is None


def test_what_ended_in_between_counts_anew(scene: Scene) -> None:
    scene.put("a", retries_left=9)
    for _ in range(3):
        scene.take()
        scene.now += OVER
        scene.run(reaping(scene))
    scene.settle(scene.take(), "failed")
    scene.take()
    scene.now += OVER
    assert scene.run(reaping(scene)).requeued == ["a"]


@pytest.mark.parametrize("where", ["worker", "job"])
def test_the_policy_of_rq(scene: Scene, where: str) -> None:
    abandoned(scene, **({"on_abandoned": "fail"} if where == "job" else {}))
    reply = scene.run(reaping(scene, policy="fail" if where == "worker" else "retry"))
    assert reply.failed == ["a"]
    assert "AbandonedJobError" in explanation(scene)


@pytest.mark.parametrize("policy", ["retry", ""])
def test_the_jobs_own_policy_wins(scene: Scene, policy: str) -> None:
    """An empty field is no policy of the job's own; it was taken for one that isn't `fail`."""
    abandoned(scene, on_abandoned=policy)
    reply = scene.run(reaping(scene, policy="fail"))
    assert (reply.requeued, reply.failed) == ((["a"], []) if policy else ([], ["a"]))


@pytest.mark.parametrize(("interval", "status"), [(0, "queued"), (5, "scheduled")])
def test_by_the_policy_of_rq_its_retry_is_used(scene: Scene, interval: int, status: str) -> None:
    abandoned(scene, retries_left=1, retry_intervals=f"[{interval}]")
    assert scene.run(reaping(scene, policy="fail")).retried == ["a"]
    assert scene.status("a") == status
    assert scene.field("a", "retries_left") == "0"


def test_a_job_that_was_to_be_stopped_is_stopped(scene: Scene) -> None:
    scene.started("a")
    scene.run(stop(scene.keys, job_id="a"))
    scene.now += OVER
    assert scene.run(reaping(scene)).failed == ["a"]
    assert scene.status("a") == "stopped"
    assert "stopped by user" in explanation(scene)


def test_a_wish_to_stop_long_after_the_worker_went(scene: Scene) -> None:
    """The execution's hash had expired with nobody there to reap; the wish to stop was said to be known already, and
    the job ran again as soon as a worker came."""
    scene.started("a")
    scene.redis.delete(scene.keys.execution("a", "e1"), scene.keys.executions("a"))
    assert scene.run(stop(scene.keys, job_id="a")).word == "ok"
    scene.now += 10 * LEASE
    scene.run(reaping(scene))
    assert scene.status("a") == "stopped"


@pytest.mark.parametrize(("ttl", "score"), [(0, None), (-1, -1.0), (60, (NOW + OVER) // 1000 + 60)])
def test_the_jobs_failure_ttl(scene: Scene, ttl: int, score: float | None) -> None:
    abandoned(scene, failure_ttl=ttl)
    assert scene.run(reaping(scene, max_abandoned=0)).failed == ["a"]
    assert scene.registry(scene.keys.failed("q")) == ({} if score is None else {"a": score})
    assert scene.status("a") == (None if score is None else "failed")


@pytest.mark.parametrize("change", ["canceled", "deleted", "requeued", "again"])
def test_what_users_changed_meanwhile_stays(scene: Scene, change: str) -> None:
    scene.started("a")
    scene.run(delete(scene.keys, job_id="a") if change == "deleted" else cancel(scene.keys, job_id="a"))
    if change in ("requeued", "again"):
        scene.run(requeue(scene.keys, job_id="a"))
    scene.now += OVER
    if change == "again":
        scene.take(worker="w2")
    assert scene.unchanged(reaping(scene)) == Reaped([], [], [], 0, False)


def test_traces_that_expired(scene: Scene) -> None:
    abandoned(scene)
    scene.redis.delete(scene.keys.executions("a"), scene.keys.execution("a", "e1"))
    assert scene.run(reaping(scene)).requeued == ["a"]
    assert scene.redis.exists(scene.keys.worker_executions("w")) == 0


def test_a_job_whose_hash_vanished(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("child", depends_on=["a"]))
    scene.take()
    scene.vanish("a")
    scene.now += OVER
    assert scene.run(reaping(scene)).dropped == 1
    assert scene.status("child") == "canceled"


def test_executions_that_rq_opened(scene: Scene) -> None:
    """Its workers write no execution into the job's hash."""
    scene.put("a")
    scene.redis.lpop(scene.keys.queue("q"))
    scene.redis.hset(scene.keys.job("a"), mapping={"status": "started", "worker_name": "rq"})
    scene.redis.zadd(scene.keys.wip("q"), {"a:0f0f": NOW / 1000 + 90})
    scene.redis.zadd(scene.keys.executions("a"), {"0f0f": NOW / 1000 + 150})
    scene.redis.hset(scene.keys.execution("a", "0f0f"), mapping={"id": "0f0f", "worker_name": "rq"})
    scene.now += 89_000
    assert scene.unchanged(reaping(scene)).requeued == []
    scene.now += 1_000
    assert scene.run(reaping(scene)).requeued == ["a"]


def test_an_entry_of_an_old_rq(scene: Scene) -> None:
    """Before 2.0 the registry listed the bare job id. It has no colon: the script failed at it, every time, and with
    it the reaping of the whole queue."""
    scene.put("a")
    scene.redis.lpop(scene.keys.queue("q"))
    scene.redis.hset(scene.keys.job("a"), "status", "started")
    scene.redis.zadd(scene.keys.wip("q"), {"a": 5, "ghost": 6})
    reply = scene.run(reaping(scene))
    assert (reply.requeued, reply.dropped) == (["a"], 1)


def test_two_entries_of_one_job(scene: Scene) -> None:
    scene.started("a")
    scene.redis.zadd(scene.keys.wip("q"), {"a:stale": NOW / 1000 - 1})
    scene.redis.zadd(scene.keys.executions("a"), {"stale": NOW / 1000 - 1})
    assert scene.run(reaping(scene)) == Reaped([], [], [], 1, False)
    assert scene.registry(scene.keys.wip("q")) == {"a:e1": lease_end(NOW)}


def test_a_bound(scene: Scene) -> None:
    scene.enqueue(*(new_job(str(number)) for number in range(5)))
    scene.claim(count=5)
    scene.now += OVER
    assert scene.run(reaping(scene, limit=3)).more
    assert not scene.run(reaping(scene, limit=3)).more
    assert sorted(scene.queued()) == ["0", "1", "2", "3", "4"]


def test_the_time_of_the_claim(scene: Scene) -> None:
    scene.started("a")
    assert scene.field("a", "started_at") == ISO


def test_the_first_owner_comes_back(scene: Scene) -> None:
    job = scene.started("a")
    scene.now += OVER
    scene.run(reaping(scene))
    second = scene.take(worker="w2")
    assert scene.settle(job).word == "not_yours"
    assert second.attempt == 2
    assert scene.settle(second, worker="w2").word == "ok"
    assert ended(job).execution_id != second.execution_id


def prepared_by_rq(scene: Scene) -> None:
    """RQ's worker has popped a job, opened its execution, and was killed before its work horse began."""
    scene.put("a")
    scene.redis.lpop(scene.keys.queue("q"))
    scene.redis.zadd(scene.keys.wip("q"), {"a:0f0f": NOW / 1000 + 90})
    scene.redis.zadd(scene.keys.executions("a"), {"0f0f": NOW / 1000 + 150})
    scene.now += 90_000


def test_a_job_that_rq_had_not_started_yet(scene: Scene) -> None:
    """It is queued and in no queue. As it was not started, its entry was dropped, and it was lost."""
    prepared_by_rq(scene)
    assert scene.run(reaping(scene)).requeued == ["a"]
    assert scene.queued() == ["a"]


def test_a_job_that_rq_had_not_started_and_that_was_queued_again(scene: Scene) -> None:
    prepared_by_rq(scene)
    scene.redis.rpush(scene.keys.queue("q"), "a")
    assert scene.run(reaping(scene)) == Reaped([], [], [], 1, False)


def test_a_job_that_rq_had_not_started_and_holds_in_its_list(scene: Scene) -> None:
    """Where it may have been taken a second time, just now: recover_stuck sees to it."""
    prepared_by_rq(scene)
    scene.redis.rpush(scene.keys.intermediate("q"), "a")
    assert scene.run(reaping(scene)) == Reaped([], [], [], 1, False)
    assert scene.queued() == []
    scene.redis.lmove(scene.keys.intermediate("q"), scene.keys.queue("q"))
