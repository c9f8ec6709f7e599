"""`atomiq doctor`."""

from __future__ import annotations

import json

import pytest
import redis
from tests.cli.conftest import Atomiq
from tests.doctor.world import World
from tests.lua.keyspace import difference

from atomiq.cli.doctor import progress
from atomiq.doctor import examine

QUICK = ("--grace", "0")


@pytest.fixture
def world(redis_connection: redis.Redis) -> World:
    world = World(redis_connection)
    world.people()
    return world


def lose(world: World) -> None:
    world.redis.lrem("rq:queue:q", 0, "waiting")


def test_whoever_waits_at_a_terminal_sees_that_something_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 100,000 ids without a job it said nothing for a minute."""
    with progress("looking") as tell:
        assert tell is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("atomiq.cli.doctor.SHOWN_EVERY", -1)
    with progress("looking") as tell:
        report = examine(world.redis, grace=0, tell=tell)
    said = capsys.readouterr().err
    assert f"\rlooking: {report.commands:,} commands" in said
    assert said.endswith("\r\x1b[K")


def test_healthy(world: World, atomiq: Atomiq) -> None:
    found = atomiq("doctor", *QUICK)
    assert found.exit_code == 0, found.output
    assert found.output.startswith(
        "8 jobs: 1 canceled, 1 deferred, 1 failed, 1 finished, 2 queued, 1 scheduled, 1 started\n"
    )
    assert "healthy" in found.output


def test_faults(world: World, atomiq: Atomiq) -> None:
    lose(world)
    before = world.space()
    found = atomiq("doctor", *QUICK)
    assert found.exit_code == 1
    assert "  orphan: 1\n    job waiting is queued, but in no container -> put where its status says" in found.output
    assert "\n1 faults\n" in found.output
    assert difference(before, world.space()) == {}


def test_leftovers_are_no_faults(world: World, atomiq: Atomiq) -> None:
    world.redis.rpush("rq:queue:q", "none")
    found = atomiq("doctor", *QUICK)
    assert found.exit_code == 0
    assert "leftovers" in found.output
    assert "none stands in queue:q" in found.output


@pytest.mark.parametrize("options", [("--repair",), ("--repair", "--dry-run")])
def test_repair_is_a_dry_run(world: World, atomiq: Atomiq, options: tuple[str, ...]) -> None:
    lose(world)
    before = world.space()
    found = atomiq("doctor", *QUICK, *options)
    assert found.exit_code == 1
    assert "1 findings would be mended; --repair --yes does it" in found.output
    assert difference(before, world.space()) == {}


def test_repair(world: World, atomiq: Atomiq) -> None:
    lose(world)
    found = atomiq("doctor", *QUICK, "--repair", "--yes")
    assert found.exit_code == 0
    assert "1 mended" in found.output
    assert "waiting" in world.queued()
    assert atomiq("doctor", *QUICK).exit_code == 0


def test_json(world: World, atomiq: Atomiq) -> None:
    lose(world)
    found = atomiq("doctor", *QUICK, "--json", "--repair", "--yes")
    assert found.exit_code == 0
    data = json.loads(found.output)
    assert (data["healthy"], data["counts"], data["jobs"]["queued"]) == (False, {"orphan": 1}, 2)
    assert data["keys"]["job"]["keys"] == 8
    assert data["keys"]["job"]["bytes"] > 500
    (done,) = data["repairs"]
    assert (done["subject"], done["kind"], done["outcome"]) == ("waiting", "orphan", "mended")
    assert json.loads(atomiq("doctor", *QUICK, "--json").output)["healthy"] is True


def test_many_of_a_kind(world: World, atomiq: Atomiq) -> None:
    for number in range(15):
        world.redis.hset(f"rq:job:zombie{number}", "status", "started")
    short = atomiq("doctor", *QUICK).output
    assert "zombie: 15" in short
    assert "and 5 more (--all shows them)" in short
    assert atomiq("doctor", *QUICK, "--all").output.count("has no data") == 15


def test_what_a_person_has_to_decide(world: World, atomiq: Atomiq) -> None:
    world.redis.hset("rq:job:odd", mapping={"status": "queued", "data": "x"})
    found = atomiq("doctor", *QUICK, "--repair", "--yes")
    assert found.exit_code == 1
    assert "1 left for you to decide" in found.output


@pytest.mark.parametrize(
    "options", [("--yes",), ("--dry-run",), ("--repair", "--yes", "--dry-run"), ("--grace", "-1"), ("--nonsense",)]
)
def test_a_wrong_call(world: World, atomiq: Atomiq, options: tuple[str, ...]) -> None:
    assert atomiq("doctor", *options).exit_code == 2


def test_workers_that_are_suspended(world: World, atomiq: Atomiq) -> None:
    world.redis.set("rq:suspended", 1)
    assert "workers are suspended" in atomiq("doctor", *QUICK).output


def test_sizes_that_may_not_be_asked(world: World, atomiq: Atomiq, redis_url: str) -> None:
    """An ACL user without MEMORY gets a report without sizes."""
    world.redis.acl_setuser(
        "plain", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", "-memory"]
    )
    try:
        mark = "&" if "?" in redis_url else "?"
        found = atomiq("doctor", *QUICK, "--json", "--url", f"{redis_url}{mark}username=plain&password=x")
        assert found.exit_code == 0, found.output
        assert json.loads(found.output)["keys"]["job"] == {"keys": 8, "bytes": None}
    finally:
        world.redis.acl_deluser("plain")
