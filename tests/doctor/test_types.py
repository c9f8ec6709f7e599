"""Keys of a wrong type: the doctor's own scripts fail at them, and it said no more than that."""

from __future__ import annotations

from contextlib import suppress

import pytest
from click.testing import CliRunner
from tests.doctor.world import World

from atomiq._core.errors import ScriptError
from atomiq.cli.main import main
from atomiq.doctor.pace import Asker
from atomiq.doctor.types import wrong_types


@pytest.mark.parametrize(
    ("key", "detail"),
    [
        ("rq:queues", "string instead of a set"),
        ("rq:workers", "string instead of a set"),
        ("rq:queue:q", "string instead of a list"),
        ("rq:queue:q:intermediate", "string instead of a list"),
        ("rq:finished:q", "string instead of a sorted set"),
        ("rq:wip:q", "string instead of a sorted set"),
        ("rq:job:waiting", "string instead of a hash"),
        ("rq:job:waiting:dependents", "string instead of a set"),
        ("rq:atomiq:freeing", "string instead of a hash"),
    ],
)
def test_it_names_the_key(world: World, key: str, detail: str) -> None:
    world.people()
    world.redis.delete(key)
    world.redis.set(key, "not ours")
    found = wrong_types(Asker(world.store))
    assert [(finding.kind, finding.subject, finding.detail) for finding in found] == [("wrong_type", key, detail)]


def test_all_types_of_a_sound_database_are_right(world: World) -> None:
    world.people()
    assert wrong_types(Asker(world.store)) == []


def test_the_report(world: World, redis_url: str) -> None:
    world.people()
    world.redis.delete("rq:queue:q")
    world.redis.set("rq:queue:q", "not ours")
    report = world.examine()
    assert [finding.kind for finding in report.faults] == ["wrong_type"]
    assert [done.outcome for done in world.repair(report)] == ["left"]
    said = CliRunner().invoke(main, ["doctor", "--url", redis_url])
    assert said.exit_code == 1
    assert "key rq:queue:q is a string instead of a list: what uses it fails" in said.output
    assert "0 jobs" not in said.output


@pytest.mark.parametrize("key", ["rq:atomiq:bell:q", "rq:results:waiting"])
def test_keys_that_none_of_its_scripts_reads(world: World, redis_url: str, key: str) -> None:
    """It said that all was well, or what was lost because of the key, and not what the cause was."""
    world.people()
    world.redis.lrem("rq:queue:q", 0, "waiting")
    world.redis.delete(key)
    world.redis.set(key, "not ours")
    report = world.examine()
    assert ("wrong_type", key) in [(finding.kind, finding.subject) for finding in report.faults]
    said = CliRunner().invoke(main, ["doctor", "--grace", "0", "--url", redis_url]).output
    assert f"key {key} is a string instead of a " in said
    assert "jobs: " in said
    world.redis.delete(key)
    assert [done.outcome for done in world.repair(world.examine())] == ["mended"]
    assert "waiting" in world.queued()


@pytest.mark.parametrize("key", ["rq:finished:q", "rq:executions:next"])
@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_what_broke_off_because_of_one_is_restored(world: World, key: str, outcome: str) -> None:
    """A settlement that ended in the middle, or a claim: named, and when the key is gone, back in its place."""
    job = world.started("a")
    world.put("next")
    world.redis.set(key, "not ours")
    with suppress(ScriptError):
        world.settle(job, outcome)
    with suppress(ScriptError):
        world.claim()
    assert [finding.subject for finding in world.examine().faults] == [key]
    world.redis.delete(key)
    report = world.examine()
    assert {done.outcome for done in world.repair(report)} <= {"mended", "healed"}
    assert world.examine().faults == []
    assert world.problems() == []


def test_another_error_is_told_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise ValueError("WRONGTYPE")

    monkeypatch.setattr("atomiq.doctor.survey.Survey.take", fails)
    with pytest.raises(ValueError, match="WRONGTYPE"):
        world.examine()
