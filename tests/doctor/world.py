"""A world with a job in every state, and what is done to each broken state of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis
from tests.invariants import check_invariants
from tests.lua.cases import birth
from tests.lua.keyspace import difference
from tests.lua.scene import Scene, new_job

from atomiq._commands.change import cancel
from atomiq.doctor import Finding, Repair, Report, examine, repair

YEAR = 31_536_000


class World(Scene):
    """`Scene` at the time that it is, as the doctor knows no other clock.

    Jobs of queue q: waiting, runs, done, bad, soon (scheduled), kid (deferred behind waiting), no (canceled), member
    (queued, of group g). The worker is w.
    """

    def __init__(self, connection: redis.Redis) -> None:
        super().__init__(connection)
        self.now = time.time_ns() // 1_000_000

    def people(self) -> None:
        self.run(birth(self, "w"))
        self.failed("bad")
        self.finished("done")
        self.started("runs")
        self.enqueue(new_job("waiting"), new_job("no"), new_job("soon", due_ms=self.now + 500_000))
        self.enqueue(new_job("member", group_id="g"), group="g")
        self.put("kid", depends_on=["waiting"])
        self.run(cancel(self.keys, job_id="no"))

    def examine(self, **settings: Any) -> Report:
        return examine(self.redis, **{"grace": 0, **settings})

    def repair(self, report: Report, **settings: Any) -> list[Repair]:
        return repair(self.redis, report, **{"dry_run": False, **settings})

    def problems(self) -> list[str]:
        return check_invariants(self.redis, self.keys.prefix, self.expired)

    def saved(self) -> dict[bytes, tuple[bytes, int]]:
        """All keys, to be brought back."""
        keys = list(self.redis.scan_iter())
        return {key: (self.redis.dump(key), max(0, self.redis.pttl(key))) for key in keys}

    def bring_back(self, saved: dict[bytes, tuple[bytes, int]]) -> None:
        """As it was."""
        for key in set(self.redis.scan_iter()) - saved.keys():
            self.redis.delete(key)
        for key, (value, ttl) in saved.items():
            self.redis.restore(key, ttl, value, replace=True)


Step = Callable[[World], Any]


@dataclass(frozen=True)
class Broken:
    """A broken state: how it comes about, what the doctor has to find, and what has to be so after the repair.

    `leaves`: findings that a person has to decide about, and so are found again; `notes`: such that come of the repair.
    `oracle`: the independent checker has
    nothing to say about the repaired key space.
    """

    name: str
    breaks: Step
    finds: set[tuple[str, str]]
    mended: Step
    leaves: set[tuple[str, str]] = field(default_factory=set)
    notes: set[tuple[str, str]] = field(default_factory=set)
    oracle: bool = True

    def __str__(self) -> str:
        return self.name


def named(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.kind, finding.subject) for finding in findings}


def check(world: World, broken: Broken) -> None:
    """Found exactly; a dry run changes nothing; mended at once; well afterwards; a second repair changes nothing; and
    one of a state that was healed in the meantime neither."""
    world.people()
    assert named(world.examine().findings) == set()
    well = world.saved()
    broken.breaks(world)
    before = world.space()
    report = world.examine()
    assert named(report.findings) == broken.finds
    assert all(finding.text and finding.to_dict() for finding in report.findings)
    planned = world.repair(report, dry_run=True)
    assert {done.outcome for done in planned} <= {"planned", "left"}
    assert difference(before, world.space()) == {}

    broken_again = world.saved()
    world.bring_back(well)
    healed = world.space()
    assert {done.outcome for done in world.repair(report)} <= {"healed", "changed", "left"}
    assert difference(healed, world.space()) == {}

    world.bring_back(broken_again)
    outcomes = {(done.finding.kind, done.finding.subject): done.outcome for done in world.repair(report)}
    assert {name for name, outcome in outcomes.items() if outcome == "left"} == broken.leaves
    assert set(outcomes.values()) <= {"mended", "healed", "left"}
    broken.mended(world)
    assert named(world.examine().findings) == broken.leaves | broken.notes
    if broken.oracle:
        assert world.problems() == []
    mended = world.space()
    assert {done.outcome for done in world.repair(report)} <= {"healed", "changed", "left"}
    assert difference(mended, world.space()) == {}
