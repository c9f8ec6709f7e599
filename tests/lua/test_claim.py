"""claim: the next jobs, each with a lease."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, KEPT, LEASE, NOW, Scene, lease_end, new_job

from atomiq._commands.change import cancel, delete, requeue
from atomiq._commands.claim import claim
from atomiq._commands.queues import pause_queue, resume, suspend
from atomiq._commands.views import view_list
from atomiq._commands.worker import worker_birth, worker_death
from atomiq._core.errors import ScriptError


def claiming(scene: Scene, *executions: str, queues: tuple[str, ...] = ("q",), worker: str = "w", **settings: Any):
    ids = executions or ("e1",)
    return claim(scene.keys, queues=queues, worker=worker, executions=ids, lease_ms=LEASE, **settings)


def born(scene: Scene, worker: str = "w", ttl: int = 480) -> None:
    command = worker_birth(
        scene.keys, worker=worker, queues=["q"], fields={}, ttl=ttl, lease_ms=LEASE, incarnation=worker
    )
    assert scene.run(command) == "ok"


@pytest.mark.parametrize(("lease", "end"), [(9_999, NOW + 9_999), (10_000, 1_795_225_039_000), (10_426, NOW + 10_426)])
def test_a_long_lease_ends_with_a_whole_second(scene: Scene, lease: int, end: int) -> None:
    scene.put("a")
    scene.claim(lease_ms=lease)
    assert scene.registry(scene.keys.wip("q")) == {"a:e1": end / 1000}


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    scene.put("a", ttl=50)
    reply, changed = scene.changes(claiming(scene))
    assert (reply.word, reply.now_ms, reply.next_due_ms, reply.more) == ("ok", NOW, 0, False)
    (job,) = reply.jobs
    assert (job.queue, job.job_id, job.execution_id, job.attempt) == ("q", "a", "e1", 1)
    assert job.fields[b"status"] == b"queued"
    assert job.fields[b"data"] == b"payload"
    beat = f"{NOW / 1000:.3f}"
    assert changed == {
        "rq:queue:q": None,
        "rq:job:a": {
            "status": "started",
            "started_at": ISO,
            "last_heartbeat": ISO,
            "worker_name": "w",
            "attempts": "1",
            "execution": "e1",
        },
        "ttl:rq:job:a": None,
        "rq:wip:q": Entry("zset", {"a:e1": lease_end(NOW)}, None),
        "rq:executions:a": Entry("zset", {"e1": NOW // 1000 + KEPT}, KEPT),
        "rq:execution:a:e1": Entry(
            "hash", {"id": "e1", "created_at": beat, "last_heartbeat": beat, "worker_name": "w"}, KEPT
        ),
        "rq:atomiq:executions:w": Entry("hash", {"e1": "a"}, KEPT),
        "rq:worker:w": {"state": "busy", "current_job": "a", "current_job_working_time": "0"},
    }


@pytest.mark.parametrize("key", ["rq:wip:q", "rq:atomiq:bell:q"])
def test_keys_of_a_wrong_type_are_met_before_a_job_is_taken(scene: Scene, key: str) -> None:
    """The claim broke off with the id off its queue, and so did the next: one job after the other was in no list."""
    scene.enqueue(new_job("a"), new_job("b"))
    scene.redis.delete(key)
    scene.redis.set(key, "not ours")
    before = scene.space()
    with pytest.raises(ScriptError, match="WRONGTYPE"):
        scene.run(claiming(scene))
    assert scene.space() == before
    scene.redis.delete(key)
    assert [job.job_id for job in scene.run(claiming(scene)).jobs] == ["a"]


def test_names_that_are_no_text_are_carried_as_they_are(scene: Scene) -> None:
    """Whoever read such an id raised UnicodeDecodeError; what was claimed with it was held until the lease was over."""
    scene.redis.hset(b"rq:job:\xffa", mapping={"status": "queued", "origin": "q", "data": "payload"})
    scene.redis.rpush("rq:queue:q", b"\xffa")
    assert scene.run(view_list(scene.keys, queue="q", start=0, end=-1)) == ["\udcffa"]
    (job,) = scene.run(claiming(scene)).jobs
    assert job.job_id == "\udcffa"
    assert scene.run(worker_death(scene.keys, worker="w", queues=["q"])) == ["\udcffa"]
    (job,) = scene.run(claiming(scene, "e2")).jobs
    assert scene.settle(job).word == "ok"
    assert scene.redis.zrange("rq:finished:q", 0, -1) == [b"\xffa"]
    with scene.redis.pipeline() as pipeline:
        scene.store.queue_in(pipeline, delete(scene.keys, job_id=job.job_id))
        pipeline.execute()
    assert scene.redis.keys(b"*\xffa*") == []


def test_the_bell_goes_with_the_last_job(scene: Scene) -> None:
    """The claim that finds nothing more takes the bell down; while jobs are left it rings for the next waiter."""
    scene.put("a")
    scene.put("b")
    assert scene.claim().more
    assert scene.redis.exists(scene.keys.bell("q"))
    scene.claim()
    scene.claim()
    assert not scene.redis.exists(scene.keys.bell("q"))


def test_nothing_to_do(scene: Scene) -> None:
    born(scene)
    scene.put("later", due_ms=NOW + 500)
    scene.redis.delete(scene.keys.bell("q"))
    reply, changed = scene.changes(claiming(scene))
    assert (reply.word, reply.jobs, reply.next_due_ms) == ("empty", [], NOW + 500)
    assert changed == {"rq:worker:w": {"state": "idle"}}


@pytest.mark.parametrize("due", [NOW + 1, NOW + 45, NOW + 501, NOW + 999])
def test_the_next_due_time_is_exact(scene: Scene, due: int) -> None:
    """To the millisecond, through seconds as a float and back: a worker that wakes too early asks again and again."""
    scene.put("later", due_ms=due)
    assert scene.claim().next_due_ms == due


def test_a_worker_whose_hash_expired_is_not_brought_back_in_part(scene: Scene) -> None:
    scene.put("a")
    scene.claim()
    scene.claim()
    assert not scene.redis.exists(scene.keys.worker("w"))


def test_queues_in_order_of_priority(scene: Scene) -> None:
    scene.put("low", "l")
    scene.put("high", "h")
    claimed = scene.claim("h", "l", count=3)
    assert [(job.queue, job.job_id) for job in claimed.jobs] == [("h", "high"), ("l", "low")]


def test_no_more_than_wanted(scene: Scene) -> None:
    scene.enqueue(*(new_job(str(number)) for number in range(5)))
    assert [job.job_id for job in scene.claim(count=3).jobs] == ["0", "1", "2"]
    assert scene.queued() == ["3", "4"]


def test_due_jobs_are_promoted_on_the_way(scene: Scene) -> None:
    scene.put("waiting")
    scene.put("front", due_ms=NOW + 10, enqueue_at_front="1")
    scene.put("back", due_ms=NOW + 20)
    scene.now += 20
    assert [job.job_id for job in scene.claim(count=5).jobs] == ["front", "waiting", "back"]


def test_the_same_call_twice_gives_the_same_jobs(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"), new_job("c"))
    first = scene.run(claiming(scene, "e1", "e2"))
    again = scene.unchanged(claiming(scene, "e1", "e2"))
    assert [(job.job_id, job.execution_id, job.attempt) for job in again.jobs] == [
        (job.job_id, job.execution_id, job.attempt) for job in first.jobs
    ]
    assert scene.queued() == ["c"]


def test_the_same_call_after_a_job_was_taken_away(scene: Scene) -> None:
    """The reply was lost, and before the call came again somebody canceled the job and another worker ran it anew."""
    scene.put("a")
    scene.run(claiming(scene, "e1"))
    scene.run(cancel(scene.keys, job_id="a"))
    scene.run(requeue(scene.keys, job_id="a"))
    scene.run(claiming(scene, "x1", worker="other"))
    assert scene.run(claiming(scene, "e1")).jobs == []


def test_suspended(scene: Scene) -> None:
    scene.put("a")
    scene.run(suspend(scene.keys))
    reply = scene.unchanged(claiming(scene))
    assert (reply.word, reply.suspended, reply.jobs) == ("suspended", True, [])


def test_a_suspended_worker_shows_it(scene: Scene) -> None:
    """Each station that looked again while work was suspended made its worker's state 'idle'."""
    born(scene)
    scene.put("a")
    scene.run(suspend(scene.keys))
    scene.run(claiming(scene))
    assert scene.redis.hget("rq:worker:w", "state") == b"suspended"
    scene.run(resume(scene.keys))
    scene.run(claiming(scene, "e2", queues=("other",)))
    assert scene.redis.hget("rq:worker:w", "state") == b"idle"


def test_suspended_after_the_reply_was_lost(scene: Scene) -> None:
    scene.put("a")
    scene.run(claiming(scene))
    scene.run(suspend(scene.keys))
    assert [job.job_id for job in scene.unchanged(claiming(scene)).jobs] == ["a"]


def test_a_paused_queue_is_passed_over(scene: Scene) -> None:
    scene.put("a")
    scene.put("b", "r")
    scene.run(pause_queue(scene.keys, queue="q"))
    assert [job.job_id for job in scene.claim("q", "r", count=2).jobs] == ["b"]
    assert scene.queued() == ["a"]


def test_a_due_job_of_a_paused_queue_does_not_keep_workers_awake(scene: Scene) -> None:
    """The answer said that something was due now; the worker asked again at once, for as long as the queue was
    paused."""
    scene.put("a", due_ms=NOW + 1)
    scene.run(pause_queue(scene.keys, queue="q"))
    scene.now += 1000
    assert scene.claim().next_due_ms == 0
    assert scene.registry(scene.keys.scheduled("q")) == {"a": (NOW + 1) / 1000}


def test_an_expired_job_is_dropped(scene: Scene) -> None:
    """Its dependants must not wait for ever: they are canceled, or go on when they allow a failure."""
    scene.put("gone", ttl=5)
    scene.put("child", depends_on=["gone"])
    scene.put("brave", depends_on=["gone"], allow_failure=True)
    scene.put("next")
    scene.vanish("gone")
    assert [job.job_id for job in scene.claim(count=3).jobs] == ["next", "brave"]
    assert scene.status("child") == "canceled"
    assert not scene.redis.exists(scene.keys.dependents("gone"))


def test_results_of_an_expired_job_go_too(scene: Scene) -> None:
    """A job whose result is kept for ever was put into the queue again with a ttl that ran out there: its results
    stayed."""
    scene.settle(scene.started("a", ttl=5), result=b"x", result_ttl=-1)
    scene.run(requeue(scene.keys, job_id="a"))
    assert scene.redis.ttl(scene.keys.results("a")) == -1
    scene.vanish("a")
    scene.claim()
    assert not scene.redis.exists(scene.keys.results("a"))


def test_ids_that_stand_for_nothing_have_a_budget(scene: Scene) -> None:
    """At most 100 of them a call; the answer says that there is more, and the bell stays rung."""
    for number in range(250):
        scene.redis.rpush(scene.keys.queue("q"), f"ghost{number}")
    scene.put("real")
    for left in (151, 51):
        reply = scene.claim()
        assert (reply.word, reply.more) == ("empty", True)
        assert scene.redis.llen(scene.keys.queue("q")) == left
        assert scene.redis.exists(scene.keys.bell("q"))
    assert scene.take().job_id == "real"


def test_a_hash_without_a_payload_is_no_job(scene: Scene) -> None:
    """A stray field written after a deletion left a hash that could neither run nor go away."""
    scene.redis.hset(scene.keys.job("stray"), "last_heartbeat", "x")
    scene.redis.rpush(scene.keys.queue("q"), "stray")
    scene.redis.sadd(scene.keys.queues(), scene.keys.queue("q"))
    assert scene.claim().word == "empty"
    assert not scene.redis.exists(scene.keys.job("stray"))


@pytest.mark.parametrize("status", ["finished", "failed", "canceled", "started"])
def test_an_id_whose_job_is_elsewhere_is_dropped(scene: Scene, status: str) -> None:
    if status == "canceled":
        scene.put("a")
        scene.run(cancel(scene.keys, job_id="a"))
    elif status == "started":
        scene.started("a")
    else:
        scene.settle(scene.started("a"), status)
    scene.redis.rpush(scene.keys.queue("q"), "a")
    assert scene.claim().jobs == []
    assert scene.status("a") == status


def test_a_job_pushed_by_hand_into_another_queue_is_that_queues_job(scene: Scene) -> None:
    scene.put("a")
    scene.redis.lrem(scene.keys.queue("q"), 0, "a")
    scene.redis.rpush(scene.keys.queue("r"), "a")
    scene.redis.sadd(scene.keys.queues(), scene.keys.queue("r"))
    job = scene.take("r")
    assert scene.field("a", "origin") == "r"
    assert scene.settle(job).word == "ok"


def test_empty_fields_are_left_out(scene: Scene) -> None:
    """RQ writes many of them into each hash."""
    scene.put("a", worker_name="", success_callback_name="", description="text")
    assert scene.take().fields == {
        b"status": b"queued",
        b"enqueued_at": ISO.encode(),
        b"call": b"call-a",
        b"data": b"payload",
        b"origin": b"q",
        b"description": b"text",
    }


@pytest.mark.parametrize("field", ["ttl", "attempts", "worker_name", "last_heartbeat", "exc_info"])
def test_the_ttl_of_an_end_before_goes(scene: Scene, field: str) -> None:
    """RQ enqueues a job that has failed or finished without taking its ttl back; each of these tells of it."""
    scene.put("a", **{field: 7})
    scene.redis.expire(scene.keys.job("a"), 50)
    scene.take()
    assert scene.redis.ttl(scene.keys.job("a")) == -1


def test_the_ttl_of_a_canceled_job_that_rq_enqueues_again_goes(scene: Scene) -> None:
    scene.put("a", failure_ttl=60)
    scene.run(cancel(scene.keys, job_id="a"))
    scene.redis.zrem(scene.keys.canceled("q"), "a")
    scene.redis.hset(scene.keys.job("a"), "status", "queued")
    scene.redis.rpush(scene.keys.queue("q"), "a")
    assert scene.redis.ttl(scene.keys.job("a")) == 60
    assert scene.take().attempt == 1
    assert scene.redis.ttl(scene.keys.job("a")) == -1


def test_what_a_job_still_waited_for_when_rq_freed_it(scene: Scene) -> None:
    """RQ's worker knows the set of all dependencies only, and leaves our list of the open ones behind."""
    scene.put("a", dependency_ids='["p"]')
    scene.redis.sadd(scene.keys.unmet("a"), "p")
    scene.take()
    assert not scene.redis.exists(scene.keys.unmet("a"))


def test_a_claim_without_queues_or_executions_is_a_bug(scene: Scene) -> None:
    with pytest.raises(ValueError, match="at least one queue"):
        claim(scene.keys, queues=[], worker="w", executions=["e"], lease_ms=1)
    with pytest.raises(ValueError, match="one execution id"):
        claim(scene.keys, queues=["q"], worker="w", executions=[], lease_ms=1)


def test_the_watch_over_the_schedule_is_passed_on(scene: Scene) -> None:
    scene.put("a")
    scene.put("later", due_ms=NOW + 100)
    scene.redis.delete(scene.keys.bell("q"))
    scene.run(claiming(scene, pass_on=True))
    assert scene.redis.exists(scene.keys.bell("q"))
