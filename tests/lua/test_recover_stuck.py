"""recover_stuck: what RQ's workers took off a queue and never started."""

from __future__ import annotations

import base64
import zlib

import pytest
from tests.lua.keyspace import difference
from tests.lua.scene import ISO, NOW, YEAR, Scene, new_job

from atomiq._commands.change import cancel
from atomiq._commands.stuck import GRACE_MS, Recovered, recover_stuck

NOTHING = Recovered([], [], [], 0, 0)
WAITS = Recovered([], [], [], 0, 1)


def look(scene: Scene, **settings) -> Recovered:
    return scene.run(recover_stuck(scene.keys, queue="q", **settings))


def pop(scene: Scene) -> None:
    """What a worker of RQ's does that serves one queue."""
    assert scene.redis.lmove(scene.keys.queue("q"), scene.keys.intermediate("q"))


def popped(scene: Scene, job_id: str = "a", **settings) -> None:
    """Popped, seen, and a minute has passed."""
    scene.put(job_id, **settings)
    pop(scene)
    assert look(scene) == WAITS
    scene.now += GRACE_MS


def rq_worker(scene: Scene, name: str = "rq", **fields: str) -> None:
    known = {"queues": "q", "state": "idle", "last_heartbeat": ISO, **fields}
    scene.redis.hset(scene.keys.worker(name), mapping=known)
    scene.redis.expire(scene.keys.worker(name), 480)
    scene.redis.sadd(scene.keys.workers(), scene.keys.worker(name))
    scene.redis.sadd(scene.keys.worker_set("q"), scene.keys.worker(name))


def stuck_ids(scene: Scene) -> list[str]:
    return [raw.decode() for raw in scene.redis.lrange(scene.keys.intermediate("q"), 0, -1)]


def test_the_whole_difference(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    pop(scene)
    reply, changed = scene.changes(recover_stuck(scene.keys, queue="q"))
    assert reply == WAITS
    assert set(changed) == {"rq:atomiq:stuck:q"}
    assert changed["rq:atomiq:stuck:q"].value == {"a": f"{NOW} {ISO} "}
    scene.now += GRACE_MS
    reply, changed = scene.changes(recover_stuck(scene.keys, queue="q"))
    assert reply == Recovered(["a"], [], [], 0, 0)
    assert changed == {
        "rq:queue:q": ["a", "b"],
        "rq:queue:q:intermediate": None,
        "rq:atomiq:stuck:q": None,
        "rq:job:a": {
            "enqueued_at": "2026-11-21T01:38:08.574000Z",
            "abandoned": "1",
            "worker_name": "",
            "execution": "",
        },
    }
    assert scene.unchanged(recover_stuck(scene.keys, queue="q")) == NOTHING
    assert scene.take().job_id == "a"


def test_it_has_a_minute(scene: Scene) -> None:
    popped(scene)
    scene.now -= 1
    assert scene.unchanged(recover_stuck(scene.keys, queue="q")) == WAITS


def test_a_second_stay_is_not_the_first(scene: Scene) -> None:
    """RQ keeps what it saw for a day: a job that is popped a second time within that day is taken for stuck at once,
    and declared failed while a live worker is about to run it."""
    scene.put("a")
    pop(scene)
    look(scene)
    scene.redis.set(scene.keys.first_seen("q", "a"), scene.now / 1000, ex=86400)
    scene.redis.delete(scene.keys.intermediate("q"))
    scene.redis.hset(scene.keys.job("a"), "status", "created")
    scene.now += 5 * GRACE_MS
    scene.put("a", call="again")
    pop(scene)
    assert look(scene) == WAITS
    scene.now += GRACE_MS - 1
    assert look(scene) == WAITS
    scene.now += 1
    assert look(scene).requeued == ["a"]


def test_what_rq_saw_first_counts(scene: Scene) -> None:
    scene.put("a")
    pop(scene)
    scene.redis.set(scene.keys.first_seen("q", "a"), scene.now / 1000, ex=86400)
    scene.now += GRACE_MS
    assert look(scene).requeued == ["a"]
    assert not scene.redis.exists(scene.keys.first_seen("q", "a"))


def test_a_job_that_is_being_prepared_is_left_alone(scene: Scene) -> None:
    """RQ's worker has opened the execution; its work horse, which takes the id off the list, has not begun."""
    popped(scene)
    scene.redis.zadd(scene.keys.wip("q"), {"a:0f0f": scene.now / 1000 + 90})
    scene.redis.zadd(scene.keys.executions("a"), {"0f0f": scene.now / 1000 + 150})
    assert scene.unchanged(recover_stuck(scene.keys, queue="q")) == WAITS
    scene.redis.delete(scene.keys.wip("q"), scene.keys.executions("a"))


@pytest.mark.parametrize("where", ["canceled", "requeued", "started", "deleted"])
def test_a_job_that_is_elsewhere_by_now(scene: Scene, where: str) -> None:
    """Only the id goes, whatever became of the job meanwhile."""
    scene.put("a")
    if where == "deleted":
        scene.vanish("a")
        scene.redis.delete(scene.keys.queue("q"))
    elif where == "canceled":
        scene.run(cancel(scene.keys, job_id="a"))
    elif where == "started":
        scene.take()
    scene.redis.rpush(scene.keys.intermediate("q"), "a")
    look(scene)
    scene.now += GRACE_MS
    before = scene.space()
    reply = look(scene)
    changed = difference(before, scene.space())
    if where == "started":
        assert (reply, changed) == (WAITS, {})
        scene.redis.delete(scene.keys.intermediate("q"), scene.keys.stuck("q"))
    elif where == "deleted":
        assert (reply, changed) == (NOTHING, {})
    else:
        assert reply == Recovered([], [], [], 1, 0)
        assert set(changed) == {"rq:queue:q:intermediate", "rq:atomiq:stuck:q"}


@pytest.mark.parametrize("where", ["worker", "job"])
def test_the_policy_of_rq(scene: Scene, where: str) -> None:
    popped(scene, **({"on_abandoned": "fail"} if where == "job" else {}))
    assert look(scene, policy="fail" if where == "worker" else "retry").failed == ["a"]
    assert scene.registry(scene.keys.failed("q")) == {"a": scene.now // 1000 + YEAR}
    ((_, entry),) = scene.redis.xrevrange(scene.keys.results("a"), count=1)
    assert zlib.decompress(base64.b64decode(entry[b"exc_string"])) == b"Job was stuck in intermediate queue."


def test_by_the_policy_of_rq_its_retry_is_used(scene: Scene) -> None:
    popped(scene, retries_left=1, retry_intervals="[5]")
    assert look(scene, policy="fail").retried == ["a"]
    assert scene.status("a") == "scheduled"


def test_poison(scene: Scene) -> None:
    """A job that kills whoever takes it must not do so for ever."""
    popped(scene)
    assert look(scene, max_abandoned=0).failed == ["a"]


def test_the_id_of_another_queues_job(scene: Scene) -> None:
    """Pushed by hand into this queue: RQ's clean-up takes it for missing, and it is lost."""
    popped(scene)
    scene.redis.hset(scene.keys.job("a"), "origin", "other")
    assert look(scene).requeued == ["a"]
    assert (scene.queued(), scene.field("a", "origin")) == (["a"], "q")


def test_a_living_worker_of_rqs_may_be_about_to_start_it(scene: Scene) -> None:
    """Stopped by a debugger or a sleeping machine between pop and start: it lives, and may go on."""
    rq_worker(scene)
    popped(scene)
    listener = scene.redis.pubsub()
    listener.subscribe(scene.keys.pubsub("rq"))
    listener.get_message(timeout=5)
    try:
        assert scene.unchanged(recover_stuck(scene.keys, queue="q")) == WAITS
    finally:
        listener.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"queues": "q,other"},
        {"state": "busy"},
        {"last_heartbeat": "2026-11-21T01:37:14.000000Z"},
        {"death": "2026-11-21T01:37:09.000000Z"},
        {"incarnation": "ours"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_workers_that_can_not_hold_it(scene: Scene, fields: dict[str, str]) -> None:
    """Of several queues, busy with another job, alive since then, dead, or one of ours."""
    rq_worker(scene, **fields)
    popped(scene)
    listener = scene.redis.pubsub()
    listener.subscribe(scene.keys.pubsub("rq"))
    listener.get_message(timeout=5)
    try:
        assert look(scene).requeued == ["a"]
    finally:
        listener.close()


def test_a_worker_of_rqs_that_was_killed(scene: Scene) -> None:
    """Its hash stays for up to eight minutes, but nobody listens to its channel any more."""
    rq_worker(scene)
    popped(scene)
    assert look(scene).requeued == ["a"]


def test_a_bound(scene: Scene) -> None:
    scene.enqueue(*(new_job(str(number)) for number in range(5)))
    for _ in range(5):
        pop(scene)
    look(scene, limit=3)
    scene.now += GRACE_MS
    assert len(look(scene, limit=3).requeued) == 3
    assert look(scene, limit=3) == Recovered([], [], [], 0, 2)
    assert stuck_ids(scene) == ["3", "4"]


def test_notes_of_ids_that_left_are_forgotten(scene: Scene) -> None:
    scene.put("a")
    pop(scene)
    look(scene)
    scene.redis.lmove(scene.keys.intermediate("q"), scene.keys.queue("q"))
    assert look(scene) == NOTHING
    assert not scene.redis.exists(scene.keys.stuck("q"))
