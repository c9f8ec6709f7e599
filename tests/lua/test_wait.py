"""wait: what a job requires is not there yet; back into the schedule, as if it had never been taken."""

from __future__ import annotations

from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, LEASE, NOW, OVER, Scene, ended, new_job
from tests.lua.test_claim import born

from atomiq._commands.change import cancel, delete, requeue
from atomiq._commands.enqueue import promote
from atomiq._commands.settle import Settlement, reap, settle, settle_and_claim

WAITS = b'[[1,5,1,0],[[5,500,""]]]'


def waiting(scene: Scene, settlement: Settlement):
    return settle(scene.keys, settlement=settlement)


def test_the_whole_difference(scene: Scene) -> None:
    """Neither an attempt nor a failure is counted, no result is written, and the retries are untouched."""
    born(scene)
    scene.enqueue(new_job("a", retries_left=2))
    end = ended(scene.take(), "waiting", retry=500, result=WAITS)
    reply, changed = scene.changes(waiting(scene, end))
    assert (reply.word, reply.status, reply.freed, reply.more) == ("ok", "scheduled", 0, False)
    assert changed == {
        "rq:scheduled:q": Entry("zset", {"a": (NOW + 500) / 1000}, None),
        "rq:job:a": {
            "status": "scheduled",
            "started_at": "",
            "worker_name": "",
            "attempts": "0",
            "execution": "",
            "settled": "waiting:e1",
            "waits": WAITS.decode(),
        },
        "rq:wip:q": None,
        "rq:executions:a": None,
        "rq:execution:a:e1": None,
        "rq:atomiq:executions:w": None,
    }
    assert scene.unchanged(waiting(scene, end)).word == "already"


def test_the_attempt_does_not_count(scene: Scene) -> None:
    scene.run(waiting(scene, ended(scene.started("a"), "waiting", retry=500)))
    scene.now += 500
    scene.run(promote(scene.keys, queue="q"))
    assert scene.take().attempt == 1
    assert scene.field("a", "enqueued_at") != ISO


def test_without_a_delay_it_is_looked_for_at_once(scene: Scene) -> None:
    assert scene.run(waiting(scene, ended(scene.started("a"), "waiting", retry=0))).status == "queued"
    assert scene.queued() == ["a"]


def test_it_goes_behind_those_that_wait(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b"))
    scene.run(waiting(scene, ended(scene.take(), "waiting", retry=0)))
    assert scene.queued() == ["b", "a"]


def test_one_whose_ttl_would_be_over_before(scene: Scene) -> None:
    """Its ttl is for the time until it is taken; it was."""
    scene.enqueue(new_job("a", ttl=1))
    _, changed = scene.changes(waiting(scene, ended(scene.take(), "waiting", retry=9000)))
    assert scene.redis.ttl("rq:job:a") == -1
    assert "ttl:rq:job:a" not in changed


def test_that_its_process_died_before_is_forgotten(scene: Scene) -> None:
    scene.run(waiting(scene, ended(scene.started("a", abandoned=2), "waiting", retry=500)))
    assert scene.field("a", "abandoned") is None


def test_not_the_owner(scene: Scene) -> None:
    job = scene.started("a")
    scene.run(cancel(scene.keys, job_id="a"))
    assert scene.unchanged(waiting(scene, ended(job, "waiting", retry=500))).word == "not_yours"


def test_a_job_that_is_gone_is_not_brought_back(scene: Scene) -> None:
    job = scene.started("a")
    scene.vanish("a")
    assert scene.unchanged(waiting(scene, ended(job, "waiting", retry=500))).word == "gone"


def test_reaped_before(scene: Scene) -> None:
    job = scene.started("a")
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q"))
    assert scene.unchanged(waiting(scene, ended(job, "waiting", retry=500))).word == "not_yours"
    assert scene.queued() == ["a"]


def test_with_a_claim(scene: Scene) -> None:
    """The next job is taken in the same step; nobody counts this one."""
    born(scene)
    scene.enqueue(new_job("a"), new_job("b"))
    job = scene.take()
    settled, claim = scene.run(
        settle_and_claim(
            scene.keys,
            settlement=ended(job, "waiting", retry=500, result=WAITS),
            queues=["q"],
            worker="w",
            executions=["x1"],
            lease_ms=LEASE,
        )
    )
    assert (settled.word, settled.status) == ("ok", "scheduled")
    assert [claimed.job_id for claimed in claim.jobs] == ["b"]
    assert scene.registry(scene.keys.scheduled("q")) == {"a": (NOW + 500) / 1000}
    assert scene.redis.hexists("rq:worker:w", "failed_job_count") == 0
    assert scene.redis.hgetall("rq:atomiq:executions:w") == {b"x1": b"b"}


def test_what_is_told_of_others_is_counted(scene: Scene) -> None:
    born(scene)
    command = waiting(scene, ended(scene.started("a"), "waiting", retry=500))
    command.args = (*command.args[:-1], "3 1 2500")
    scene.run(command)
    assert scene.redis.hmget("rq:worker:w", "successful_job_count", "failed_job_count") == [b"3", b"1"]


def test_its_group_goes_on_waiting(scene: Scene) -> None:
    scene.enqueue(new_job("a", group_id="g"), group="g")
    before = scene.redis.smembers(scene.keys.open("g"))
    scene.run(waiting(scene, ended(scene.take(), "waiting", retry=500)))
    assert scene.redis.smembers(scene.keys.open("g")) == before == {b"a"}


def test_dependants_go_on_waiting(scene: Scene) -> None:
    scene.enqueue(new_job("a"), new_job("b", depends_on=["a"]))
    scene.run(waiting(scene, ended(scene.take(), "waiting", retry=500)))
    assert scene.field("b", "status") == "deferred"


def test_canceled_deleted_or_sent_on_while_it_waits(scene: Scene) -> None:
    for name, command in (
        ("a", cancel(scene.keys, job_id="a")),
        ("b", delete(scene.keys, job_id="b")),
        ("c", requeue(scene.keys, job_id="c")),
    ):
        scene.run(waiting(scene, ended(scene.started(name), "waiting", retry=500)))
        scene.run(command)
    assert scene.registry(scene.keys.scheduled("q")) == {}
    assert (scene.field("a", "status"), scene.field("c", "status")) == ("canceled", "queued")
    assert not scene.redis.exists("rq:job:b")
