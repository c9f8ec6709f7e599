"""Keys of a wrong type: the doctor's own scripts fail at them, and it said no more than that."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from tests.doctor.world import World

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


def test_another_error_is_told_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise ValueError("WRONGTYPE")

    monkeypatch.setattr("atomiq.doctor.survey.Survey.take", fails)
    with pytest.raises(ValueError, match="WRONGTYPE"):
        world.examine()
