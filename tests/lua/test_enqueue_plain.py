"""A plain job has a form of its own in which it is sent. What becomes of it is what becomes of any other."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lua.keyspace import Entry
from tests.lua.scene import ISO, NOW, Scene, plain_job
from tests.lua.test_enqueue import BELL, QUEUES, RESTING, rest

from atomiq._commands.enqueue import enqueue, plain_words
from atomiq._core.errors import JobIsRunning

HASH = {"created_at": ISO, "data": "payload", "last_heartbeat": "", "origin": "q", "description": "f()"}
ALL = {**HASH, "timeout": "180", "status": "queued", "enqueued_at": ISO}


@pytest.mark.parametrize("how", ["short", "long", "batch"])
def test_what_is_written(scene: Scene, how: str) -> None:
    """Alone; alone while somebody's dependants go on, which is another way through the script; beside another job."""
    if how == "long":
        scene.redis.hset(scene.keys.freeing(), "another", "finished")
    jobs = [plain_job("a"), plain_job("b", "r")] if how == "batch" else [plain_job("a")]
    reply, changed = scene.changes(enqueue(scene.keys, jobs=jobs))
    assert {(one.word, one.enqueued_at_ms) for one in reply} == {("queued", NOW)}
    assert changed["rq:job:a"] == Entry("hash", ALL, None)
    assert changed["rq:queue:q"] == Entry("list", ["a"], None)
    assert changed["rq:atomiq:bell:q"] == BELL
    if how != "batch":
        assert changed["rq:queues"] == QUEUES
        assert len(changed) == 4


def test_the_fields_stand_in_the_order_of_the_other_form(scene: Scene) -> None:
    scene.enqueue(plain_job("a"))
    scene.enqueue(plain_job("b"), group="g")
    plain, other = (list(scene.redis.hgetall(scene.keys.job(job_id))) for job_id in "ab")
    assert plain == [name for name in other if name != b"group_id"]


@pytest.mark.parametrize("status", RESTING)
def test_it_is_enqueued_once_whatever_became_of_it(scene: Scene, status: str) -> None:
    rest(scene, status)
    assert scene.unchanged(enqueue(scene.keys, jobs=[plain_job("a")]))[0].word == "already"


def test_it_is_enqueued_once_while_it_runs(scene: Scene) -> None:
    scene.started("a")
    assert scene.unchanged(enqueue(scene.keys, jobs=[plain_job("a")]))[0].word == "already"


def test_the_call_of_another_form_is_another_call(scene: Scene) -> None:
    scene.started("a")
    job = plain_job("a")
    job.call = "another"
    with pytest.raises(JobIsRunning):
        scene.unchanged(enqueue(scene.keys, jobs=[job]))


@pytest.mark.parametrize("settings", [{"last_heartbeat": ISO}, {"meta": "m"}, {"data": ""}], ids=str)
def test_whatever_its_fields_are_they_are_what_is_written(scene: Scene, settings: dict[str, Any]) -> None:
    job = plain_job("a", **settings)
    assert (plain_words(job) is not None) == ("data" in settings)
    scene.enqueue(job)
    assert {name: scene.field("a", name) for name in job.fields} == {k: str(v) for k, v in job.fields.items()}


def test_one_that_says_another_queue_is_not_plain() -> None:
    assert plain_words(plain_job("a", origin="another")) is None
