"""examine_list, examine_registry, examine_jobs, examine_job, examine_things: what they say of a scene that is well, and
that they change nothing. What they say of broken ones is in tests/doctor."""

from __future__ import annotations

import pytest
from tests.lua.cases import running
from tests.lua.catalogue_of_doctor import PATIENCE
from tests.lua.scene import LEASE, NOW, OVER, Scene, new_job

from atomiq._commands.doctor import (
    Diagnosis,
    Fault,
    ListSlice,
    Place,
    RegistryPage,
    Suspect,
    examine_job,
    examine_jobs,
    examine_list,
    examine_registry,
    examine_things,
)


@pytest.fixture(autouse=True)
def people(scene: Scene) -> None:
    running(scene)


def test_a_slice_of_a_list(scene: Scene) -> None:
    said = scene.unchanged(examine_list(scene.keys, queue="q", first=-5, last=-1))
    assert said == ListSlice([b"next"], [], 1)


def test_a_page_of_a_registry(scene: Scene) -> None:
    said = scene.unchanged(examine_registry(scene.keys, container="wip", queue="q", cursor="0", limit=10))
    assert said == RegistryPage("0", 1, 0, [])
    scene.now += OVER
    said = scene.unchanged(examine_registry(scene.keys, container="wip", queue="q", cursor="0", limit=10))
    assert said == RegistryPage("0", 1, 0, [("run", "e1")])


def test_letters(scene: Scene) -> None:
    said = scene.unchanged(examine_jobs(scene.keys, job_ids=["run", "next", "kid", "late", "none"]))
    assert said == (".q..-", {"started": 1, "queued": 1, "deferred": 1, "scheduled": 1})


def test_a_key_that_is_no_hash(scene: Scene) -> None:
    scene.redis.set("rq:job:odd", "x")
    assert scene.unchanged(examine_jobs(scene.keys, job_ids=["odd"]))[0] == "-"
    (said,) = scene.unchanged(examine_job(scene.keys, suspects=[Suspect("odd")], patience=PATIENCE))
    assert said.faults == ()
    scene.redis.delete("rq:job:odd")


def test_a_diagnosis(scene: Scene) -> None:
    suspects = [Suspect("next"), Suspect("run")]
    said = scene.unchanged(examine_job(scene.keys, suspects=suspects, patience=PATIENCE))
    assert [(each.job_id, each.status, each.origin, each.faults) for each in said] == [
        ("next", "queued", "q", ()),
        ("run", "started", "q", ()),
    ]
    scene.now += LEASE + PATIENCE.overdue_ms + 1000
    (said_later,) = scene.unchanged(examine_job(scene.keys, suspects=[Suspect("run")], patience=PATIENCE))
    witness = "started 2026-11-21T01:37:08.574000Z e1 2026-11-21T01:37:08.574000Z"
    fault = Fault("lease_over", Place("wip", "q", "e1"), "120")
    assert said_later == Diagnosis("run", "started", "q", witness, (fault,))


def test_a_list_too_long_to_be_searched(scene: Scene) -> None:
    """Unsure, unless the list was read and it was not there."""
    scene.enqueue(*(new_job(f"j{number}", "long") for number in range(400)))
    scene.redis.lrem("rq:queue:long", 0, "j200")
    (said,) = scene.unchanged(examine_job(scene.keys, suspects=[Suspect("j200")], patience=PATIENCE))
    assert [fault.word for fault in said.faults] == ["unsure"]
    (said,) = scene.unchanged(
        examine_job(scene.keys, suspects=[Suspect("j200", read={"long": False})], patience=PATIENCE)
    )
    assert [fault.word for fault in said.faults] == ["orphan"]
    scene.redis.lpush("rq:queue:long", "j200")


def test_things(scene: Scene) -> None:
    assert scene.unchanged(examine_things(scene.keys, kind="worker", names=["w", "none", "w"])) == {1: "dead"}
    assert scene.unchanged(examine_things(scene.keys, kind="worker_executions", names=["w"])) == {}
    scene.now = NOW + 91_000
    assert scene.unchanged(examine_things(scene.keys, kind="worker", names=["w"])) == {0: "silent"}
