"""fail: a running job raised, was killed or stopped, or asked to be run again."""

from __future__ import annotations

import base64
import zlib

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import NOW, YEAR, Scene, ended, new_job
from tests.lua.test_claim import born
from tests.lua.test_finish import ENDED, stream

from atomiq._commands.change import cancel, requeue
from atomiq._commands.settle import Settlement, free, settle
from atomiq._core.record import JobRecord


def failing(scene: Scene, settlement: Settlement):
    return settle(scene.keys, settlement=settlement)


def test_the_whole_difference(scene: Scene) -> None:
    born(scene)
    job = scene.started("a")
    reply, changed = scene.changes(failing(scene, ended(job, "failed", exc_string="Traceback")))
    assert (reply.word, reply.status, reply.freed, reply.more) == ("ok", "failed", 0, False)
    packed = base64.b64encode(zlib.compress(b"Traceback")).decode()
    assert changed == {
        "rq:job:a": {"status": "failed", "ended_at": ENDED, "execution": "", "settled": "fail:e1"},
        "ttl:rq:job:a": YEAR,
        "rq:results:a": Entry("stream", stream(type="2", exc_string=packed), YEAR),
        "rq:failed:q": Entry("zset", {"a": NOW // 1000 + YEAR}, None),
        "rq:wip:q": None,
        "rq:executions:a": None,
        "rq:execution:a:e1": None,
        "rq:atomiq:executions:w": None,
        "rq:worker:w": {"failed_job_count": "1", "total_working_time": "1"},
    }
    assert scene.unchanged(failing(scene, ended(job, "failed", exc_string="Traceback"))).word == "already"


def test_stopped(scene: Scene) -> None:
    reply = scene.settle(scene.started("a", retries_left=3), "stopped")
    assert (reply.status, scene.field("a", "retries_left")) == ("stopped", "3")
    assert scene.registry(scene.keys.failed("q")) == {"a": NOW // 1000 + YEAR}


def test_kept_for_ever(scene: Scene) -> None:
    """RQ's score for it is a literal -1."""
    scene.settle(scene.started("a"), "failed", failure_ttl=-1)
    assert scene.registry(scene.keys.failed("q")) == {"a": -1.0}
    assert scene.redis.ttl(scene.keys.job("a")) == -1


def test_nothing_kept(scene: Scene) -> None:
    scene.enqueue(
        new_job("a"), new_job("child", depends_on=["a"]), new_job("brave", depends_on=["a"], allow_failure=True)
    )
    reply = scene.settle(scene.take(), "failed", failure_ttl=0)
    assert (reply.word, reply.status, reply.freed) == ("ok", "gone", 2)
    assert not [key for key in scene.space() if ":a" in key and "atomiq" not in key]
    assert (scene.status("child"), scene.status("brave")) == ("canceled", "queued")


@pytest.mark.parametrize("count", [1, 250])
def test_nothing_kept_of_a_job_with_many_dependants(scene: Scene, count: int) -> None:
    scene.enqueue(
        new_job("a"),
        *(new_job(f"c{number}", "r", depends_on=["a"]) for number in range(count)),
        *(new_job(f"b{number}", "r", depends_on=["a"], allow_failure=True) for number in range(count)),
    )
    scene.settle(scene.take(), "failed", failure_ttl=0)
    while scene.run(free(scene.keys)).more:
        pass
    assert len(scene.queued("r")) == len(scene.registry(scene.keys.canceled("r"))) == count


def test_dependants_that_allow_a_failure_go_on(scene: Scene) -> None:
    scene.enqueue(
        new_job("a"), new_job("child", depends_on=["a"]), new_job("brave", depends_on=["a"], allow_failure=True)
    )
    assert scene.settle(scene.take(), "failed").freed == 1
    assert (scene.status("child"), scene.status("brave")) == ("deferred", "queued")


def test_a_failed_job_may_still_free_the_rest(scene: Scene) -> None:
    """By running again: they wait for it as before."""
    scene.enqueue(new_job("a"), new_job("child", depends_on=["a"]))
    scene.settle(scene.take(), "failed")
    scene.run(requeue(scene.keys, job_id="a"))
    assert scene.settle(scene.take()).freed == 1


@pytest.mark.parametrize("count", [150, 1200])
def test_very_many_dependants_of_a_failed_job(scene: Scene, count: int) -> None:
    """Large sets are read in pages, so that those who don't go on are looked at once only."""
    rows = [new_job(f"c{number}", "r", depends_on=["a"], allow_failure=number % 2 == 0) for number in range(count)]
    scene.enqueue(new_job("a"))
    for start in range(0, count, 500):
        scene.enqueue(*rows[start : start + 500])
    scene.settle(scene.take(), "failed")
    rounds = 0
    while scene.run(free(scene.keys)).more:
        rounds += 1
        assert rounds < 50
    assert len(scene.queued("r")) == len(scene.registry(scene.keys.deferred("r"))) == count // 2


def test_a_retry_now(scene: Scene) -> None:
    born(scene)
    job = scene.started("a", retries_left=2)
    reply, changed = scene.changes(failing(scene, ended(job, "failed")))
    assert (reply.word, reply.status) == ("ok", "queued")
    assert changed["rq:job:a"] == {
        "status": "queued",
        "ended_at": ENDED,
        "execution": "",
        "settled": "fail:e1",
        "retries_left": "1",
        "retries_done": "1",
    }
    assert changed["rq:queue:q"] == Entry("list", ["a"], None)
    assert not {"rq:failed:q", "rq:results:a"} & changed.keys()
    assert scene.unchanged(failing(scene, ended(job, "failed"))).word == "already"


def test_a_retry_at_the_front(scene: Scene) -> None:
    scene.enqueue(new_job("a", retries_left=1, enqueue_at_front_on_retry="1"), new_job("b"))
    scene.settle(scene.take(), "failed")
    assert scene.queued() == ["a", "b"]


@pytest.mark.parametrize(
    ("intervals", "waits"),
    [("[10, 20]", [10, 20, 20]), ("7", [7, 7, 7]), ('["3"]', [3, 3, 3]), ("[1.5]", [1.5, 1.5, 1.5])],
)
def test_every_retry_takes_its_interval(scene: Scene, intervals: str, waits: list[float]) -> None:
    scene.put("a", retries_left=3, retry_intervals=intervals)
    waited = []
    for _ in waits:
        assert scene.settle(scene.take(), "failed").status == "scheduled"
        (score,) = scene.registry(scene.keys.scheduled("q")).values()
        waited.append((round(score * 1000) - scene.now) / 1000)
        scene.now = round(score * 1000)
    assert waited == waits
    assert scene.settle(scene.take(), "failed").status == "failed"


@pytest.mark.parametrize("intervals", ["[]", "", "null", "{}", "[null]", "nonsense", "[-5]"])
def test_an_interval_that_is_none_means_now(scene: Scene, intervals: str) -> None:
    scene.put("a", retries_left=1, retry_intervals=intervals)
    assert scene.settle(scene.take(), "failed").status == "queued"


@pytest.mark.parametrize(("retry", "status"), [("never", "failed"), (0, "queued"), (2500, "scheduled")])
def test_the_caller_may_decide_about_the_retry(scene: Scene, retry: str | int, status: str) -> None:
    job = scene.started("a", retries_left=5)
    assert scene.settle(job, "failed", retry=retry).status == status
    assert scene.field("a", "retries_left") == "5"
    if status == "scheduled":
        assert scene.registry(scene.keys.scheduled("q")) == {"a": (NOW + 2500) / 1000}


def test_the_function_asked_for_a_retry(scene: Scene) -> None:
    job = scene.started("a", number_of_retries=1)
    reply, changed = scene.changes(failing(scene, ended(job, "retried", retry=4000, result=b"r")))
    assert reply.status == "scheduled"
    assert changed["rq:job:a"]["number_of_retries"] == "2"
    assert changed["rq:results:a"] == Entry("stream", stream(type="4", return_value="cg=="), YEAR)


def test_the_function_asked_for_a_retry_once_too_often(scene: Scene) -> None:
    reply, changed = scene.changes(failing(scene, ended(scene.started("a"), "exhausted", result=b"r")))
    assert reply.status == "failed"
    assert changed["rq:results:a"].value == stream(type="5", return_value="cg==")


def test_a_retry_without_a_delay_is_one_now(scene: Scene) -> None:
    """It was an error after the lease had been given up: the job was in no container any more."""
    assert scene.settle(scene.started("a"), "retried").status == "queued"


def test_a_killed_process_leaves_its_cause_with_the_job(scene: Scene) -> None:
    job = scene.started("a")
    end = ended(job, "abandoned", exc_string="killed by SIGKILL", started_ms=NOW + 7)
    reply, changed = scene.changes(failing(scene, end))
    assert reply.status == "queued"
    packed = base64.b64encode(zlib.compress(b"killed by SIGKILL")).decode()
    assert changed["rq:job:a"] == {
        "status": "queued",
        "started_at": "2026-11-21T01:37:08.581000Z",
        "ended_at": ENDED,
        "execution": "",
        "settled": "fail:e1",
        "abandoned": "1",
        "last_death": packed,
    }
    assert "rq:results:a" not in changed
    record = JobRecord()
    record.load_fields(scene.redis.hgetall(scene.keys.job("a")))
    assert record.last_death == "killed by SIGKILL"
    scene.settle(scene.take())
    assert scene.field("a", "last_death") == packed
    scene.run(requeue(scene.keys, job_id="a"))
    assert scene.field("a", "last_death") is None


def test_abandoned_without_a_cause(scene: Scene) -> None:
    scene.settle(scene.started("a"), "abandoned")
    assert (scene.field("a", "abandoned"), scene.field("a", "last_death")) == ("1", None)


def test_an_unknown_outcome_is_a_bug(scene: Scene) -> None:
    job = scene.started("a")
    with pytest.raises(ValueError, match="outcome"):
        scene.settle(job, "perhaps")
    assert scene.status("a") == "started"


def test_not_the_owner(scene: Scene) -> None:
    job = scene.started("a")
    scene.run(cancel(scene.keys, job_id="a"))
    assert scene.unchanged(failing(scene, ended(job, "failed"))).word == "not_yours"


@pytest.mark.parametrize("spoilt", ["nan", "inf", "-inf", "1e400", "9e99", "-5", "text"])
def test_retries_left_that_are_no_number(scene: Scene, spoilt: str) -> None:
    """nan is never 0, and endless less one is endless: the job was run again for ever."""
    job = scene.started("a", retries_left=spoilt)
    assert scene.settle(job, "failed", retry="auto").status == "failed"


@pytest.mark.parametrize("field", ["retry_intervals", "retry_ms"])
@pytest.mark.parametrize("spoilt", ["[inf]", "[1e400]", "[9e99]", "[nan]", "1e400", "[]", "null", "text"])
def test_an_interval_that_is_no_time(scene: Scene, field: str, spoilt: str) -> None:
    """It was scheduled for the time `inf`, and workers were told to wait until then: a number below zero."""
    job = scene.started("a", **{"retries_left": "3", field: spoilt})
    assert scene.settle(job, "failed", retry="auto").status == "queued"


def test_an_interval_is_at_most_a_thousand_years(scene: Scene) -> None:
    job = scene.started("a", retries_left="3", retry_intervals="[1e14]")
    assert scene.settle(job, "failed", retry="auto").status == "scheduled"
    assert scene.redis.zscore("rq:scheduled:q", "a") == NOW / 1000 + 31_536_000_000


def test_a_job_that_is_due_at_no_time(scene: Scene) -> None:
    scene.put("a", due_ms=NOW + 1000)
    scene.redis.zadd("rq:scheduled:q", {"a": "inf"})
    assert scene.claim().next_due_ms == 0


@pytest.mark.parametrize("outcome", ["finished", "failed"])
@pytest.mark.parametrize("key", ["rq:results:a", "rq:job:a:dependents"])
def test_a_key_of_another_type_beside_the_job(scene: Scene, key: str, outcome: str) -> None:
    """The settlement broke off after it had given up the lease: the job had ended, and was in no registry."""
    job = scene.started("a")
    scene.redis.set(key, "not ours")
    assert scene.settle(job, outcome).word == "ok"
    assert scene.redis.zscore(f"rq:{outcome}:q", "a") is not None
    assert scene.redis.xlen("rq:results:a") == 1
