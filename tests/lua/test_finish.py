"""finish: a running job ended well."""

from __future__ import annotations

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import LEASE, NOW, OVER, Scene, ended, new_job
from tests.lua.test_claim import born

from atomiq._commands.change import cancel, delete, requeue
from atomiq._commands.queues import expire
from atomiq._commands.settle import Settlement, free, reap, settle, settle_and_claim
from atomiq._core.timestamp import format_ms

ENDED = "2026-11-21T01:37:09.574000Z"


def finishing(scene: Scene, settlement: Settlement):
    return settle(scene.keys, settlement=settlement)


def stream(**fields: str) -> list[dict[str, str]]:
    times = {"execution_started_at": f"{NOW / 1000:.3f}", "execution_ended_at": f"{(NOW + 1000) / 1000:.3f}"}
    return [{"worker_name": "w", "execution_id": "e1", **times, **fields}]


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    job = scene.started("a")
    reply, changed = scene.changes(finishing(scene, ended(job, result=b"42")))
    assert (reply.word, reply.status, reply.freed, reply.more) == ("ok", "finished", 0, False)
    assert changed == {
        "rq:job:a": {"status": "finished", "ended_at": ENDED, "execution": "", "settled": "finish:e1"},
        "ttl:rq:job:a": 500,
        "rq:results:a": Entry("stream", stream(type="1", return_value="NDI="), 500),
        "rq:finished:q": Entry("zset", {"a": NOW // 1000 + 500}, None),
        "rq:wip:q": None,
        "rq:executions:a": None,
        "rq:execution:a:e1": None,
        "rq:atomiq:executions:w": None,
        "rq:worker:w": {"successful_job_count": "1", "total_working_time": "1"},
    }
    assert scene.unchanged(finishing(scene, ended(job, result=b"42"))).word == "already"


def test_kept_for_ever(scene: Scene) -> None:
    scene.settle(scene.started("a"), result_ttl=-1)
    assert scene.registry(scene.keys.finished("q")) == {"a": float("inf")}
    assert scene.redis.ttl(scene.keys.job("a")) == scene.redis.ttl(scene.keys.results("a")) == -1


def test_nothing_kept(scene: Scene) -> None:
    """result_ttl=0: the job, its results of earlier runs and its membership in a group go in the same step."""
    scene.settle(scene.started("a", group_id="g"), "retried", retry=0, result=b"r")
    scene.enqueue(new_job("b", group_id="g"), group="g")
    scene.redis.sadd(scene.keys.group("g"), "a")
    job = scene.take()
    assert job.job_id == "a"
    reply = scene.settle(job, result_ttl=0, result=b"x")
    assert (reply.word, reply.status) == ("ok", "gone")
    assert not [key for key in scene.space() if key.endswith(":a")]
    assert scene.redis.smembers(scene.keys.group("g")) == {b"b"}
    assert scene.unchanged(finishing(scene, ended(job, result_ttl=0))).word == "gone"


def test_dependants_go_on(scene: Scene) -> None:
    scene.enqueue(
        new_job("a"),
        new_job("now", "r", depends_on=["a"]),
        new_job("front", "r", depends_on=["a"], enqueue_at_front="1"),
        new_job("later", "r", depends_on=["a"], due_ms=NOW + 5000),
        new_job("both", "r", depends_on=["a", "now"]),
    )
    reply, changed = scene.changes(finishing(scene, ended(scene.take())))
    assert (reply.freed, reply.more) == (3, False)
    assert sorted(scene.queued("r")) == ["front", "now"]
    assert changed["rq:scheduled:r"].value == {"later": (NOW + 5000) / 1000}
    assert changed["rq:deferred:r"] == dict.fromkeys(("front", "later", "now"))
    assert changed["rq:job:a:dependents"] is None
    assert scene.status("both") == "deferred"
    assert [scene.redis.exists(scene.keys.unmet(name)) for name in ("now", "later", "both")] == [0, 0, 1]


@pytest.mark.parametrize(("ttl", "kept"), [(60, 60), (-1, -1)])
def test_what_it_depended_on_is_kept_as_long_as_the_job(scene: Scene, ttl: int, kept: int) -> None:
    scene.enqueue(new_job("a"), new_job("b", depends_on=["a"]))
    scene.settle(scene.take())
    scene.settle(scene.take(), result_ttl=ttl)
    assert scene.redis.smembers(scene.keys.dependencies("b")) == {b"a"}
    assert scene.redis.ttl(scene.keys.dependencies("b")) == scene.redis.ttl(scene.keys.job("b")) == kept


def test_very_many_dependants_go_on_in_bounded_steps(scene: Scene) -> None:
    scene.enqueue(new_job("a"), *(new_job(f"c{number}", "r", depends_on=["a"]) for number in range(250)))
    reply = scene.settle(scene.take())
    assert (reply.freed, reply.more) == (100, True)
    assert scene.redis.hgetall(scene.keys.freeing()) == {b"a": b"finished"}
    assert scene.run(free(scene.keys)).more
    last = scene.run(free(scene.keys))
    assert (last.freed, last.more) == (50, False)
    assert len(scene.queued("r")) == 250
    assert scene.redis.exists(scene.keys.freeing(), scene.keys.dependents("a")) == 0


@pytest.mark.parametrize("loss", ["deleted", "expired", "nothing kept"])
def test_a_parent_that_goes_while_its_dependants_are_being_freed(scene: Scene, loss: str) -> None:
    """The rest of the dependants of a job that had finished were canceled when the job was deleted, or its result
    expired, before upkeep had reached them."""
    scene.enqueue(new_job("a"), *(new_job(f"c{number}", "r", depends_on=["a"]) for number in range(250)))
    scene.settle(scene.take(), result_ttl=0 if loss == "nothing kept" else 5)
    if loss == "deleted":
        scene.run(delete(scene.keys, job_id="a"))
    elif loss == "expired":
        scene.now += 6000
        scene.vanish("a")
        scene.run(expire(scene.keys, queue="q"))
    while scene.run(free(scene.keys)).more:
        pass
    assert len(scene.queued("r")) == 250


def test_a_job_that_repeats_frees_all_its_dependants(scene: Scene) -> None:
    """By the time upkeep reached the rest of the dependants the job was waiting for its next run, and was taken for
    one that had not finished: they were struck from its list and never heard of again."""
    scene.enqueue(
        new_job("a", repeats_left=2, repeat_intervals="[5]"),
        *(new_job(f"c{number}", "r", depends_on=["a"]) for number in range(150)),
    )
    reply = scene.settle(scene.take())
    assert (reply.status, reply.freed, reply.more) == ("scheduled", 100, True)
    assert scene.run(free(scene.keys)).freed == 50
    assert len(scene.queued("r")) == 150


def test_a_job_that_repeats_and_then_fails_keeps_its_promise(scene: Scene) -> None:
    """The failure of the second run overwrote the note that the first run's dependants were still to be freed."""
    scene.enqueue(
        new_job("a", repeats_left=2, repeat_intervals="[0]"),
        *(new_job(f"c{number}", "r", depends_on=["a"]) for number in range(250)),
    )
    scene.settle(scene.take())
    scene.settle(scene.take(), "failed")
    while scene.run(free(scene.keys)).more:
        pass
    assert len(scene.queued("r")) == 250


@pytest.mark.parametrize(("intervals", "due"), [("[5, 7]", 5), ("9", 9), ("[]", 0), ("broken", 0)])
def test_repeats(scene: Scene, intervals: str, due: int) -> None:
    job = scene.started("a", repeats_left=3, repeat_intervals=intervals)
    reply, changed = scene.changes(finishing(scene, ended(job, result=b"x")))
    assert reply.status == ("scheduled" if due else "queued")
    assert changed["rq:job:a"]["repeats_left"] == "2"
    assert changed["rq:results:a"].ttl == 500
    if due:
        assert changed["rq:scheduled:q"].value == {"a": NOW / 1000 + due}
    else:
        assert changed["rq:queue:q"].value == ["a"]
    assert "rq:finished:q" not in changed


def test_every_repeat_takes_its_interval(scene: Scene) -> None:
    scene.put("a", repeats_left=3, repeat_intervals="[5, 7]")
    waited = []
    for _ in range(3):
        scene.settle(scene.take())
        (score,) = scene.registry(scene.keys.scheduled("q")).values()
        waited.append(round(score * 1000) - scene.now)
        scene.now = round(score * 1000)
    assert waited == [5000, 7000, 7000]
    assert scene.settle(scene.take()).status == "finished"


def test_repeats_of_a_job_of_which_nothing_is_kept(scene: Scene) -> None:
    scene.put("a", repeats_left=1, repeat_intervals="[0]")
    assert scene.settle(scene.take(), result_ttl=0, result=b"x").status == "queued"
    assert not scene.redis.exists(scene.keys.results("a"))
    assert scene.settle(scene.take(), result_ttl=0).status == "gone"


@pytest.mark.parametrize("loss", ["canceled", "again", "reaped", "failed"])
def test_not_the_owner(scene: Scene, loss: str) -> None:
    job = scene.started("a")
    if loss == "failed":
        scene.settle(job, "failed")
    elif loss == "reaped":
        scene.now += OVER
        scene.run(reap(scene.keys, queue="q"))
    else:
        scene.run(cancel(scene.keys, job_id="a"))
    if loss == "again":
        scene.run(requeue(scene.keys, job_id="a"))
        scene.take(worker="w2")
    before = scene.status("a")
    reply = scene.unchanged(finishing(scene, ended(job)))
    assert (reply.word, reply.status) == ("not_yours", before)


def test_a_late_repetition_after_the_job_runs_anew(scene: Scene) -> None:
    job = scene.finished("a")
    scene.run(requeue(scene.keys, job_id="a"))
    scene.take(worker="w2")
    assert scene.unchanged(finishing(scene, ended(job))).word == "already"


@pytest.mark.parametrize("outcome", ["finished", "failed", "stopped", "retried"])
def test_a_job_whose_hash_vanished_is_not_brought_back(scene: Scene, outcome: str) -> None:
    """The settlement of a job whose hash a user had deleted by hand wrote the status into a new hash: a job without
    payload in the finished registry."""
    job = scene.started("a")
    scene.vanish("a")
    reply = scene.unchanged(finishing(scene, ended(job, outcome, retry=0)))
    assert (reply.word, reply.status) == ("gone", "gone")
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q"))
    assert sorted(scene.space()) == ["rq:atomiq:bell:q", "rq:queues"]


def test_put_anew_over_a_hash_that_vanished(scene: Scene) -> None:
    """Two executions of one id had a lease then, and both could settle."""
    first = scene.started("a")
    scene.vanish("a")
    scene.put("a", call="another")
    second = scene.take(worker="w2")
    assert scene.unchanged(finishing(scene, ended(first))).word == "not_yours"
    assert scene.settle(second, worker="w2").word == "ok"
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q"))


def test_the_list_of_executions_expired_before_the_cancel(scene: Scene) -> None:
    """With no worker about to reap it, the traces of an execution expire before its lease is taken away; canceled
    then, the job kept its lease, and the owner that came back finished it."""
    job = scene.started("a")
    scene.redis.delete(scene.keys.executions("a"), scene.keys.execution("a", "e1"))
    scene.run(cancel(scene.keys, job_id="a"))
    assert scene.registry(scene.keys.wip("q")) == {}
    assert scene.unchanged(finishing(scene, ended(job))).word == "not_yours"
    assert scene.status("a") == "canceled"


def test_the_traces_of_abandonment_go(scene: Scene) -> None:
    scene.started("a")
    scene.now += OVER
    scene.run(reap(scene.keys, queue="q"))
    assert scene.field("a", "abandoned") == "1"
    scene.settle(scene.take())
    assert scene.field("a", "abandoned") is None


def test_settled_after_the_end_of_the_lease_while_nobody_has_reaped(scene: Scene) -> None:
    job = scene.started("a")
    scene.now += 10 * LEASE
    assert scene.settle(job).word == "ok"


def test_the_job_says_when_it_really_started(scene: Scene) -> None:
    """One that is claimed ahead starts later than that."""
    job = scene.started("a")
    scene.now += 1000
    scene.settle(job, started_ms=NOW + 400, ended_ms=NOW + 426)
    assert scene.field("a", "started_at") == "2026-11-21T01:37:08.974000Z"
    assert scene.field("a", "ended_at") == "2026-11-21T01:37:09.000000Z"
    ((_, entry),) = scene.redis.xrange(scene.keys.results("a"))
    assert entry[b"execution_started_at"] == b"1795225028.974"
    assert entry[b"execution_ended_at"] == b"1795225029.000"


@pytest.mark.parametrize("day", [0, 58, 59, 364, 365, 789, 790, 11_016, 20_000, 47_540, 47_541])
def test_every_date_is_written_as_python_writes_it(scene: Scene, day: int) -> None:
    """Leap years, centuries, year's ends; with and without the hint that a settlement gives."""
    scene.now = day * 86_400_000 + 86_399_007
    scene.enqueue(new_job("a"), new_job("b"))
    job = scene.take()
    for ended_ms, name in ((0, "a"), (scene.now - 3, "b")):
        end = ended(job, started_ms=scene.now - 5, ended_ms=ended_ms)
        command = settle_and_claim(
            scene.keys, settlement=end, queues=["q"], worker="w", executions=[f"x-{name}"], lease_ms=LEASE
        )
        for job in scene.run(command)[1].jobs:
            assert scene.field(job.job_id, "started_at") == format_ms(scene.now)
        assert scene.field(name, "ended_at") == format_ms(ended_ms or scene.now)


def test_without_times(scene: Scene) -> None:
    """A settlement that doesn't say when it ended has ended now, not in 1970."""
    scene.settle(scene.started("a"), started_ms=0, ended_ms=0)
    assert scene.field("a", "ended_at") == "2026-11-21T01:37:08.574000Z"


def test_dependants_that_rq_deferred(scene: Scene) -> None:
    """RQ writes no list of open dependencies; ours is made from its set when first needed. A job with two parents was
    lost when the first ran again before the second had ended: it was no longer on the first one's list."""
    scene.enqueue(new_job("one", repeats_left=1, repeat_intervals="[60]"), new_job("two"))
    scene.redis.hset(scene.keys.job("a"), mapping={"status": "deferred", "data": "payload", "origin": "r"})
    scene.redis.zadd(scene.keys.deferred("r"), {"a": 1})
    for parent in ("one", "two"):
        scene.redis.sadd(scene.keys.dependents(parent), "a")
        scene.redis.sadd(scene.keys.dependencies("a"), parent)
    assert scene.settle(scene.take()).freed == 0
    assert scene.settle(scene.take()).freed == 1
    assert scene.queued("r") == ["a"]


@pytest.mark.parametrize("spoilt", ["nan", "inf", "1e400", "9e99", "-5", "text"])
def test_repeats_left_that_are_no_number(scene: Scene, spoilt: str) -> None:
    """The job was run again for ever."""
    assert scene.settle(scene.started("a", repeats_left=spoilt)).status == "finished"
