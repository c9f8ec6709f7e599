"""repair_job and repair_thing: the whole difference, and what they refuse."""

from __future__ import annotations

import pytest
from tests.lua.cases import running
from tests.lua.catalogue_of_doctor import PATIENCE
from tests.lua.scene import ISO, NOW, YEAR, Scene

from atomiq._commands.base import Command
from atomiq._commands.doctor import Place, Suspect, repair_job, repair_thing

WITNESS = f"queued {ISO}  "


@pytest.fixture(autouse=True)
def people(scene: Scene) -> None:
    running(scene)


def mending(scene: Scene, *faults: str, job_id: str = "next", **settings: object) -> Command[tuple[str, list[str]]]:
    suspect = Suspect(job_id, {Place("failed", "q")})
    wanted = {"suspect": suspect, "witness": WITNESS, "faults": faults, "patience": PATIENCE, **settings}
    return repair_job(scene.keys, **wanted)  # type: ignore[arg-type]


def test_nothing_is_wrong(scene: Scene) -> None:
    assert scene.unchanged(mending(scene, "orphan", "double")) == ("healed", [])


def test_lost(scene: Scene) -> None:
    scene.redis.lrem("rq:queue:q", 0, "next")
    reply, changed = scene.changes(mending(scene, "orphan"))
    assert reply == ("ok", ["orphan"])
    assert changed["rq:queue:q"].value == ["next"]
    assert changed.keys() <= {"rq:queue:q", "rq:atomiq:bell:q"}
    assert scene.unchanged(mending(scene, "orphan")) == ("healed", [])


def test_it_has_moved_since(scene: Scene) -> None:
    """Enqueued anew, claimed, whatever: not the job of the report any more."""
    scene.redis.lrem("rq:queue:q", 0, "next")
    assert scene.unchanged(mending(scene, "orphan", witness="queued 2020-01-01T00:00:00.000000Z  ")) == ("changed", [])
    scene.redis.rpush("rq:queue:q", "next")


def test_only_the_faults_that_were_reported(scene: Scene) -> None:
    scene.redis.zadd("rq:failed:q", {"next": NOW / 1000 + YEAR})
    assert scene.unchanged(mending(scene, "orphan", "twice")) == ("healed", [])
    reply, changed = scene.changes(mending(scene, "orphan", "double"))
    assert reply == ("ok", ["double"])
    assert changed == {"rq:failed:q": None}


def test_a_lost_job_that_is_elsewhere(scene: Scene) -> None:
    """Out of the wrong place and into the right one, in one step."""
    scene.redis.lrem("rq:queue:q", 0, "next")
    scene.redis.zadd("rq:failed:q", {"next": NOW / 1000 + YEAR})
    reply, changed = scene.changes(mending(scene, "orphan", "double"))
    assert reply[0] == "ok"
    assert changed["rq:failed:q"] is None
    assert scene.queued() == ["next"]


def test_an_unknown_status_is_parked_with_the_reason(scene: Scene) -> None:
    scene.redis.hset("rq:job:next", "status", "asleep")
    scene.redis.lrem("rq:queue:q", 0, "next")
    reply = scene.run(mending(scene, "unknown_status", witness=f"asleep {ISO}  ", exc_string="why"))
    assert reply == ("ok", ["unknown_status"])
    ((_, entry),) = scene.redis.xrange("rq:results:next")
    assert entry[b"exc_string"] == b"why"
    assert scene.status("next") == "failed"


def test_a_thing_that_is_well(scene: Scene) -> None:
    for kind, name, fault in (("worker", "w", "dead"), ("dependents", "run", "no_job"), ("queue", "q", "unlisted")):
        assert scene.unchanged(repair_thing(scene.keys, kind=kind, name=name, fault=fault)) == "healed"


def test_a_lock(scene: Scene) -> None:
    scene.redis.set("rq:clean_registries:q", 1)
    reply, changed = scene.changes(repair_thing(scene.keys, kind="cleaning", name="q", fault="stale"))
    assert (reply, changed) == ("ok", {"rq:clean_registries:q": None})


def test_a_long_list_of_rqs_compact_takes_several_steps(scene: Scene) -> None:
    scene.redis.rpush("rq:queue:_compact:x", *(f"none{number}" for number in range(150)))
    command = repair_thing(scene.keys, kind="compact", name="_compact:x", fault="stale")
    assert [scene.run(command) for _ in range(3)] == ["more", "ok", "healed"]
