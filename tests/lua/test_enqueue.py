"""enqueue: jobs into their places, all or none."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, NOW, Scene, new_job

from atomiq._commands.change import cancel, delete, requeue
from atomiq._commands.enqueue import enqueue
from atomiq._commands.settle import free
from atomiq._core.errors import DuplicateJobError, JobIsRunning
from atomiq._core.record import NewJob
from atomiq._core.settings import JOBS_PER_ENQUEUE_COMMAND

HASH = {"data": "payload", "origin": "q", "call": "call-a"}
QUEUED = Entry("hash", {**HASH, "status": "queued", "enqueued_at": ISO}, None)
BELL = Entry("zset", {"1": 0.0}, None)
QUEUES = Entry("set", frozenset({"rq:queue:q"}), None)
RESTING = ("created", "queued", "deferred", "scheduled", "finished", "failed", "stopped", "canceled")


def rest(scene: Scene, status: str, job_id: str = "a") -> None:
    """A job in a status in which nobody runs it."""
    if status == "created":
        scene.redis.hset(scene.keys.job(job_id), mapping={"status": "created", "data": "old", "origin": "q"})
    elif status == "deferred":
        scene.put("parent")
        scene.put(job_id, depends_on=["parent"], old="1")
    elif status == "scheduled":
        scene.put(job_id, due_ms=NOW + 1000, old="1")
    elif status == "canceled":
        scene.put(job_id, old="1")
        scene.run(cancel(scene.keys, job_id=job_id))
    elif status == "queued":
        scene.put(job_id, old="1")
    else:
        job = scene.started(job_id, old="1")
        scene.settle(job, status)
    assert scene.status(job_id) == status


def test_queued(scene: Scene) -> None:
    reply, changed = scene.changes(enqueue(scene.keys, jobs=[new_job("a")]))
    assert [(one.word, one.enqueued_at_ms) for one in reply] == [("queued", NOW)]
    assert changed == {
        "rq:job:a": QUEUED,
        "rq:queue:q": Entry("list", ["a"], None),
        "rq:queues": QUEUES,
        "rq:atomiq:bell:q": BELL,
    }


def test_scheduled(scene: Scene) -> None:
    reply, changed = scene.changes(enqueue(scene.keys, jobs=[new_job("a", due_ms=NOW + 1500)]))
    assert reply[0].word == "scheduled"
    assert changed == {
        "rq:job:a": Entry("hash", {**HASH, "status": "scheduled"}, None),
        "rq:scheduled:q": Entry("zset", {"a": (NOW + 1500) / 1000}, None),
        "rq:queues": QUEUES,
        "rq:atomiq:bell:q": BELL,
    }


def test_only_the_first_of_the_schedule_rings(scene: Scene) -> None:
    scene.put("soon", due_ms=NOW + 10)
    scene.redis.delete(scene.keys.bell("q"))
    scene.put("later", due_ms=NOW + 20)
    assert not scene.redis.exists(scene.keys.bell("q"))
    scene.put("sooner", due_ms=NOW + 5)
    assert scene.redis.exists(scene.keys.bell("q"))


def test_deferred_while_a_dependency_is_open(scene: Scene) -> None:
    scene.put("p")
    reply, changed = scene.changes(enqueue(scene.keys, jobs=[new_job("a", depends_on=["p", "never"], due_ms=NOW + 9)]))
    assert reply[0].word == "deferred"
    assert changed == {
        "rq:job:a": Entry("hash", {**HASH, "status": "deferred", "due": str(NOW + 9)}, None),
        "rq:deferred:q": Entry("zset", {"a": NOW / 1000}, None),
        "rq:job:p:dependents": Entry("set", frozenset({"a"}), None),
        "rq:atomiq:unmet:a": Entry("set", frozenset({"p"}), 31_536_000),
        "rq:job::a:dependencies": Entry("set", frozenset({"p", "never"}), None),
    }


@pytest.mark.parametrize(
    ("outcome", "allow_failure", "word"),
    [
        ("finished", False, "queued"),
        ("failed", False, "deferred"),
        ("failed", True, "queued"),
        ("stopped", False, "deferred"),
        ("stopped", True, "queued"),
    ],
)
def test_a_dependency_that_has_ended(scene: Scene, outcome: str, allow_failure: bool, word: str) -> None:
    scene.settle(scene.started("p"), outcome)
    assert scene.put("a", depends_on=["p"], allow_failure=allow_failure) == word


def test_a_met_dependency_leaves_no_sets(scene: Scene) -> None:
    scene.finished("p")
    _, changed = scene.changes(enqueue(scene.keys, jobs=[new_job("a", depends_on=["p"])]))
    assert sorted(changed) == ["rq:job:a", "rq:queue:q"]


def test_options(scene: Scene) -> None:
    scene.put("first")
    jobs = [new_job("a", at_front=True, ttl=50), new_job("b", "r")]
    _, changed = scene.changes(enqueue(scene.keys, jobs=jobs, group="g"))
    assert changed["rq:queue:q"] == ["a", "first"]
    assert changed["rq:queue:r"].value == ["b"]
    assert changed["rq:job:a"].ttl == 50
    assert changed["rq:group:g"].value == {"a", "b"}
    assert changed["rq:groups"].value == {"g"}
    assert changed["rq:queues"] == {"+rq:queue:r"}


@pytest.mark.parametrize("status", RESTING)
def test_the_same_call_twice(scene: Scene, status: str) -> None:
    """Whatever became of the job since, a call that is sent again because its reply was lost enqueues nothing more."""
    if status == "created":
        return
    rest(scene, status)
    job = new_job("a", old="1", depends_on=["parent"] if status == "deferred" else [])
    assert scene.unchanged(enqueue(scene.keys, jobs=[job]))[0].word == "already"


def test_the_same_call_while_the_job_runs(scene: Scene) -> None:
    scene.started("a")
    assert scene.unchanged(enqueue(scene.keys, jobs=[new_job("a")], unique=True))[0].word == "already"


@pytest.mark.parametrize("status", RESTING)
def test_an_id_that_exists_is_put_anew(scene: Scene, status: str) -> None:
    rest(scene, status)
    assert scene.put("a", call="another", new="1") == "queued"
    assert scene.queued().count("a") == 1
    assert scene.field("a", "old") is None
    assert scene.field("a", "new") == "1"
    assert scene.redis.ttl(scene.keys.job("a")) == -1


@pytest.mark.parametrize("status", RESTING)
@pytest.mark.parametrize("kind", ["scheduled", "deferred"])
def test_an_id_that_exists_is_put_elsewhere(scene: Scene, status: str, kind: str) -> None:
    rest(scene, status)
    scene.put("other")
    where = {"due_ms": NOW + 5} if kind == "scheduled" else {"depends_on": ["other"]}
    assert scene.put("a", call="another", **where) == kind


@pytest.mark.parametrize("status", RESTING)
def test_unique_refuses_an_id_that_exists(scene: Scene, status: str) -> None:
    rest(scene, status)
    jobs = [new_job("b"), new_job("a", call="another")]
    with pytest.raises(DuplicateJobError, match="'a'"):
        scene.unchanged(enqueue(scene.keys, jobs=jobs, unique=True))
    assert scene.status("b") is None


def test_a_running_id_is_refused(scene: Scene) -> None:
    scene.started("a")
    before = scene.space()
    with pytest.raises(JobIsRunning, match="a"):
        scene.unchanged(enqueue(scene.keys, jobs=[new_job("b"), new_job("a", call="another")]))
    assert scene.space() == before


def test_a_waiting_job_keeps_its_place(scene: Scene) -> None:
    for job_id in "abc":
        scene.put(job_id)
    scene.put("a", call="another")
    assert scene.queued() == ["a", "b", "c"]
    scene.put("b", call="another", at_front=True)
    assert scene.queued() == ["b", "a", "c"]


def test_a_job_may_change_its_queue(scene: Scene) -> None:
    scene.put("a")
    scene.put("a", "r", call="another")
    assert scene.queued("q") == []
    assert scene.queued("r") == ["a"]


def test_one_id_twice_in_a_batch(scene: Scene) -> None:
    """enqueue_many with the same id in two rows looked at the server once and pushed the id twice: one job in two
    places of the queue, of which the second was a claim that found nothing."""
    words = scene.enqueue(new_job("a"), new_job("b"), new_job("a", call="second", due_ms=NOW + 10))
    assert [one.word for one in words] == ["scheduled", "queued", "scheduled"]
    assert scene.queued() == ["b"]
    assert scene.status("a") == "scheduled"


def test_one_id_twice_in_a_batch_that_is_sent_twice(scene: Scene) -> None:
    """The last one counts. Sent again, the first one was new to the server, and took the place of the last."""
    batch = [new_job("a", call="first", row="1"), new_job("a", call="second", row="2")]
    scene.enqueue(*batch)
    assert {one.word for one in scene.unchanged(enqueue(scene.keys, jobs=batch))} == {"already"}
    assert scene.field("a", "row") == "2"


def test_one_id_twice_in_a_unique_batch(scene: Scene) -> None:
    with pytest.raises(DuplicateJobError):
        scene.unchanged(enqueue(scene.keys, jobs=[new_job("a"), new_job("a", call="second")], unique=True))


def test_a_dependency_that_comes_later_in_the_batch(scene: Scene) -> None:
    """A child that stood before its parent in enqueue_many found no parent on the server, took it for one that had
    finished and expired, and ran first."""
    words = scene.enqueue(new_job("child", depends_on=["parent"]), new_job("parent"))
    assert [one.word for one in words] == ["deferred", "queued"]
    scene.settle(scene.take())
    assert scene.take().job_id == "child"


def test_a_job_that_depends_on_itself_does_not_wait(scene: Scene) -> None:
    assert scene.put("a", depends_on=["a"]) == "queued"
    assert scene.put("a", depends_on=["a"], call="another") == "queued"


def test_put_anew_into_another_group(scene: Scene) -> None:
    """The old group kept listing a job that had been put anew elsewhere, under the same id."""
    scene.enqueue(new_job("a", group_id="one"), new_job("b", group_id="one"), group="one")
    scene.enqueue(new_job("a", group_id="two", call="another"), group="two")
    assert scene.redis.smembers(scene.keys.group("one")) == {b"b"}
    assert scene.redis.smembers(scene.keys.group("two")) == {b"a"}


def test_put_anew_within_its_group(scene: Scene) -> None:
    """Queue.enqueue_job of a member doesn't name the group; the job's own hash does."""
    scene.enqueue(new_job("a"), group="one")
    scene.put("a", call="another", group_id="one")
    assert scene.redis.smembers(scene.keys.group("one")) == {b"a"}


def test_deferred_anew_after_its_hash_expired(scene: Scene) -> None:
    """A deferred job whose ttl was over left its list of open dependencies behind; put anew under the same id, it
    waited for those of its first life too."""
    scene.enqueue(new_job("one"), new_job("two"))
    scene.put("a", depends_on=["one"], ttl=5)
    scene.vanish("a")
    scene.put("a", depends_on=["two"], call="another")
    assert scene.redis.smembers(scene.keys.unmet("a")) == {b"two"}
    scene.take()
    scene.settle(scene.take())
    assert scene.status("a") == "queued"


def test_an_end_of_a_former_dependency_does_not_concern_a_job_put_anew(scene: Scene) -> None:
    """The first parent still listed the job; deleted, it canceled a job that no longer waited for it."""
    scene.enqueue(new_job("one"), new_job("two"))
    scene.put("a", depends_on=["one"], ttl=5)
    scene.vanish("a")
    scene.put("a", depends_on=["two"], call="another")
    scene.run(delete(scene.keys, job_id="one"))
    assert scene.status("a") == "deferred"


@pytest.mark.parametrize("how", ["enqueue", "requeue"])
def test_put_anew_while_its_dependants_are_being_freed(scene: Scene, how: str) -> None:
    """With more dependants than one step frees, the rest is noted. A job put anew before the rest was reached would
    have let go at once whoever was made to wait for its second run."""
    children = [new_job(f"c{number}", "r", depends_on=["p"]) for number in range(150)]
    scene.enqueue(new_job("p"), *children)
    assert scene.settle(scene.take()).more
    if how == "enqueue":
        scene.put("p", call="another")
    else:
        scene.run(requeue(scene.keys, job_id="p"))
    assert len(scene.queued("r")) == 150
    scene.put("late", "r", depends_on=["p"])
    scene.run(free(scene.keys))
    assert scene.status("late") == "deferred"


def test_a_dependency_whose_dependants_are_being_freed(scene: Scene) -> None:
    """Who came to wait for a job that had been canceled together with `enqueue_dependents` was let go with the rest
    of those who had waited before."""
    scene.enqueue(new_job("p"), *(new_job(f"c{number}", "r", depends_on=["p"]) for number in range(150)))
    scene.run(cancel(scene.keys, job_id="p", enqueue_dependents=True))
    assert scene.put("late", "r", depends_on=["p"]) == "deferred"
    scene.run(free(scene.keys))
    assert len(scene.queued("r")) == 150
    assert scene.status("late") == "deferred"


def test_put_anew_together_with_a_dependant_that_is_being_freed(scene: Scene) -> None:
    """The first row's rest of dependants was freed, among them the job of the second row, which was then looked for
    where it had been before: it stood in the queue and among the deferred."""
    children = [new_job(f"c{number}", "r", depends_on=["p"]) for number in range(101)]
    scene.enqueue(new_job("p"), *children)
    scene.run(delete(scene.keys, job_id="p"))
    (last,) = scene.registry(scene.keys.deferred("r"))
    words = scene.enqueue(new_job("p", call="again"), new_job(last, "r", depends_on=["p"], call="again"))
    assert [one.word for one in words] == ["queued", "deferred"]


def test_a_batch_has_a_bound(scene: Scene) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        enqueue(scene.keys, jobs=[])
    with pytest.raises(ValueError, match="1 to 1000"):
        enqueue(scene.keys, jobs=[new_job(str(number)) for number in range(JOBS_PER_ENQUEUE_COMMAND + 1)])


def test_a_whole_batch(scene: Scene) -> None:
    jobs = [new_job(f"j{number}") for number in range(JOBS_PER_ENQUEUE_COMMAND)]
    assert {one.word for one in scene.enqueue(*jobs)} == {"queued"}
    assert scene.queued() == [job.id for job in jobs]
    assert {one.word for one in scene.unchanged(enqueue(scene.keys, jobs=jobs))} == {"already"}


# -- blocks: jobs that are alike say once what they share --------------------------------------------------------------


def test_jobs_that_have_little_in_common(scene: Scene) -> None:
    """Other queues, fields and settings in turn: each gets its own, and the order within a queue holds."""
    scene.put("there")
    words = scene.enqueue(
        new_job("a", one="1"),
        new_job("b", two="2", one="3"),
        new_job("c", "r", one="4"),
        new_job("d", one="5", ttl=50),
        new_job("e", one="6", at_front=True),
        new_job("f", one="7"),
        new_job("there", one="8", call="another"),
    )
    assert {one.word for one in words} == {"queued"}
    assert [one.job_id for one in words] == ["a", "b", "c", "d", "e", "f", "there"]
    assert scene.queued() == ["e", "there", "a", "b", "d", "f"]
    assert scene.queued("r") == ["c"]
    assert [scene.field(job_id, "one") for job_id in ("a", "b", "c", "d", "e", "f", "there")] == list("1345678")
    assert [scene.field(job_id, "two") for job_id in ("a", "b")] == [None, "2"]
    assert [scene.redis.ttl(scene.keys.job(job_id)) for job_id in ("d", "e")] == [50, -1]
    assert scene.redis.smembers(scene.keys.queues()) == {b"rq:queue:q", b"rq:queue:r"}


@pytest.mark.parametrize("other", [{"due_ms": NOW + 5}, {"at_front": True}, {"ttl": 5}, {"depends_on": ["a"]}], ids=str)
def test_the_short_way_leaves_what_the_long_way_leaves(scene: Scene, other: dict[str, Any]) -> None:
    """Plain new jobs go a short way through the script; one of another kind in the same call and they don't."""
    plain = [new_job("a"), new_job("b", "r"), new_job("c", call="")]
    _, short = scene.changes(enqueue(scene.keys, jobs=plain, group="g"))
    scene.redis.flushdb()
    words, long = scene.changes(enqueue(scene.keys, jobs=[*plain, new_job("z", "z", **other)], group="g"))
    assert [one.word for one in words[:3]] == ["queued"] * 3
    for name in ("rq:job:a", "rq:job:b", "rq:job:c", "rq:queue:q", "rq:queue:r", "rq:atomiq:bell:q"):
        assert short[name] == long[name], name
    assert short["rq:group:g"].value == long["rq:group:g"].value - {"z"} == {"a", "b", "c"}
    assert short["rq:groups"] == long["rq:groups"]


def test_a_group_is_written_over_what_a_job_says_of_its_own(scene: Scene) -> None:
    scene.enqueue(new_job("a", group_id="own"), new_job("b"), group="g")
    assert [scene.field(job_id, "group_id") for job_id in "ab"] == ["g", "g"]


# -- ids that were made for the call: no token -------------------------------------------------------------------------


def test_an_id_made_for_the_call_needs_no_token(scene: Scene) -> None:
    _, changed = scene.changes(enqueue(scene.keys, jobs=[fresh("a")]))
    assert changed["rq:job:a"].value == {"data": "payload", "origin": "q", "status": "queued", "enqueued_at": ISO}


def fresh(job_id: str, **settings: Any) -> NewJob:
    job = new_job(job_id, **settings)
    job.call = ""
    return job


@pytest.mark.parametrize("status", RESTING)
def test_it_is_enqueued_once_whatever_became_of_it(scene: Scene, status: str) -> None:
    rest(scene, status)
    assert scene.unchanged(enqueue(scene.keys, jobs=[fresh("a", new="1")]))[0].word == "already"


def test_it_is_enqueued_once_while_it_runs(scene: Scene) -> None:
    scene.started("a")
    assert scene.unchanged(enqueue(scene.keys, jobs=[fresh("a")]))[0].word == "already"


def test_a_batch_of_which_a_part_has_arrived(scene: Scene) -> None:
    """It can't be, as a command is carried out whole; but nothing would be enqueued twice."""
    scene.enqueue(fresh("a"))
    assert [one.word for one in scene.enqueue(fresh("a"), fresh("b"))] == ["already", "queued"]
    assert scene.queued() == ["a", "b"]


def test_it_can_be_put_anew_by_another_call(scene: Scene) -> None:
    scene.enqueue(fresh("a", old="1"))
    assert scene.put("a", call="another", new="1") == "queued"
    assert scene.field("a", "call") == "another"
    assert scene.field("a", "old") is None
